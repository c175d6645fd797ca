"""A server that answers as it is told, well or badly: one thread a connection, and a record of what it was asked.

A behaviour gets the connection and the request, writes what it likes, and says whether the connection stays open.
"""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, final

from tests.servers.certificates import Certificate
from tests.servers.ports import LOOPBACK

LONG_ENOUGH: Final = 30.0
"""Seconds that a behaviour may wait for something; a server that hangs ends with its block all the same."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it came; header names are lower case."""

    line: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """Counts the connections, from 1."""

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.body)


Behaviour = Callable[["Talk", Received], bool]


@final
@dataclass(slots=True)
class Talk:
    """One connection: what a behaviour writes on, and the server's end to wait for."""

    connection: socket.socket
    over: threading.Event

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def linger(self, seconds: float = LONG_ENOUGH) -> None:
        """Wait, until the test is over or the client has gone away."""
        self.connection.settimeout(0.05)
        for _ in range(int(seconds / 0.05)):
            if self.over.is_set():
                return
            with suppress(TimeoutError):
                if not self.connection.recv(1):
                    return


@final
@dataclass(slots=True)
class Endpoint:
    """Where it listens, how it behaves now, and what it was asked so far."""

    url: str
    port: int
    behaviour: Behaviour
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, connection: socket.socket) -> None:
        with self.lock:
            self.connections += 1
            number = self.connections
        with connection, suppress(OSError):
            reader = connection.makefile("rb")
            while not self.over.is_set():
                request = _read(reader, number)
                if request is None:
                    return
                with self.lock:
                    self.received.append(request)
                if not self.behaviour(Talk(connection, self.over), request):
                    return


def _read(reader: Any, number: int) -> Received | None:  # noqa: ANN401 - a buffered reader
    line = reader.readline().decode("latin-1").rstrip("\r\n")
    if not line:
        return None
    headers = {}
    while field_line := reader.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = field_line.partition(":")
        headers[name.lower()] = value.strip()
    return Received(line, headers, reader.read(int(headers.get("content-length", "0"))), number)


@contextmanager
def endpoint(
    behaviour: Behaviour, *, certificate: Certificate | None = None, client_ca: Certificate | None = None
) -> Iterator[Endpoint]:
    """Serve on a free loopback port until the block ends, over TLS when there is a certificate.

    `client_ca`: clients must show a certificate of the authority that signed this one.
    """
    listener = socket.create_server((LOOPBACK, 0), backlog=512)
    port = listener.getsockname()[1]
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.cert_file, certificate.key_file)
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca.ca_file)
    scheme = "http" if context is None else "https"
    served = Endpoint(f"{scheme}://{LOOPBACK}:{port}/verify", port, behaviour)
    threads: list[threading.Thread] = []

    def take(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.settimeout(LONG_ENOUGH)
            served.serve(connection if context is None else context.wrap_socket(connection, server_side=True))
        connection.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=take, args=(connection,), daemon=True)
                threads.append(thread)
                thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield served
    finally:
        served.over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()


# how a webhook may behave


def answers(body: bytes | Mapping[str, Any], *, status: int = 200, headers: str = "") -> Behaviour:
    """Answer, and keep the connection."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n{headers}\r\n"

    def behave(talk: Talk, _: Received) -> bool:
        talk.send(head.encode() + content)
        return True

    return behave


def says(*parts: bytes, then: str = "close") -> Behaviour:
    """Write these bytes, one write each; then "close", or "hang" without a word, or "keep" the connection."""

    def behave(talk: Talk, _: Received) -> bool:
        for part in parts:
            talk.send(part)
        if then == "hang":
            talk.linger()
        return then == "keep"

    return behave


def trickles(start: bytes, byte: bytes, *, every: float = 0.05) -> Behaviour:
    """Write a beginning, then one byte at a time for as long as the client is there."""

    def behave(talk: Talk, _: Received) -> bool:
        talk.send(start)
        while not talk.over.wait(every):
            talk.send(byte)
        return False

    return behave


def floods(start: bytes, piece: bytes) -> Behaviour:
    """Write a beginning, then the same piece for as long as the client takes it."""

    def behave(talk: Talk, _: Received) -> bool:
        talk.send(start)
        while not talk.over.is_set():
            talk.send(piece)
        return False

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Behave in one way after another; the last for ever."""
    left = list(behaviours)

    def behave(talk: Talk, request: Received) -> bool:
        return (left.pop(0) if len(left) > 1 else left[0])(talk, request)

    return behave
