"""Loads that run for long, and what must not grow meanwhile."""
