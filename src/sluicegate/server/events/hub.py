"""The event hub: who may read a topic gets its stream, who may write it publishes, over plain HTTP."""

import asyncio
import hmac
import random
import re
import secrets
from collections.abc import Awaitable, Coroutine
from typing import Any, Final, final
from urllib.parse import unquote_to_bytes

import msgspec

from sluicegate.adapters.render import Response, refusal
from sluicegate.core.decision import Admit, Refuse
from sluicegate.core.policy import Policy
from sluicegate.core.request import Request
from sluicegate.ports import EventId
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.events.ends import end_of
from sluicegate.server.events.live import Live
from sluicegate.server.events.settled import settled
from sluicegate.server.events.stream import EventStream
from sluicegate.server.wire.head import Head
from sluicegate.server.wire.respond import connection_line, out_of_reach, problem
from sluicegate.sse.broker import Broker
from sluicegate.sse.event import chunk, retry
from sluicegate.sse.history import BEGINNING, read_id
from sluicegate.sse.relayed import Relayed

_HELD_WITHIN: Final = 1.0
_SLOTS: Final = 4  # a second
_MOST_SLOTS: Final = 4096
_LAST_EVENT_ID: Final = re.compile(rb"(?:^|&)last[-_]?event[-_]?id=([^&]*)", re.IGNORECASE)
# As they are written here, and no other spelling of the number: one that is long enough cannot even be written.
_NAME: Final = re.compile(r"([0-9a-f]{1,16})-[0-9a-f]{32}")
_LINES: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"
    b"X-Content-Type-Options: nosniff\r\nX-Request-ID: "
)
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How streams are kept. Times in seconds; `retry_ms` in milliseconds; `largest` is in bytes of a request body.

    `spread`: those who are sent away together come back over so long a time. `idle`: a stream on which nothing has
    moved for so long is over.
    """

    retry_ms: int = 3000
    keepalive: float = 30
    idle: float = 300
    spread: float = 10
    largest: int = 262_144


@final
class Asked(msgspec.Struct, frozen=True):
    """A request for a stream of a topic, and what its answer will carry: `cors` lines, and the `date` line."""

    connection: Connection
    head: Head
    request: Request
    topic: str
    cors: bytes
    date: bytes
    retries: bool = False
    """The client would take an error for the end, and is to come back after trouble of ours."""

    @property
    def reads(self) -> bool:
        """Tell whether it is to get the stream, and not only to see what that would begin with."""
        return self.head.method != "HEAD"

    def respond(self, response: Response, *, close: bool = False) -> None:
        """Answer it with something that is no stream."""
        self.connection.respond(response, more=self.cors, close=close)


@final
class Hub:
    """The streams of one process, on one event loop."""

    def __init__(self, broker: Broker | Relayed, live: Live, *, policy: Policy, pace: Pace | None = None) -> None:
        self.broker: Final[Broker | Relayed] = broker
        self.live: Final = live
        self.pace: Final = pace or Pace()
        self._policy: Final = policy
        self._secret: Final = secrets.token_bytes(32)
        self._count = 0
        slots = min(max(1, int(self.pace.keepalive * _SLOTS)), _MOST_SLOTS)
        # every stream once, in the slot at which it is kept alive: so the work is spread, and there is one register
        self._slots: Final[list[dict[int, EventStream]]] = [{} for _ in range(slots)]
        self._seconds: Final = self.pace.keepalive / slots
        self._slot = 0
        self._begun: float | None = None
        self._draining = False

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._slots))

    @property
    def idle(self) -> float:
        """Seconds after which a stream on which nothing has moved is over."""
        return self.pace.idle

    def report(self) -> dict[str, int | dict[str, int]]:
        """Say how many streams and topics there are, and what has become of events and streams, for operators."""
        ended = {reason.value: count for reason, count in self.live.ended.items()}
        counts = msgspec.structs.asdict(self.broker.counts)
        return {"streams": self.streams, "topics": self.broker.topics, **counts, "ended": ended}

    def sweep(self, now: float) -> None:
        """Keep streams alive, end what has expired, forget what is old. `now` is the event loop's time."""
        self.live.tick()
        if self._begun is None:
            self._begun = now
        passed = int((now - self._begun) / self._seconds)
        for slot in range(self._slot, min(passed, self._slot + len(self._slots))):
            place = slot % len(self._slots)
            if place == 0:
                self.broker.sweep()
            for stream in list(self._slots[place].values()):
                stream.keepalive()
        self._slot = max(passed, self._slot)

    def drain(self) -> None:
        """End every stream, and tell the clients to come back at different times."""
        self._draining = True
        for slot in self._slots:
            for stream in list(slot.values()):
                stream.close()

    def forget(self, stream: EventStream) -> None:
        """Let go of a stream that has ended."""
        self._slots[stream.number % len(self._slots)].pop(stream.number, None)
        if stream.is_guarded:
            self.live.discard(stream)

    def farewell(self) -> bytes:
        """Say when to come back: after the usual time and somewhat longer, so that not all come at once."""
        spread = self.pace.spread if self._draining else min(self.pace.spread, 1.0)
        return retry(self.pace.retry_ms + int(random.random() * spread * 1000))  # noqa: S311 - jitter

    def later(self, request_id: str) -> Response:
        """Return a stream that ends at once, and says when to come back: for clients that would not after an error."""
        spread = int(random.random() * self.pace.spread * 1000)  # noqa: S311 - jitter
        body = retry(self.pace.retry_ms + spread)
        kind, length = ("Content-Type", "text/event-stream"), ("Content-Length", str(len(body)))
        return Response(200, (kind, length, ("Cache-Control", "no-store"), ("X-Request-ID", request_id)), body)

    # streams

    def open(self, asked: Asked, decision: Admit | None) -> None:
        """Open a stream for a request that may read its topic, or show what it would begin with."""
        held = None
        if asked.reads:  # else a topic would be held for nobody
            held = self.broker.ready(asked.topic)
        elif not self.broker.can_be_read(asked.topic):
            asked.respond(out_of_reach(asked.request.id))
            return
        if held is not None:
            asked.connection.wait(self._when_held(held, asked, decision))
        elif (pending := self._open(asked, decision)) is not None:
            asked.connection.wait(pending)

    async def _when_held(self, held: Awaitable[None], asked: Asked, decision: Admit | None) -> None:
        """Open a stream once its topic is heard: what is published after its first byte must reach it."""
        try:
            async with asyncio.timeout(_HELD_WITHIN):
                await held
        except TimeoutError:
            self.broker.spare(asked.topic)
            asked.respond(out_of_reach(asked.request.id))
            return
        except BaseException:
            self.broker.spare(asked.topic)  # the client has left meanwhile
            raise
        if (pending := self._open(asked, decision)) is not None:
            await pending

    def _open(self, asked: Asked, decision: Admit | None) -> Coroutine[Any, Any, None] | None:
        self._count += 1
        stream = EventStream(self, asked.connection, self._count, wrapped=asked.head.block.http11)
        if decision is None or decision.identity is None or decision.identifiers is None:
            self._begin(asked, stream)
            return None
        ends = end_of(decision.identity.expires_at, self._policy.leeway)
        stream.belongs_to(decision.identity, decision.identifiers, ends)
        # before the question: a revocation that the answer does not show finds the stream in the register
        self.live.add(stream)
        outcome = self.live.ask(decision.identifiers, ends)
        if isinstance(outcome, Coroutine):
            return self._later(outcome, asked, stream)
        self._settle(outcome, asked, stream)
        return None

    async def _later(self, pending: Coroutine[Any, Any, Refuse | None], asked: Asked, stream: EventStream) -> None:
        try:
            refuse = await pending
        except BaseException:
            self._spare(asked, stream)  # the client has left meanwhile
            raise
        self._settle(refuse, asked, stream)

    def _settle(self, refuse: Refuse | None, asked: Asked, stream: EventStream) -> None:
        refuse = stream.refused or refuse  # it was revoked while the store was asked
        if refuse is None:
            self._begin(asked, stream)
            return
        self._spare(asked, stream)
        if asked.retries and refuse.state_unknown:
            asked.respond(self.later(asked.request.id), close=True)
        else:
            asked.respond(refusal(refuse, request_id=asked.request.id))

    def _spare(self, asked: Asked, stream: EventStream) -> None:
        """Let go of a stream that does not begin, and of what was made ready for it."""
        self.forget(stream)
        if asked.reads:
            self.broker.spare(asked.topic)

    def _begin(self, asked: Asked, stream: EventStream) -> None:
        connection = asked.connection
        if self._draining or not asked.reads:
            self._spare(asked, stream)
        if self._draining:
            stopping = problem(503, "stopping", "The gateway is stopping", request_id=asked.request.id)
            asked.respond(self.later(asked.request.id) if asked.retries else stopping, close=True)
            return
        lines = b"%b%b\r\n%b%b" % (_LINES, asked.request.id.encode(), self._id_line(stream), asked.cors)
        if not asked.reads:
            connection.answer(lines + (_CHUNKED if stream.wrapped else b""), b"")
            return
        after = last_event_id(asked.head)
        connection.begin(stream)
        connection.settle(settled(asked.head))
        connection.go_bare(ends=True)
        self._slots[stream.number % len(self._slots)][stream.number] = stream
        framing = _CHUNKED if stream.wrapped else connection_line(http11=False, last=True)
        connection.transport.write(b"".join((lines, framing, asked.date, b"\r\n")))
        stream.write(chunk(retry(self.pace.retry_ms)))
        connection.extend(self.pace.idle)
        stream.subscription = self.broker.subscribe(stream, topic=asked.topic, after=after)
        stream.subscription.resume()

    # stream ids, for those who hand in a fresh token

    def _id_line(self, stream: EventStream) -> bytes:
        return b"X-Stream-ID: %b\r\n" % self._id_of(stream.number).encode() if stream.is_guarded else b""

    def _id_of(self, number: int) -> str:
        """Name a stream so that nobody can guess the name of another: nothing is kept for it."""
        proof = hmac.digest(self._secret, b"%d" % number, "sha256")[:16]
        return f"{number:x}-{proof.hex()}"

    def find(self, stream_id: str) -> EventStream | None:
        """Return the open stream of this name."""
        matched = _NAME.fullmatch(stream_id)
        if matched is None:
            return None
        found = int(matched[1], 16)
        if not hmac.compare_digest(self._id_of(found), stream_id):
            return None
        return self._slots[found % len(self._slots)].get(found)

    def ask(self, decision: Admit) -> Refuse | Coroutine[Any, Any, Refuse | None] | None:
        """Ask whether what was admitted a while ago still is: None, or why not."""
        if decision.identity is None or decision.identifiers is None:
            return None
        ends = end_of(decision.identity.expires_at, self._policy.leeway, jitter=0)
        return self.live.ask(decision.identifiers, ends)

    def renew(self, stream_id: str, topic: str, decision: Admit) -> bool:
        """Let a stream go on with the token of this decision; tell whether it could.

        Only for the user whose stream it is, and its own topic: a name that leaked opens nothing to anybody else.
        """
        stream, identity, identifiers = self.find(stream_id), decision.identity, decision.identifiers
        if stream is None or not stream.is_guarded or identity is None or identifiers is None:
            return False
        own = stream.identity
        if own is None or (own.id, own.issuer) != (identity.id, identity.issuer) or stream.topic != topic:
            return False
        self.live.discard(stream)
        stream.belongs_to(identity, identifiers, end_of(identity.expires_at, self._policy.leeway))
        # the decision may be older than a revocation that nobody found here
        self.live.hold(stream)
        return stream.topic is not None


def last_event_id(head: Head) -> EventId | None:
    """Return what the client says it has; the beginning of all for an id that is none of ours, None for nothing."""
    text = head.block.by_name.get(b"last-event-id", b"")
    if not text and (found := _LAST_EVENT_ID.search(head.target.query)) is not None:
        text = unquote_to_bytes(found[1])
    if not text:
        return None
    return read_id(text.decode("latin-1")) or BEGINNING
