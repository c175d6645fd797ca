"""WebSockets through the gateway."""
