"""A steady load, by clients that never try twice: on connections that they keep, and on new ones."""

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, final

Address = tuple[str, int]

_KEPT: Final = 20
_WITHIN: Final = 15.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no whole answer, or the wrong one. Times are of the monotonic clock."""

    connected: float
    """When its connection was opened, or was tried to be."""
    sent: float
    kept: bool
    why: str


@dataclass(slots=True)
class Tally:
    """What became of the load."""

    answered: int = 0
    failures: list[Failure] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)
    """The processes that answered, from the ids of their requests."""


class _Failed(Exception):  # noqa: N818 - says what happened
    pass


@final
class _Client:
    """One client, on one connection at a time."""

    def __init__(self, load: "Load", tally: Tally, *, kept: bool) -> None:
        self._load = load
        self._tally = tally
        self._kept = kept
        self._connected = 0.0
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> None:
        """Send one request, and count what came of it."""
        sent = time.monotonic()
        try:
            await asyncio.wait_for(self._exchange(), _WITHIN)
            self._tally.answered += 1
        except (OSError, TimeoutError, asyncio.IncompleteReadError, _Failed) as error:
            await self.close()
            self._tally.failures.append(Failure(self._connected, sent, self._kept, repr(error)))

    async def close(self) -> None:
        """Leave, and wait until we have left."""
        if self._open is not None:
            _, writer = self._open
            self._open = None
            writer.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), _WITHIN)

    async def _exchange(self) -> None:
        if self._open is not None and self._open[0].at_eof():
            await self.close()  # the server has closed it between two requests, which it may
        if self._open is None:
            self._connected = time.monotonic()
            self._open = await asyncio.open_connection(*self._load.address, ssl=self._load.tls)
        reader, writer = self._open
        writer.write(self._load.message)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await reader.readexactly(int(fields["content-length"]))
        if not head.startswith("http/1.1 200 "):
            raise _Failed(head.partition("\r\n")[0])
        self._tally.pids.add(int(fields["x-request-id"].split("-")[1], 16))
        if not self._kept or fields.get("connection") == "close":
            await self.close()


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent where, and how often: so many requests a second."""

    address: Address
    message: bytes
    tls: ssl.SSLContext | None
    kept: int
    new: int


@contextmanager
def load(
    address: Address, message: bytes, *, kept: int = 500, new: int = 500, tls: ssl.SSLContext | None = None
) -> Iterator[Tally]:
    """Send so many requests a second for as long as the block lasts, and have all answers when it ends."""
    tally = Tally()
    over = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_run(Load(address, message, tls, kept, new), tally, over)))
    thread.start()
    try:
        wait_for(lambda: tally.answered > 50 or bool(tally.failures), "the load to begin")
        yield tally
    finally:
        over.set()
        thread.join()


async def _run(load: Load, tally: Tally, over: threading.Event) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(_KEPT):
            client = _Client(load, tally, kept=True)
            group.create_task(_keep(client, over, _KEPT / load.kept, number / load.kept))
        group.create_task(_come_and_go(load, tally, over))


async def _keep(client: _Client, over: threading.Event, period: float, first: float) -> None:
    due = time.monotonic() + first
    while not over.is_set():
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due += period
        await client.ask()
    await client.close()


async def _come_and_go(load: Load, tally: Tally, over: threading.Event) -> None:
    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while not over.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += 1 / load.new
            group.create_task(_Client(load, tally, kept=False).ask())


def wait_for(condition: object, what: str, *, within: float = 20.0) -> None:
    """Wait until a condition holds; fail the test when it does not in time."""
    assert callable(condition)
    deadline = time.monotonic() + within
    glance = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited {within:g} s for {what}"
        with suppress(TimeoutError):
            glance.wait(0.01)
