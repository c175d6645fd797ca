"""Attacks from outside, on the running program, with real servers behind it."""
