"""Real servers for tests: each is a context manager, listens on a free loopback port, and ends with its block."""
