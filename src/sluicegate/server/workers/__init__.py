"""Processes: who serves, who takes over, who ends."""
