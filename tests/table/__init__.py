"""One table of requests, and every shape of the gate that must answer each of them in the same way."""
