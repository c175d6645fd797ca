"""Server-Sent Events: the wire format, and how one event reaches many readers."""
