"""Bodies of any size through a running gateway, made and checked on the way: what it takes is what matters here."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

from tests.server.upstream import Listening
from tests.wire import Address, connected, request

BLOCK: Final = bytes(range(251)) * 4178  # a little over 1 MiB, and of a length that fits no buffer

Way = Literal["up", "down"]
Framing = Literal["length", "chunks"]


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process and its workers, in bytes: what it has now, and the most that it had since `reset`."""

    now: int
    peak: int


def memory(group: int) -> Memory:
    """Look at a process group."""
    now = peak = 0
    for place in _members(group):
        lines = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        now += int(lines["VmRSS"].split()[0]) * 1024
        peak += int(lines["VmHWM"].split()[0]) * 1024
    return Memory(now, peak)


def reset(group: int) -> None:
    """Forget the most that a process group had."""
    for place in _members(group):
        (place / "clear_refs").write_text("5")


def _members(group: int) -> Iterator[Path]:
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int((place / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                yield place


def carry(gate: Address, behind: Listening, way: Way, framing: Framing, *, size: int, token: str) -> None:
    """Send a body of this size through the gateway and check each byte of it at the other end."""
    bearer = ("Authorization", f"Bearer {token}")
    field = ("Content-Length", str(size)) if framing == "length" else ("Transfer-Encoding", "chunked")
    with connected(gate, within=60) as wire:
        wire.send(request("/body", bearer, *([field] if way == "up" else []), method="PUT" if way == "up" else "GET"))
        peer = behind.accept()
        with peer.socket:
            peer.socket.settimeout(60)
            peer.request()
            if way == "down":
                peer.send(f"HTTP/1.1 200 OK\r\n{field[0]}: {field[1]}\r\n\r\n".encode())
                wire.receive_head()
            ends = (wire.socket, peer.socket) if way == "up" else (peer.socket, wire.socket)
            with _sending(ends[0], framing, size):
                Checked(ends[1], framing).read(size)


@contextmanager
def _sending(to: socket.socket, framing: Framing, size: int) -> Iterator[None]:
    def send() -> None:
        left = size
        while left:
            piece = BLOCK[:left]
            if framing == "chunks":
                to.sendall(b"%x\r\n" % len(piece))
            to.sendall(piece)
            if framing == "chunks":
                to.sendall(b"\r\n")
            left -= len(piece)
        if framing == "chunks":
            to.sendall(b"0\r\n\r\n")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)


@final
class Checked:
    """Reads a body as it comes, holds a block of it at most, and compares it with what was sent."""

    def __init__(self, connection: socket.socket, framing: Framing) -> None:
        self._file = connection.makefile("rb", buffering=1 << 20)
        self._framing = framing
        self._place = 0

    def read(self, size: int) -> None:
        """Read all of it. Raises `AssertionError` where it is not what was sent."""
        if self._framing == "length":
            self._take(size)
        else:
            while length := int(self._file.readline(), 16):
                self._take(length)
                assert self._file.readline() == b"\r\n"
            assert self._file.readline() == b"\r\n"
        assert self._place == size

    def _take(self, length: int) -> None:
        while length:
            start = self._place % len(BLOCK)
            piece = self._file.read(min(length, len(BLOCK) - start))
            assert piece, "it ended before its end"
            assert piece == BLOCK[start : start + len(piece)]
            self._place += len(piece)
            length -= len(piece)
