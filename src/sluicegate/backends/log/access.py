"""The access log: one line of JSON a request, written by a thread of its own. Never a token, a query or a header.

The event loop only puts lines on a queue. A disk that is full or a pipe that nobody reads costs lines, which are
counted, and never a request.
"""

import datetime as dt
import json
import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

import msgspec

from sluicegate.backends.log.decisions import ABSENT, masked
from sluicegate.core.decision import Reason
from sluicegate.ports import Visit

_MOST_HELD: Final = 4 << 20  # bytes of lines that may wait; past it, new ones are dropped
_PACE: Final = 0.1  # seconds for which lines are gathered into one write
_LAST_WORDS: Final = 2.0  # seconds that closing waits for what is left
_LONGEST_NAME: Final = 256
_PIPE: Final = 4096  # PIPE_BUF of Linux: so much is written whole, or not at all, beside other processes
_STANDARD: Final = {"stdout": 1, "stderr": 2}
_REASONS: Final = frozenset(reason.value for reason in Reason)


def line_of(visit: Visit, source: dict[str, Any], stamp: str) -> bytes:
    """Write a request as a line; what a client chose cannot break out of it, and is bounded."""
    took = visit.upstream_took
    fields = {
        "time": stamp,
        "id": visit.id,
        "client": visit.client,
        "method": visit.method or None,
        "path": masked(visit.path) if visit.path else None,
        "status": visit.status,
        "bytes": visit.sent,
        "took_ms": round(visit.took * 1000, 3),
        "user": _bounded(visit.user) if visit.user is not None else None,
        "decision": "refused" if visit.reason in _REASONS else visit.decision,
        "reason": visit.reason or None,
        "route": visit.route,
        "upstream": visit.upstream,
        "upstream_ms": None if took is None or took < 0 else round(took * 1000, 3),
        "complete": visit.whole,
    } | source
    try:
        line = msgspec.json.encode(fields)
    except UnicodeEncodeError:  # a lone surrogate
        line = b"\x7f"
    if not line.isascii() or b"\x7f" in line:  # JSON would let pass what a terminal acts on
        line = json.dumps(fields, separators=(",", ":")).encode()
    return line + b"\n"


def _bounded(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + ABSENT


@final
class AccessLog:
    """Writes to `place`: a file, or "stdout" or "stderr". A file that was renamed or taken away is opened anew.

    `source` is what every line ends with: who of several says it. `note` is told, once each time, that lines are lost
    and why. Raises `OSError` where the file cannot be written to.
    """

    def __init__(
        self,
        place: Path | str,
        *,
        source: dict[str, Any] | None = None,
        note: Callable[[str], object] = str,
        most_held: int = _MOST_HELD,
    ) -> None:
        self._path: Final = place if isinstance(place, Path) else None
        self._source: Final = source or {}
        self._note: Final = note
        self._most_held: Final = most_held
        self._descriptor = -1 if isinstance(place, Path) else _STANDARD[place]
        self._lines: Final[deque[bytes]] = deque()
        self._put = self._taken = 0  # bytes: the one counted by whoever puts, the other by the thread
        self._second, self._stamp = 0, ""
        self.dropped = 0
        """Lines that were lost."""
        self.fault: str | None = None
        """Why lines are being lost."""
        self._torn = False
        self._wake: Final = threading.Event()
        self._is_over: Final = threading.Event()
        if self._path is not None and not _is_pipe(self._path):  # one that nobody reads yet would make us wait
            self._descriptor = _open(self._path)
        self._thread: threading.Thread | None = None

    def ended(self, visit: Visit) -> None:
        """Take note of a request whose answer is over."""
        second = int(visit.at)
        if second != self._second:
            self._second = second
            self._stamp = dt.datetime.fromtimestamp(second, dt.UTC).isoformat()[:19]
        if self._put - self._taken > self._most_held:
            self.dropped += 1
            return
        line = line_of(visit, self._source, f"{self._stamp}.{int(visit.at * 1000) % 1000:03}Z")
        self._put += len(line)
        self._lines.append(line)
        if not self._wake.is_set():
            self._begin()

    def _begin(self) -> None:
        if self._thread is None:  # not before: a process that forks takes no thread with it
            self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
            self._thread.start()
        self._wake.set()

    def report(self) -> dict[str, Any]:
        """Say how it is, for operators."""
        return {"dropped": self.dropped, "fault": self.fault}

    def close(self) -> None:
        """Write what is left, in bounded time. What a pipe does not take is lost."""
        self._is_over.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_LAST_WORDS)
        if self._path is not None and self._descriptor >= 0 and not (self._thread and self._thread.is_alive()):
            os.close(self._descriptor)
            self._descriptor = -1

    # the thread

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._wake.wait()
            self._is_over.wait(_PACE)
            self._wake.clear()
            self._write_all()
        self._write_all()

    def _write_all(self) -> None:
        while self._lines:
            batch = []
            size = 0
            while self._lines and size < self._most_held:
                batch.append(self._lines.popleft())
                size += len(batch[-1])
            try:
                self._renew()
                written = self._write(batch)
            except OSError as error:
                written = 0
                self._trouble(error.strerror or type(error).__name__)
            if written < len(batch):
                self.dropped += len(batch) - written
            else:
                self.fault = None
            self._taken += size

    def _trouble(self, why: str) -> None:
        if self.fault != why:
            self.fault = why
            self._note(why)

    def _renew(self) -> None:
        """Open the file that has the name now: whoever rotates logs renames them. Raises `OSError`."""
        path = self._path
        if path is None:
            return
        if self._descriptor >= 0:
            ours = os.fstat(self._descriptor)
            with suppress(FileNotFoundError):
                there = path.stat()
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return
            os.close(self._descriptor)
            self._descriptor = -1
        self._descriptor = _open(path)
        self._torn = False

    def _write(self, batch: list[bytes]) -> int:
        """Write lines; return how many are whole. Raises `OSError` where none could be."""
        # beside other processes a file takes any write whole (O_APPEND), a pipe only short ones
        most = self._most_held if stat.S_ISREG(os.fstat(self._descriptor).st_mode) else _PIPE
        done = 0
        while done < len(batch):
            piece, size = done, len(self._torn * b"\n")
            while piece < len(batch) and (piece == done or size + len(batch[piece]) <= most):
                size += len(batch[piece])
                piece += 1
            data = self._torn * b"\n" + b"".join(batch[done:piece])
            try:
                taken = os.write(self._descriptor, data)
            except OSError as error:
                self._trouble(error.strerror or type(error).__name__)
                return done
            self._torn = taken < len(data)
            if self._torn:  # a disk that is full took part of it; what follows begins a line of its own
                self._trouble("No space left on device")
                return done + data[:taken].count(b"\n") - (data[:1] == b"\n")
            done = piece
        return done


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _is_pipe(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False
