"""The proxy before servers that are used: nginx, Node.js and gunicorn, as they are."""
