"""Foreign requests become ours, our decisions become foreign responses."""
