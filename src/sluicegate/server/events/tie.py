"""What ties an exchange with an upstream to the token that opened it: event streams, and whatever takes long.

A short one is over before anybody could revoke anything, and costs nothing here.
"""

import asyncio
import random
import re
from collections.abc import Callable
from typing import Final, Protocol, final

from sluicegate.core.claims import Identifiers
from sluicegate.core.decision import Admit, Refuse
from sluicegate.core.policy import Policy
from sluicegate.server.connection.intake import Exchange
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.events.ends import end_of
from sluicegate.server.events.live import Live
from sluicegate.server.events.stream import parting
from sluicegate.sse.event import chunk

LONG: Final = 0.5
"""Seconds after which whatever is not over is tied to its token: a question, an answer, or the wait between them."""

_OF_THE_GRACE: Final = 0.8
_EVENT_STREAM: Final = re.compile(rb"\ncontent-type:[ \t]*text/event-stream[ \t]*[;\r]", re.IGNORECASE)
_ENCODED: Final = re.compile(rb"\ncontent-encoding:", re.IGNORECASE)
# An empty line, which ends an event: the last three bytes tell, as a line ends in CR, LF or both (WHATWG HTML, 9.2.5).
_DISPATCHED: Final = (b"\n\n", b"\r\r", b"\n\r", b"\n\r\n", b"\r\r\n")
_NEXT: Final = b"\n\n"
_TELLING: Final = 3


class Tied(Exchange, Protocol):
    """What a token has opened: an exchange that can also be refused."""

    def refuse(self, refuse: Refuse) -> bool:
        """Answer with this, where nothing was answered yet; tell whether that could be said."""
        ...


@final
class Guard:
    """Ties responses to tokens, on one event loop.

    `spread`: seconds over which the readers of event streams are sent away when we stop.
    """

    def __init__(self, live: Live, policy: Policy, *, spread: float = 0) -> None:
        self._spread: Final = spread
        self.live: Final = live
        self._policy: Final = policy
        self._streams: Final[dict[Tie, None]] = {}

    def drain(self, grace: float) -> None:
        """Send the readers of all event streams away, one after another and in less than the grace: they come back."""
        loop, spread = asyncio.get_running_loop(), min(self._spread, grace * _OF_THE_GRACE)
        for tie in list(self._streams):
            if spread:
                loop.call_later(random.random() * spread, tie.leave)  # noqa: S311 - jitter
            else:
                tie.leave()

    def streams(self, tie: "Tie") -> None:
        """Take note that what is held is an event stream, whose reader is sent away when we stop."""
        self._streams[tie] = None

    def forget(self, tie: "Tie") -> None:
        """Let go of a response that was held and has ended."""
        self.live.discard(tie)
        self._streams.pop(tie, None)

    def tie(self, client: Connection, decision: Admit | None, exchange: Tied, *, begun: float) -> "Tie | None":
        """Return what ties this exchange, which has `begun` then; None where no token was asked for."""
        if decision is None or decision.identifiers is None or decision.identity is None:
            return None
        ends = end_of(decision.identity.expires_at, self._policy.leeway)
        return Tie(self, client, exchange, decision.identifiers, begun=begun, ends=ends)

    def hold(self, tie: "Tie") -> None:
        """Take note of a response, and then ask once more whether its token is good: nothing falls between."""
        if tie.is_stream:
            self.streams(tie)
        self.live.hold(tie)


@final
class Tie:
    """One exchange and its token. `begun` is the event loop's time, `ends` that of the token, since the epoch."""

    __slots__ = (
        "_begun",
        "_client",
        "_exchange",
        "_guard",
        "_is_held",
        "_is_leaving",
        "_is_passing",
        "_is_spoken",
        "_last",
        "_tunnel",
        "ends",
        "identifiers",
        "is_over",
        "is_stream",
    )

    def __init__(
        self,
        guard: Guard,
        client: Connection,
        exchange: Tied,
        identifiers: Identifiers,
        *,
        begun: float,
        ends: float,
    ) -> None:
        self._guard: Final = guard
        self._client: Final = client
        self._exchange: Final = exchange
        self.identifiers: Final = identifiers
        self.ends: Final = ends
        self._begun: Final = begun
        self.is_stream = False
        self._is_spoken = False
        self._is_held = False
        self._is_passing = False
        self._is_leaving = False
        self.is_over = False
        self._last = _NEXT
        self._tunnel: Callable[[Refuse], None] | None = None

    def begins(self, lines: bytes, *, chunked: bool) -> bool:
        """Take note that the response begins, with these header lines; tell whether it is an event stream.

        `chunked` tells that we put its pieces into chunks.
        """
        self.is_stream = _EVENT_STREAM.search(lines) is not None
        # a last word fits only where chunks are ours to write, and what they hold is plain text
        self._is_spoken = self.is_stream and chunked and _ENCODED.search(lines) is None
        if self.is_stream and self._is_held:
            self._guard.streams(self)
        return self.is_stream

    def passed(self, piece: bytes, now: float) -> bool:
        """Take note of a piece that went to the client and is not the last, at the event loop's time.

        May end the response. Tells, once, that it is held from here on, because it may last.
        """
        if piece and self._is_spoken:
            self._last = piece[-_TELLING:] if len(piece) >= _TELLING else (self._last + piece)[-_TELLING:]
            if self._is_leaving:
                self.leave()
        if self.is_stream or now - self._begun >= LONG:
            self.hold()
        has_passed, self._is_passing = self._is_passing, self._is_held
        return self._is_held and not has_passed and not self.is_over

    def hold(self) -> None:
        """Take note that it may last, and ask once more whether its token is good. May end it."""
        if not (self._is_held or self.is_over):
            self._is_held = True
            self._guard.hold(self)

    @property
    def _at_boundary(self) -> bool:
        """Tell whether what the upstream has said ends with an event, however it was cut."""
        return self._last.endswith(_DISPATCHED)

    def switch(self, end: Callable[[Refuse], None]) -> None:
        """The response has become a tunnel, which `end` ends: take note of it, and ask once more. May end it."""
        self._tunnel = end
        self.hold()

    def over(self) -> None:
        """The response has ended by itself."""
        self.is_over = True
        if self._is_held:
            self._guard.forget(self)

    def leave(self) -> None:
        """End an event stream in good order, as soon as it stands between two of the upstream's events."""
        self._is_leaving = True
        transport = self._client.transport
        if self.is_over or not self._is_spoken or not self._at_boundary or transport.get_write_buffer_size():
            return
        self.over()
        self._exchange.cancel()
        transport.write(b"0\r\n\r\n")
        self._client.finish(close=True)

    def end(self, refuse: Refuse) -> None:
        """End it: refused where nothing was answered; with a last event between two of the upstream's; or broken off.

        So nobody takes it for whole.
        """
        if self.is_over:
            return
        self.over()
        if self._tunnel is not None:
            self._tunnel(refuse)
            return
        if self._exchange.refuse(refuse):
            return
        transport = self._client.transport
        if not self._is_spoken or not self._at_boundary or transport.get_write_buffer_size():
            self._client.abort()
            return
        self._exchange.cancel()
        transport.write(chunk(parting(refuse)) + b"0\r\n\r\n")
        self._client.finish(close=True)

    def break_off(self) -> None:
        """End it without a word."""
        self.over()
        self._client.abort()
