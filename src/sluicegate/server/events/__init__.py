"""The event hub, and what ties whatever is open to the token that opened it."""
