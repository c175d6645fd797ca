"""Readers by the thousand, in a process of their own: they open streams, read them, and count what comes.

They know nothing of HTTP but where an answer's head ends, so that the same readers serve for every peer.
"""

import multiprocessing
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final, cast, final

from bench.load import LOAD_CORE

MARK: Final = b"~"
"""Stands once in every message, so that counting it counts messages, however they are cut."""

_AT_ONCE: Final = 100
_WITHIN: Final = 60.0
_SOURCES: Final = 8  # addresses on loopback: ports of one would run out


@final
class Readers:
    """The streams of one process of readers, as whoever measures asks for them."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe: Final = pipe

    def open(self, address: tuple[str, int], heads: Sequence[bytes]) -> None:
        """Open a stream for each of these requests; return when all have begun. Raises `RuntimeError`."""
        self._ask("open", address, list(heads))

    def count(self, messages: int) -> float:
        """Wait until so many further messages have come; return the seconds until the last.

        Raises `RuntimeError`.
        """
        return self._ask("count", messages)

    def ended(self, streams: int) -> float:
        """Wait until so many streams have ended; return the seconds until the last. Raises `RuntimeError`."""
        return self._ask("ended", streams)

    def close(self) -> None:
        """Leave all streams."""
        self._ask("close")

    def _ask(self, *words: object) -> float:
        self._pipe.send(words)
        failed, answer = self._pipe.recv()
        if failed:
            raise RuntimeError(failed)
        return float(answer)


@contextmanager
def readers() -> Iterator[Readers]:
    """Run a process of readers until the block ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Readers(ours)
    finally:
        ours.close()
        process.join(10)
        process.kill()


def _serve(pipe: Connection) -> None:
    os.sched_setaffinity(0, {int(LOAD_CORE) % (os.cpu_count() or 1)})
    crowd = _Crowd()
    does: dict[str, Callable[..., float]] = {
        "open": crowd.open,
        "count": crowd.count,
        "ended": crowd.ended,
        "close": crowd.close,
    }
    while True:
        try:
            name, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("", does[name](*arguments)))
        except (OSError, _Failed) as failed:
            pipe.send((f"{name}: {failed!r}", 0.0))


class _Failed(Exception):  # noqa: N818 - what happened
    """The streams are not as whoever measures wants them."""


@final
class _Crowd:
    def __init__(self) -> None:
        self._selector = selectors.EpollSelector()
        self._opened = 0
        self._seen = 0

    def open(self, address: tuple[str, int], heads: list[bytes]) -> float:
        begun = time.monotonic()
        waiting = iter(heads)
        opening = 0
        left = len(heads)
        deadline = begun + _WITHIN
        while left:
            while opening < _AT_ONCE and (head := next(waiting, None)) is not None:
                self._opened += 1
                opening += 1
                one = socket.socket()
                one.setblocking(False)  # noqa: FBT003 - the standard library's
                one.bind((f"127.0.0.{2 + self._opened % _SOURCES}", 0))
                one.connect_ex(address)
                self._selector.register(one, selectors.EVENT_WRITE, head)
            for key, _ in self._selector.select(1):
                one = cast("socket.socket", key.fileobj)
                if key.data is None:
                    self._seen += one.recv(65536).count(MARK)
                elif isinstance(key.data, bytes):
                    one.send(key.data)
                    self._selector.modify(one, selectors.EVENT_READ, bytearray())
                else:
                    data = one.recv(65536)
                    key.data.extend(data)
                    if not data or (b"\r\n\r\n" in key.data and not key.data.startswith(b"HTTP/1.1 200")):
                        raise _Failed(bytes(key.data)[:300])
                    if b"\r\n\r\n" in key.data:
                        self._seen += key.data.count(MARK)
                        self._selector.modify(one, selectors.EVENT_READ)
                        opening -= 1
                        left -= 1
            if time.monotonic() > deadline:
                raise _Failed(f"{left} streams have not begun")
        return time.monotonic() - begun

    def count(self, messages: int) -> float:
        begun = time.monotonic()
        seen, select = self._seen, self._selector.select
        while seen < messages:
            ready = select(_WITHIN)
            if not ready:
                self._seen = seen
                raise _Failed(f"{seen} of {messages} messages came")
            for key, _ in ready:
                data = cast("socket.socket", key.fileobj).recv(65536)
                if not data:
                    raise _Failed("a stream has ended")
                seen += data.count(MARK)
        self._seen = seen - messages
        return time.monotonic() - begun

    def ended(self, streams: int) -> float:
        begun = time.monotonic()
        while streams:
            ready = self._selector.select(_WITHIN)
            if not ready:
                raise _Failed(f"{streams} streams have not ended")
            for key, _ in ready:
                one = cast("socket.socket", key.fileobj)
                if not one.recv(65536):
                    self._selector.unregister(one)
                    one.close()
                    streams -= 1
        return time.monotonic() - begun

    def close(self) -> float:
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            cast("socket.socket", key.fileobj).close()
        return 0.0
