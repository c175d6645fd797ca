"""Bytes to a server and bytes back: an HTTP/1.1 client that sends whatever it is told, well formed or not.

It never repairs a request, never retries, never follows, and reads answers strictly: what RFC 9112 does not allow in a
response raises `BadResponse`.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

Address = tuple[str, int] | Path
"""A host and a TCP port, or the path of a Unix socket."""

WITHIN: Final = 10.0
"""Seconds that one read or write may take; a busy machine needs some, a server that says nothing gets no more."""

_HEAD_LIMIT: Final = 64 * 1024
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?")


class BadResponse(AssertionError):  # noqa: N818 - names what came back
    """What came back is no HTTP/1.1 response, or ended before it was whole."""


@dataclass(frozen=True, slots=True)
class Response:
    """One response: header names as the server spelt them, in order; `body` without its transfer coding."""

    status: int
    phrase: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()
    interim: tuple["Response", ...] = field(default=())
    """The 1xx responses that came before it."""

    def all(self, name: str) -> tuple[str, ...]:
        """Each value of a header, in order."""
        return tuple(value for spelt, value in self.headers if spelt.lower() == name.lower())

    def header(self, name: str) -> str | None:
        """The value of a header, or None; raises `BadResponse` when there is more than one."""
        values = self.all(name)
        if len(values) > 1:
            raise BadResponse(f"{len(values)} times {name}: {values}")
        return values[0] if values else None


@final
class Wire:
    """One connection. Requests may be sent in pieces, and several before the first answer is read."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = bytearray()

    def send(self, data: bytes) -> None:
        """Send these bytes as they are."""
        self.socket.sendall(data)

    def finish(self) -> None:
        """Say that nothing more will be sent (a TCP half-close); answers can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self, *, to: str = "GET") -> Response:
        """Read one response to a request with this method, which decides whether a body follows (HEAD, CONNECT).

        Raises `BadResponse` when it is malformed or the server closes before its end, and `TimeoutError` when the
        server says nothing for the connection's time limit.
        """
        interim = []
        # 101 is the last response of this protocol on the connection, though its number is a 1xx.
        while (head := self.receive_head()).status in range(100, 200) and head.status != 101:
            interim.append(head)
        body, trailers = self._body_of(head, to)
        return Response(head.status, head.phrase, head.headers, body, trailers, tuple(interim))

    def receive_head(self) -> Response:
        """Read one response up to its empty line, and leave the body unread: for streams."""
        head = self._read_until(b"\r\n\r\n")
        status_line, _, fields = head.partition(b"\r\n")
        matched = _STATUS_LINE.fullmatch(status_line)
        if matched is None:
            raise BadResponse(f"not a status line: {status_line!r}")
        return Response(int(matched[1]), matched[2].decode("latin-1"), _fields(fields))

    def receive_chunk(self) -> bytes:
        """Read one chunk of a chunked body; empty at its end, where the trailers are still to be read."""
        size = _chunk_size(self._read_until(b"\r\n"))
        data = self.read_exactly(size)
        if size and self.read_exactly(2) != b"\r\n":
            raise BadResponse("a chunk does not end where its size says")
        return data

    def read_exactly(self, size: int) -> bytes:
        """Read so many bytes; raises `BadResponse` when the server closes before."""
        while len(self._buffer) < size:
            self._read_more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def read_to_end(self) -> bytes:
        """Read until the server closes the connection."""
        while data := self.socket.recv(65536):
            self._buffer += data
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def is_closed(self) -> bool:
        """Wait until the server has closed the connection without another byte; False when bytes came instead.

        A reset counts as closed: a server that refuses a request need not read the rest of it. Raises `TimeoutError`
        when the connection stays open for the time limit.
        """
        try:
            return not self._buffer and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _body_of(self, head: Response, method: str) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        # RFC 9112, 6.3: these have no body, whatever their headers say.
        if method == "HEAD" or head.status in {101, 204, 304} or (method == "CONNECT" and head.status // 100 == 2):
            return b"", ()
        coding, length = head.header("Transfer-Encoding"), head.header("Content-Length")
        if coding is not None and length is not None:
            raise BadResponse("Content-Length beside Transfer-Encoding")
        if coding is not None:
            if coding.lower() != "chunked":
                raise BadResponse(f"Transfer-Encoding: {coding}")
            return self._chunked()
        if length is None:
            return self.read_to_end(), ()
        if not length.isascii() or not length.isdigit():
            raise BadResponse(f"Content-Length: {length}")
        return self.read_exactly(int(length)), ()

    def _chunked(self) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        body = bytearray()
        while chunk := self.receive_chunk():
            body += chunk
        trailers = []
        while line := self._read_until(b"\r\n"):
            trailers.append(line)
        return bytes(body), _fields(b"\r\n".join(trailers))

    def _read_until(self, end: bytes) -> bytes:
        while (found := self._buffer.find(end)) < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise BadResponse(f"no {end!r} in {_HEAD_LIMIT} bytes")
            self._read_more()
        data = bytes(self._buffer[:found])
        del self._buffer[: found + len(end)]
        return data

    def _read_more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise BadResponse(f"the server closed the connection after {bytes(self._buffer)!r}")
        self._buffer += data


@contextmanager
def connected(address: Address, *, tls: ssl.SSLContext | None = None, within: float = WITHIN) -> Iterator[Wire]:
    """Connect, and close with the block. `within`: seconds that one read or write may take.

    With `tls`, the server must prove to be the host that the address names.
    """
    with _connect(address, within) as plain:
        if tls is None:
            yield Wire(plain)
            return
        host = "localhost" if isinstance(address, Path) else address[0]
        with tls.wrap_socket(plain, server_hostname=host) as encrypted:
            yield Wire(encrypted)


def exchange(
    address: Address, request: bytes, *, tls: ssl.SSLContext | None = None, within: float = WITHIN
) -> Response:
    """Send one request on a connection of its own and read one response; the method is the request's first word."""
    with connected(address, tls=tls, within=within) as wire:
        wire.send(request)
        return wire.receive(to=request.partition(b" ")[0].decode("latin-1"))


def request(
    target: str, *headers: tuple[str, str], method: str = "GET", host: str = "gate.test", body: bytes = b""
) -> bytes:
    """Spell a well-formed request; `Content-Length` is added for a body, and nothing is escaped or checked."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def _connect(address: Address, within: float) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, within)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(within)
    connection.connect(str(address))
    return connection


def _fields(lines: bytes) -> tuple[tuple[str, str], ...]:
    fields = []
    for line in lines.split(b"\r\n") if lines else ():
        matched = _FIELD.fullmatch(line)
        if matched is None:
            raise BadResponse(f"not a header field: {line!r}")
        fields.append((matched[1].decode("ascii"), matched[2].decode("latin-1")))
    return tuple(fields)


def _chunk_size(line: bytes) -> int:
    matched = _CHUNK_SIZE.fullmatch(line)
    if matched is None:
        raise BadResponse(f"not a chunk size: {line!r}")
    return int(matched[1], 16)
