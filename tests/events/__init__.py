"""Streams: their bytes, their fan-out, their ends."""
