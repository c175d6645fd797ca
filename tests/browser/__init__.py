"""Real browsers and real clients of event streams."""
