"""The webhook: how it is asked, what may come of it, and what it withstands."""
