"""The decision and what it is made of. Pure: no I/O, clock, environment, thread or log."""
