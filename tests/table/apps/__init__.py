"""Small applications behind the gate; each shows whom it was told of, and what of that came in headers."""
