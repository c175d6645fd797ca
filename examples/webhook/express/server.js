const express = require('express');
const jwt = require('jsonwebtoken');

const app = express();
app.use(express.json());

const JWT_SECRET = process.env.JWT_SECRET;

app.post('/verify', (req, res) => {
  const { jwt: token, topic } = req.body;

  try {
    const decoded = jwt.verify(token, JWT_SECRET);

    // Optional: Check topic access
    if (!canAccessTopic(decoded.sub, topic)) {
      return res.json({
        valid: false,
        user_id: null,
        expires_at: null
      });
    }

    res.json({
      valid: true,
      user_id: decoded.sub,
      expires_at: decoded.exp
    });
  } catch (error) {
    res.json({
      valid: false,
      user_id: null,
      expires_at: null
    });
  }
});

function canAccessTopic(userId, topicHex) {
  // Implement your authorization logic
  return true;
}

app.listen(9000);
