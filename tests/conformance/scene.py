"""A gateway, a client that sends what it is told, and an upstream that answers what it is told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, final

from sluicegate.server.routes import Proxy, Upstream
from tests.corpus.reading import Sent, take_request
from tests.server.gate import BEARER, HELLO, Running, route, running
from tests.wire import BadResponse, Response, connected

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TOKEN: Final = f"{BEARER[0]}: {BEARER[1]}\r\n".encode()


@final
class Behind:
    """The upstream. `reply` is what it says to the next request; a last `None` closes the connection behind it."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening: Final = listening
        self.reply: tuple[bytes | None, ...] = (OK,)
        self.sent: list[Sent] = []
        self.raw = b""
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        held = b""
        with connection:
            while True:
                try:
                    data = connection.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                self.raw += data
                held += data
                while held and (taken := take_request(held)) is not None:
                    self.sent.append(taken[0])
                    held = held[taken[1] :]
                    for piece in self.reply:
                        if piece is None:
                            return
                        connection.sendall(piece)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What came of it: the answers, what reached the upstream, and whether the gateway then closed."""

    answers: tuple[Response, ...]
    sent: tuple[Sent, ...]
    closed: bool

    @property
    def answer(self) -> Response:
        """The one answer."""
        (answer,) = self.answers
        return answer

    @property
    def statuses(self) -> tuple[int, ...]:
        """The status of each answer."""
        return tuple(answer.status for answer in self.answers)

    @property
    def request(self) -> Sent:
        """The one request that reached the upstream."""
        (sent,) = self.sent
        return sent


@final
class Scene:
    """One gateway for all tests of a file, one connection for each exchange."""

    def __init__(self, gate: Running, behind: Behind) -> None:
        self.gate: Final = gate
        self.behind: Final = behind

    def exchange(self, raw: bytes, *, reply: bytes | tuple[bytes | None, ...] = OK, closes: bool = False) -> Exchanged:
        """Send this; read an answer to each request that it begins, up to the end of the connection.

        `closes`: do not half-close, because the gateway is to close by itself.
        """
        behind = self.behind
        behind.reply = reply if isinstance(reply, tuple) else (reply,)
        behind.sent, behind.raw = [], b""
        answers = []
        with connected(self.gate.address) as wire:
            wire.send(raw)
            if not closes:
                wire.finish()
            head = raw.lstrip(b"\r\n").startswith(b"HEAD ")
            closed = False
            while not closed:
                try:
                    answers.append(wire.receive(to="HEAD" if head else "GET"))
                except (BadResponse, ConnectionResetError):
                    closed = True
        return Exchanged(tuple(answers), tuple(behind.sent), closed)

    def broken(self, raw: bytes, reply: tuple[bytes | None, ...]) -> bytes:
        """Send this; return the bytes that come before the gateway breaks off."""
        self.behind.reply = reply
        with connected(self.gate.address) as wire:
            wire.send(raw)
            received = b""
            try:
                while data := wire.socket.recv(65536):
                    received += data
            except ConnectionResetError:
                pass
            return received


@contextmanager
def scene() -> Iterator[Scene]:
    """Set it up: `/hello` is the gate's own, `/open/*` goes on as it is, everything else needs a token."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        behind = Behind(listening)
        proxy = Proxy(Upstream(*listening.getsockname()))
        routes = (route("/hello", HELLO), route("/open/*", proxy, auth="none"), route("/*", proxy))
        with running(*routes) as gate:
            yield Scene(gate, behind)
