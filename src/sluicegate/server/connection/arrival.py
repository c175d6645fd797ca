"""A connection before anything is spoken on it: from a proxy of TCP, what comes first is who its client is."""

import asyncio
from collections.abc import Callable
from typing import Final, cast, final

from sluicegate.engine import new_id
from sluicegate.server.connection.shared import MOST_TURNED_AWAY, Shared, half_close, reset
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.proxy_protocol import read
from sluicegate.server.wire.respond import last_words, problem

Inner = Callable[[str | None], asyncio.Protocol]
"""Makes what speaks with a client, given the address that was announced: see `Connection`."""

_NEVER: Final = float("inf")


@final
class Arrival(asyncio.Protocol):
    """Reads the header that a proxy sends ahead, and then lets `inner` have the connection.

    `announces` tells of an address whether it is such a proxy's. From there a header must come; from anywhere else
    none is read, so that it is no HTTP request.
    """

    __slots__ = ("_announces", "_deadline", "_held", "_inner", "_is_over", "_shared", "_speaks_http", "_transport")

    def __init__(self, shared: Shared, inner: Inner, announces: Callable[[str], bool], *, speaks_http: bool) -> None:
        self._shared: Final = shared
        self._inner: Final = inner
        self._announces: Final = announces
        self._speaks_http: Final = speaks_http
        self._transport: asyncio.Transport
        self._held = b""
        self._is_over = False
        self._deadline = _NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a header, or let the client pass."""
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        if not self._announces(name[0] if isinstance(name, tuple) else ""):
            self._let_in(None, b"")
            return
        self._deadline = self._shared.clock.now + self._shared.limits.head_time
        if self._shared.enter(self) > MOST_TURNED_AWAY:
            self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """Forget it."""
        self._shared.leave(self)

    def data_received(self, data: bytes) -> None:
        """Read on in the header."""
        if self._is_over:
            return
        self._held += data
        try:
            announced = read(self._held)
        except Malformed as malformed:
            self._turn_away(malformed)
            return
        if announced is not None:
            self._shared.connections.pop(self, None)
            self._let_in(announced.address, self._held[announced.size :])

    def eof_received(self) -> bool:
        """Nothing more comes: nobody is there."""
        return False

    def _let_in(self, address: str | None, rest: bytes) -> None:
        inner = self._inner(address)
        self._transport.set_protocol(inner)
        inner.connection_made(self._transport)
        if rest:
            inner.data_received(rest)

    def _turn_away(self, malformed: Malformed) -> None:
        """End with a proxy that is not set up as we are; where it can be told why, it is."""
        self._is_over = True
        self._deadline = self._shared.clock.now + self._shared.limits.linger_time
        if self._speaks_http and self._held[:1].isalpha():
            answer = problem(malformed.status, malformed.reason, str(malformed), request_id=new_id())
            self._transport.write(last_words(answer, self._shared.clock.date))
        if not half_close(self._transport):
            self._transport.close()

    # the listener calls these

    def drain(self, quiet: float) -> None:
        """The listener stops."""
        self._deadline = min(self._deadline, self._shared.clock.now + quiet)

    def abort(self) -> None:
        """Break off."""
        self._transport.abort()

    def sweep(self, now: float) -> bool:
        """End what is late."""
        is_late = now >= self._deadline
        if is_late:
            reset(self._transport)
        return is_late
