"""Bytes that nobody has thought of: harnesses, a corpus that reaches into them, and a fuzzer that makes more."""
