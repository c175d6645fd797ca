"""The data plane: HTTP/1.1 on sockets, strict where parsers disagree, with a decision before anything passes."""
