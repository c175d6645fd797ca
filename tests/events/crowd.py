"""Clients by the thousand in one thread: each sends one request and keeps what comes."""

import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, cast, final

_AT_ONCE: Final = 200
_WITHIN: Final = 60.0


@final
class Client:
    """One of them."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket: Final = opened
        self.came: Final = bytearray()
        self.is_over = False
        self.is_reset = False

    def read(self) -> None:
        """Take what is there."""
        try:
            data = self.socket.recv(65_536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            self.is_reset, data = True, b""
        self.came.extend(data)
        self.is_over = not data


@final
class Crowd:
    """All of them."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address: Final = address
        self._selector: Final = selectors.EpollSelector()
        self.clients: Final[list[Client]] = []

    def open(self, requests: Sequence[bytes], *, until: bytes) -> list[Client]:
        """Send each of these on a connection of its own; return when this has come to all of them."""
        opened: list[Client] = []
        for start in range(0, len(requests), _AT_ONCE):
            some = []
            for request in requests[start : start + _AT_ONCE]:
                client = Client(socket.create_connection(self._address))
                client.socket.setblocking(False)  # noqa: FBT003 - the standard library's
                self._selector.register(client.socket, selectors.EVENT_READ, client)
                client.socket.send(request)
                some.append(client)
            self.clients.extend(some)
            opened.extend(some)
            self.wait(partial(_have, some, until))
        return opened

    def wait(self, done: Callable[[], bool]) -> None:
        """Read until it is so."""
        deadline = time.monotonic() + _WITHIN
        while not done():
            assert time.monotonic() < deadline, f"{sum(not client.is_over for client in self.clients)} are not over"
            self.glance(0.1)

    def glance(self, seconds: float = 0) -> None:
        """Read what is there, or comes within so many seconds."""
        for key, _ in self._selector.select(seconds):
            client = cast("Client", key.data)
            client.read()
            if client.is_over:
                self._selector.unregister(client.socket)

    def to_end(self, clients: Sequence[Client]) -> None:
        """Read until these have ended."""
        self.wait(lambda: all(client.is_over for client in clients))

    def close(self) -> None:
        """Leave."""
        for client in self.clients:
            client.socket.close()
        self._selector.close()


def _have(clients: Sequence[Client], what: bytes) -> bool:
    return all(what in client.came for client in clients)


@contextmanager
def crowd(address: tuple[str, int]) -> Iterator[Crowd]:
    """Clients of this address, until the block ends."""
    clients = Crowd(address)
    try:
        yield clients
    finally:
        clients.close()
