"""One event stream to one client: small, because there are many."""

import functools
from typing import TYPE_CHECKING, Final, Protocol, final

from sluicegate.adapters.render import refusal
from sluicegate.core.claims import Identifiers
from sluicegate.core.decision import Identity, Reason, Refuse
from sluicegate.server.connection.protocol import Connection
from sluicegate.sse.event import chunk, encode, unwrapped

if TYPE_CHECKING:
    from sluicegate.sse.subscription import Subscription, Writer

KEEPALIVE: Final = chunk(b": keepalive\n\n")
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Home(Protocol):
    """Where streams belong. `idle`: seconds after which one on which nothing has moved is over."""

    @property
    def idle(self) -> float:  # noqa: D102 - said above
        ...

    def forget(self, stream: "EventStream") -> None:
        """Let go of a stream that has ended. Told twice, it does nothing."""
        ...

    def farewell(self) -> bytes:
        """Return what is said last, after whatever was the reason: when to come back."""
        ...


def parting(refuse: Refuse) -> bytes:
    """Write the event that tells a client why its stream ends: `auth`, with the body that a refusal would have."""
    return _parting(refuse.reason)


@functools.cache
def _parting(reason: Reason) -> bytes:
    return encode(refusal(Refuse(reason=reason), request_id="").body.decode(), event="auth")


@final
class EventStream:
    """An open stream: takes events, keeps its client's pace, and ends with its token.

    `wrapped`: the client speaks HTTP/1.1, and gets chunks.
    """

    __slots__ = (
        "_client",
        "_home",
        "_identifiers",
        "ends",
        "identity",
        "number",
        "ready",
        "refused",
        "subscription",
        "wrapped",
    )

    def __init__(self, home: Home, client: Connection, number: int, *, wrapped: bool) -> None:
        self._home: Final = home
        self._client: Final = client
        self.number: Final = number
        self.wrapped: Final = wrapped
        self.ready = True
        self._identifiers: Identifiers | None = None
        self.identity: Identity | None = None
        self.ends = float("inf")
        self.subscription: Subscription | None = None
        self.refused: Refuse | None = None
        """Why it must not begin."""

    @property
    def topic(self) -> str | None:
        """What it is read from; None before it begins, and when it has ended."""
        return None if self.subscription is None else self.subscription.topic

    # as something that a token opened

    @property
    def is_guarded(self) -> bool:
        """Tell whether a token opened it."""
        return self._identifiers is not None

    @property
    def identifiers(self) -> Identifiers:
        """What its token can be revoked by."""
        if self._identifiers is None:
            raise AttributeError("no token opened this stream")
        return self._identifiers

    def belongs_to(self, identity: Identity, identifiers: Identifiers, ends: float) -> None:
        """Take note of whose token it is opened by."""
        self.identity, self._identifiers, self.ends = identity, identifiers, ends

    def end(self, refuse: Refuse) -> None:
        """End with its token: with a last event where the client reads, and at once where it does not."""
        self.refused = refuse
        if self.subscription is None:
            self._home.forget(self)
        else:
            self._part(parting(refuse))

    def break_off(self) -> None:
        """End without a word."""
        self._leave()
        self._home.forget(self)
        self._client.abort()

    # as what a topic writes to

    def write(self, wrapped: bytes) -> None:
        """Take one event."""
        transport = self._client.transport
        if not transport.is_closing():
            transport.write(wrapped if self.wrapped else unwrapped(wrapped))

    def writer(self) -> "Writer":
        """Return what takes an event: the connection itself, wherever it can."""
        return self._client.transport if self.wrapped else self

    def overflow(self) -> None:
        """Be cut off: the client does not keep up."""
        self._client.abort()

    def keepalive(self) -> None:
        """Show that the stream is alive, to the client and to whatever is between."""
        subscription = self.subscription
        if subscription is not None and not subscription.is_paused:
            self.write(KEEPALIVE)
            self._client.extend(self._home.idle)

    # as the connection's exchange

    def body(self, data: bytes) -> None:
        """Nothing: a stream is asked for without a body."""

    def body_end(self) -> None:
        """Nothing, likewise."""

    def pause(self) -> None:
        """The client is slow."""
        if self.subscription is not None:
            self.subscription.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self.subscription is not None:
            self.subscription.resume()

    def cancel(self) -> bool:
        """The connection has ended."""
        self._leave()
        self._home.forget(self)
        return True

    def late(self) -> None:
        """Nothing has moved for too long, or the client has half-closed."""
        self.close()

    def close(self) -> None:
        """End in good order: the client comes back when it is told to."""
        self._part(b"")

    def _part(self, last: bytes) -> None:
        subscription = self.subscription
        if subscription is None:
            return
        is_read = not subscription.is_paused
        self._leave()
        self._home.forget(self)
        if not is_read or self._client.transport.is_closing():
            # what is said last would wait behind all that is not read, and the connection with it
            self._client.abort()
            return
        last += self._home.farewell()
        # in one piece: each is a system call, and thousands may end together
        self._client.transport.write(chunk(last) + _LAST_CHUNK if self.wrapped else last)
        self._client.finish(close=True)

    def _leave(self) -> None:
        subscription, self.subscription = self.subscription, None
        if subscription is not None:
            subscription.leave()
