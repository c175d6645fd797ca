"""The client's side: listening sockets, TLS, connections and what they share."""
