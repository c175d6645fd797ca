"""Connections to one upstream: opened when needed, kept while fresh, thrown away when in doubt."""

import asyncio
import os
import time
from contextlib import suppress
from typing import Any, Final, Protocol, cast, final

from sluicegate.core.events import Cause, UpstreamAnswered, UpstreamFailed
from sluicegate.ports import Instrument
from sluicegate.server.connection.bare import BareSockets
from sluicegate.server.connection.shared import Clock
from sluicegate.server.proxy.dial import dial
from sluicegate.server.proxy.outage import Outage
from sluicegate.server.routes import Upstream
from sluicegate.server.wire.limits import Limits
from sluicegate.server.wire.reply import ReplyReader

_PIECE: Final = 65_536
_TURNS: Final = 3  # of the loop, until what is written is with the kernel


class Listening(Protocol):
    """Takes what an upstream sends."""

    def received(self, data: bytes) -> None:
        """Take some bytes of the response."""
        ...

    def lost(self, *, clean: bool) -> None:
        """Take note that the connection ended; `clean`: the upstream closed it in good order."""
        ...

    def upstream_full(self, *, full: bool) -> None:
        """Take note that the upstream is slow to read, or has caught up."""
        ...

    def lasts(self, now: float) -> None:
        """Take note that it is not over yet, at the event loop's time; called some times a second."""
        ...


class _Sipping(Protocol):
    """What asyncio's transports over TLS have, and its types do not say."""

    def set_read_buffer_limits(self, high: int, low: int) -> None:
        """Say how much may be read ahead of whoever takes it."""
        ...


@final
class Link(asyncio.Protocol):
    """A connection to an upstream. It carries one exchange at a time."""

    __slots__ = ("_is_ended", "_pool", "choked", "deadline", "listening", "paused", "reader", "transport", "used")

    def __init__(self, pool: "Pool") -> None:
        self._pool: Final = pool
        self.transport: asyncio.Transport
        self.listening: Listening | None = None
        self.reader: Final = ReplyReader()
        self.used = False
        self._is_ended = False
        self.choked = False
        self.paused = False
        self.deadline = pool.clock.now + pool.limits.upstream_idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Belong to the pool from here on, so that nothing is left open whoever gives up."""
        self.transport = cast("asyncio.Transport", transport)
        self._pool.links.add(self)
        if self._pool.upstream.tls is not None:
            # nothing is read ahead while we pause: uvloop throws what it holds away when it sees the other side's FIN
            cast("_Sipping", transport).set_read_buffer_limits(1, 0)

    def eof_received(self) -> None:
        """Take note that the upstream ended in good order: over TLS, with a close_notify (RFC 8446, 6.1).

        Without one the connection is lost and not ended, however politely TCP puts it: anybody may have cut it.
        """
        self._is_ended = True
        if self.choked:  # nobody will read the rest of the request, which closing would wait for
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._pool.forget(self)
        self._pool.parting.discard(self)
        if exc is not None:
            self._hear_out()
        listening, self.listening = self.listening, None
        if listening is not None:
            listening.lost(clean=exc is None and self._is_ended)

    def _hear_out(self) -> None:
        """Hand on what had come when writing failed: who has heard enough says so, and goes without reading the rest.

        The socket is open until its protocol has been told that it is lost. Over TLS nobody can say what the bytes are.
        """
        raw = self.transport.get_extra_info("socket")
        if raw is None or self._pool.upstream.tls is not None:
            return
        with suppress(OSError):
            while self.listening is not None and (data := os.read(raw.fileno(), _PIECE)):
                self.listening.received(data)

    def data_received(self, data: bytes) -> None:
        """Hand on; an upstream that speaks unasked is not to be understood, and is left."""
        if self.listening is None:
            self.close()
        else:
            self.listening.received(data)

    def pause_writing(self) -> None:
        """The upstream is slow."""
        self.choked = True
        if self.listening is not None:
            self.listening.upstream_full(full=True)

    def resume_writing(self) -> None:
        """The upstream has caught up."""
        self.choked = False
        if self.listening is not None:
            self.listening.upstream_full(full=False)

    def go_bare(self, sockets: BareSockets) -> None:
        """A long answer has begun, like many others: hold as little for it as can be."""
        if not self.paused:
            self.transport = sockets.take(self.transport, self)

    def pause(self) -> None:
        """Read no more for now."""
        if not self.paused and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.paused and not self.transport.is_closing():
            self.paused = False
            self.transport.resume_reading()

    def part(self) -> None:
        """Close in good order where nothing is under way: over TLS the upstream is told (RFC 9112, 9.8)."""
        if self._pool.upstream.tls is None or self.transport.get_write_buffer_size():
            self.close()
            return
        self.listening = None
        self._pool.forget(self)
        self._pool.parting.add(self)
        self.transport.close()

    def close(self) -> None:
        """Close at once: what was not sent is for nobody any more."""
        self.listening = None
        self._pool.forget(self)
        self.transport.abort()


@final
class Pool:
    """The connections to one upstream, on one event loop. The freshest is used first, so that the others can age."""

    def __init__(
        self, upstream: Upstream, limits: Limits, clock: Clock, *, instrument: Instrument | None = None
    ) -> None:
        self.upstream: Final = upstream
        self.limits: Final = limits
        self.clock: Final = clock
        self._instrument: Final = instrument
        self.links: Final[set[Link]] = set()
        self.parting: Final[set[Link]] = set()
        """Those that end, and whose upstream has been told."""
        self._idle: list[Link] = []
        self._opening = 0
        self.outage: Outage | None = None
        """What it has failed at since it last answered."""

    @property
    def in_flight(self) -> int:
        """How many requests it has, or is about to get."""
        return len(self.links) - len(self._idle) + self._opening

    def take(self) -> Link | None:
        """Return an unused open connection."""
        while self._idle:
            link = self._idle.pop()
            if not link.transport.is_closing():
                return link
        return None

    def give(self, link: Link) -> None:
        """Take back a connection whose exchange is over to the last byte."""
        link.listening = None
        if len(self._idle) >= self.limits.upstream_spare or link.choked or link.transport.is_closing():
            link.part()
            return
        if not link.used:
            link.used = True
            if self.upstream.tls is not None:
                self.upstream.tls.context.remember(link.transport.get_extra_info("ssl_object"))
        if link.paused:
            link.resume()
        link.deadline = self.clock.now + self.limits.upstream_idle
        self._idle.append(link)

    async def open(self) -> Link:
        """Open a connection. Raises `UpstreamError`. The caller bounds the time, by cancelling."""
        self._opening += 1
        try:
            return await dial(self.upstream, lambda: Link(self))
        finally:
            self._opening -= 1

    def failed(self, cause: Cause, detail: str, *, request: str) -> None:
        """Take note that it failed a request with this id."""
        if self.outage is None:
            self.outage = Outage(pause=self.limits.upstream_pause, since=time.time())
        out = self.outage.failed(cause, self.clock.now)
        if self._instrument is not None:
            named = UpstreamFailed(service=str(self.upstream), cause=cause, detail=detail, request=request, out=out)
            self._instrument.noted(named)

    def answered(self) -> None:
        """Take note that it has answered a request, after it had failed some."""
        outage, self.outage = self.outage, None
        if outage is not None and outage.is_out and self._instrument is not None:
            self._instrument.noted(UpstreamAnswered(str(self.upstream)))

    def report(self) -> dict[str, Any]:
        """Say how it is, as JSON."""
        outage = self.outage
        failing = {} if outage is None else {"failing_since": outage.since, "cause": outage.cause}
        return {
            "name": str(self.upstream),
            "in_flight": self.in_flight,
            "spare": len(self._idle),
            "out_since": outage.since if outage is not None and outage.is_out else None,
            **failing,
        }

    def forget(self, link: Link) -> None:
        """Drop a connection that has ended."""
        self.links.discard(link)
        if link in self._idle:
            self._idle.remove(link)

    def sweep(self, now: float) -> None:
        """Close what was not used for long."""
        for link in [link for link in self.links if link.listening is None and now >= link.deadline]:
            link.part()

    def tend(self, now: float) -> None:
        """Tell all that is under way that it lasts."""
        for listening in [link.listening for link in self.links]:
            if listening is not None:
                listening.lasts(now)

    async def close(self) -> None:
        """Close everything. Upstreams are told, and not waited for."""
        for link in list(self.links):
            if link.listening is None:
                link.part()
            else:
                link.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for link in list(self.parting):
            link.transport.abort()
