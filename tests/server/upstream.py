"""An upstream played by the test itself: it accepts, reads the very bytes that were sent, and answers as it likes."""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

from sluicegate.server.routes import Proxy, Upstream
from tests.wire import WITHIN, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came: nothing was changed, not even the spelling of names."""

    line: str
    headers: tuple[tuple[str, str], ...]

    def all(self, name: str) -> tuple[str, ...]:
        """Each value of a header whose name is this one, in any case."""
        return tuple(value for spelt, value in self.headers if spelt.lower() == name.lower())

    @property
    def names(self) -> set[str]:
        """All names, in lower case."""
        return {name.lower() for name, _ in self.headers}


@final
class Peer:
    """The upstream's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.wire = Wire(connection)
        self._read = bytearray()

    def request(self) -> Received:
        """Read the head of a request."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, rest = bytes(self._read).partition(b"\r\n\r\n")
        self._read[:] = rest
        line, *fields = head.decode("latin-1").split("\r\n")
        pairs = [field.partition(": ") for field in fields]
        return Received(line, tuple((name, value) for name, _, value in pairs))

    def body(self, size: int) -> bytes:
        """Read so many bytes of a body."""
        while len(self._read) < size:
            self._more()
        body = bytes(self._read[:size])
        del self._read[:size]
        return body

    def chunked(self) -> bytes:
        """Read a chunked body without extensions or trailers."""
        body = b""
        while True:
            while b"\r\n" not in self._read:
                self._more()
            size = int(self._read[: self._read.index(b"\r\n")], 16)
            del self._read[: self._read.index(b"\r\n") + 2]
            body += self.body(size)
            assert self.body(2) == b"\r\n"
            if size == 0:
                return body

    def send(self, data: bytes = OK) -> None:
        """Send these bytes."""
        self.socket.sendall(data)

    def serve(self, response: bytes = OK) -> Received:
        """Read one request without a body and answer it."""
        received = self.request()
        self.send(response)
        return received

    def is_closed(self) -> bool:
        """Wait until the gateway has closed this connection; False when it sent something instead."""
        try:
            return not self._read and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Close in good order."""
        self.socket.close()

    def reset(self) -> None:
        """Close with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def _more(self) -> None:
        data = self.socket.recv(65536)
        assert data, f"the gateway closed after {bytes(self._read)!r}"
        self._read += data


@final
class Listening:
    """Where the gateway connects to."""

    def __init__(self, listening: socket.socket) -> None:
        self._socket = listening
        self._peers: list[socket.socket] = []
        self.accepted = 0

    @property
    def proxy(self) -> Proxy:
        """The action that passes requests on to here."""
        host, port = self._socket.getsockname()
        return Proxy(Upstream(host, port))

    @property
    def port(self) -> int:
        """The TCP port."""
        port: int = self._socket.getsockname()[1]
        return port

    def accept(self) -> Peer:
        """Wait for the gateway to connect."""
        connection, _ = self._socket.accept()
        connection.settimeout(WITHIN)
        self._peers.append(connection)
        self.accepted += 1
        return Peer(connection)

    def is_untouched(self) -> bool:
        """Tell whether nobody has connected since the last `accept`. A refusal comes after it would have."""
        return not select.select([self._socket], [], [], 0)[0]

    def close(self) -> None:
        """Stop listening: connections are refused from here on."""
        self._socket.close()
        for peer in self._peers:
            peer.close()


@contextmanager
def upstream() -> Iterator[Listening]:
    """Listen on a port of our own until the block ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        listening.settimeout(WITHIN)
        here = Listening(listening)
        yield here
        here.close()
