"""A real gateway with a hub, in a thread of its own: its clock and its store are the test's."""

import asyncio
import base64
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, final

import uvloop
from msgspec import structs

from sluicegate.backends.changes import PolledFeed
from sluicegate.backends.memory import MemoryStore
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy, Requirement, TicketKey
from sluicegate.core.revocation import Entry
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine
from sluicegate.ports import RevocationFeed, StateStore, TicketLedger
from sluicegate.server.events.hub import Hub, Pace
from sluicegate.server.events.live import Live
from sluicegate.server.events.tie import Guard
from sluicegate.server.gateway import Gateway
from sluicegate.server.routes import Events, Proxy, Renewal, Route, Tickets
from sluicegate.server.wire.limits import Limits
from sluicegate.sse.broker import Broker
from sluicegate.sse.relayed import Relayed
from sluicegate.sse.subscription import Terms
from tests.events.reading import Reader
from tests.server.gate import Running
from tests.table.tokens import NOW, SECRET, mint
from tests.wire import BadResponse, Response, Wire, connected, exchange, request

T = TypeVar("T")

SUBSCRIBE: Final = ("public-*", "user-{http.auth.user.id}-*")
WRITER: Final = mint(scope="topic:write", sub="writer", jti="writer-1")


def bearer(token: str) -> tuple[str, str]:
    """The header that carries a token."""
    return ("Authorization", f"Bearer {token}")


@final
class Clock:
    """Seconds since the epoch, moved on by the test."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        """Say what time it is."""
        return self.now


def engine(
    store: StateStore,
    clock: Callable[[], float],
    tickets: TicketLedger | None = None,
    **policy: Any,  # noqa: ANN401 - whatever a Policy takes
) -> Engine:
    """An engine for the tokens of the table."""
    key = load(base64.b64encode(SECRET).decode(), ["HS256"])
    return Engine(Policy(**policy), LocalKeys(key, ClaimNames()), state=store, clock=clock, tickets=tickets)


@final
class Streams:
    """The gateway, its store and its clock, and what clients do with it."""

    def __init__(self, gate: Running, hub: Hub, store: MemoryStore, clock: Clock) -> None:
        self.gate: Final = gate
        self.hub: Final = hub
        self.store: Final = store
        self.clock: Final = clock

    def revoke(self, key: str, value: str = "security") -> None:
        """Have a key stand, as any writer would."""
        self.store.put(key, Entry(value))

    def publish(self, topic: str, data: str, token: str = WRITER, *more: tuple[str, str]) -> Response:
        """Publish a text over HTTP."""
        kind = ("Content-Type", "text/plain")
        raw = request(f"/events/{topic}", bearer(token), kind, *more, method="POST", body=data.encode())
        return exchange(self.gate.address, raw)

    @contextmanager
    def reading(self, topic: str, *headers: tuple[str, str], token: str | None = None) -> Iterator["Stream"]:
        """Open a stream, and leave it with the block."""
        with connected(self.gate.address) as wire:
            wire.send(request(f"/events/{topic}", bearer(mint() if token is None else token), *headers))
            yield Stream(wire)


@final
class Stream:
    """The client's end of a stream."""

    def __init__(self, wire: Wire) -> None:
        self.wire: Final = wire
        self.head: Final = wire.receive_head()
        self.reader: Final = Reader()
        self.over = False
        self._taken = 0
        if self.head.status == 200:
            self._read()

    def _read(self) -> None:
        piece = self.wire.receive_chunk()
        self.over = self.over or not piece
        self.reader.feed(piece)

    def next(self, count: int = 1) -> list[tuple[str, str]]:
        """Wait for so many further events; return each's name and data."""
        begin, self._taken = self._taken, self._taken + count
        while len(self.reader.events) < self._taken:
            self._read()
        return [(one.type, one.data) for one in self.reader.events[begin : self._taken]]

    def rest(self) -> list[tuple[str, str]]:
        """Wait for the end; return the events until then."""
        before = len(self.reader.events)
        with contextlib.suppress(ConnectionResetError, BadResponse):
            while not self.over:
                self._read()
        return [(one.type, one.data) for one in self.reader.events[before:]]

    @property
    def last_id(self) -> str:
        """What a page would come back with."""
        return self.reader.last_event_id

    @property
    def name(self) -> str:
        """What the stream is called, for renewing it."""
        return self.head.header("X-Stream-ID") or ""


KEY: Final = TicketKey(b"proves tickets")


def routes(
    policy: Policy,
    subscribe: tuple[str, ...] | None,
    publish: tuple[str, ...],
    auth: Any,  # noqa: ANN401 - two words
    *,
    retries: bool = False,
    tickets: bool = False,
) -> list[Route]:
    """An event route as settings would make it."""
    reads = policy.with_route(auth=auth, requirement=Requirement(topics=subscribe))
    writes = policy.with_route(requirement=Requirement(scopes=frozenset({"topic:write"}), topics=publish))
    taking = structs.replace(reads, tickets=KEY if tickets else None)
    given = [Route("/tickets", Tickets(taking), None)] if tickets else []
    streams = Route("/events/{topic}", Events(writes, retries), taking)
    return [*given, streams, Route("/events/{topic}/renew", Renewal(), reads)]


@contextmanager
def streaming(
    *,
    subscribe: tuple[str, ...] | None = SUBSCRIBE,
    publish: tuple[str, ...] = ("*",),
    auth: str = "required",
    terms: Terms | None = None,
    pace: Pace | None = None,
    asked: StateStore | None = None,
    feed: Callable[[MemoryStore], RevocationFeed] | None = None,
    limits: Limits | None = None,
    proxied: Proxy | None = None,
    policy: dict[str, Any] | None = None,
    tickets: TicketLedger | None = None,
    retries: bool = False,
    broker: Callable[[Terms], Broker | Relayed] | None = None,
    **choices: Any,  # noqa: ANN401 - whatever a Gateway takes
) -> Iterator[Streams]:
    """Run a gateway with a hub until the block ends.

    `asked` answers the engine in place of the store itself; `broker` makes the topics, on the loop.
    """
    clock, store = Clock(), MemoryStore()
    decides = engine(asked or store, clock, tickets, **(policy or {}))

    async def build() -> tuple[Gateway, Hub]:
        live = Live(decides.answer, decides.policy, clock=clock, silent_for=0.2)
        topics = Broker(terms or Terms(), clock=clock) if broker is None else broker(terms or Terms())
        hub = Hub(topics, live, policy=decides.policy, pace=pace)
        live.start((feed or (lambda watched: PolledFeed(watched, watched.watch())))(store))
        listed = routes(decides.policy, subscribe, publish, auth, retries=retries, tickets=tickets is not None)
        listed += [] if proxied is None else [Route("/api/*", proxied, decides.policy)]
        guard = Guard(live, decides.policy)
        gateway = Gateway(engine=decides, routes=listed, hub=hub, guard=guard, limits=limits or Limits(), **choices)
        return gateway, hub

    with turning() as loop:
        gateway, hub = done(loop, build())
        gate = Running(gateway, loop)
        gate.start()
        try:
            yield Streams(gate, hub, store, clock)
        finally:
            gate.stop(0)
            done(loop, ending(hub))
    assert gate.errors == [], gate.errors


async def ending(hub: Hub) -> None:
    """Let go of everything, and wait until it has gone."""
    await hub.live.stop()
    hub.broker.close()
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others, timeout=10)


@contextmanager
def turning() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread of its own."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def done(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Do something on the loop, and wait until it is done."""
    return asyncio.run_coroutine_threadsafe(work, loop).result(30)
