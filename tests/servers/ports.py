"""Loopback ports that nobody else gets, however many tests run at once."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"


@contextmanager
def reserved_port() -> Iterator[int]:
    """Hold a TCP port on 127.0.0.1 for one server, across its restarts, until the block ends.

    "Bind to 0, close, hand the number on" lets another process take the port in between. Here the socket stays bound
    and never listens. It sets SO_REUSEADDR only after it has its port: the kernel therefore gave it a port that nobody
    had, gives it to nobody else, and still lets a server with SO_REUSEADDR, which all servers set, listen on it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as reservation:
        reservation.bind((LOOPBACK, 0))
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield reservation.getsockname()[1]
