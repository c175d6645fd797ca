"""The embedded store: one file, shared by all processes of a machine."""
