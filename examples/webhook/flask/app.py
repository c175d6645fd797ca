from flask import Flask, request, jsonify
import jwt
import os

app = Flask(__name__)
JWT_SECRET = os.environ['JWT_SECRET']

@app.route('/verify', methods=['POST'])
def verify():
    data = request.get_json()
    token = data.get('jwt')
    topic = data.get('topic')

    try:
        decoded = jwt.decode(token, JWT_SECRET, algorithms=['HS256'])

        return jsonify({
            'valid': True,
            'user_id': decoded.get('sub'),
            'expires_at': decoded.get('exp')
        })
    except jwt.InvalidTokenError:
        return jsonify({
            'valid': False,
            'user_id': None,
            'expires_at': None
        })

if __name__ == '__main__':
    app.run(port=9000)
