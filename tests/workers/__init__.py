"""Processes: workers, their supervisor, and what neither a reload nor a crash may lose."""
