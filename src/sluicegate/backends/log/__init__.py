"""What is written down: decisions, what happens, requests."""
