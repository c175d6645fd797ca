"""What the gate needs of the world, as narrow protocols. Implementations stand in `backends`.

A port may answer at once or awaitably; only an asynchronous engine may be given one that answers awaitably. Every
port raises the errors of `sluicegate.errors` and no library's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from typing import Literal, Protocol, TypeVar

import msgspec

from sluicegate.core.decision import Decision
from sluicegate.core.events import Event
from sluicegate.core.flow import Call, Hits, Reply
from sluicegate.core.request import Request
from sluicegate.core.revocation import Entry

T = TypeVar("T")


class StateStore(Protocol):
    """Answers which keys stand in the revocation store."""

    def find(self, keys: tuple[str, ...]) -> Hits | Awaitable[Hits]:
        """Return the keys that stand, each with its value; an empty mapping when none does.

        Strict: what a writer was told is stored, every later question finds. Raises `StateUnavailable` when the
        whole answer is not there within the configured deadline.
        """
        ...


class Ledger(Protocol):
    """Writes revocations, durably: when a call returns, the store has it. May block for disk or network.

    Raises `StateUnavailable` when the store cannot say that it has it; the write may or may not stand then.
    """

    def put(self, key: str, entry: Entry) -> Entry:
        """Write one entry merged with what stands (`core.revocation.merge`); return what stands now."""
        ...

    def remove(self, key: str) -> bool:
        """Take one entry away; tell whether there was one."""
        ...

    def entries(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Iterate over the entries whose key begins so, in no order, expired ones left out."""
        ...


class Fetcher(Protocol):
    """Asks a URL that the operator named: a webhook, a key set. Never one that a token named."""

    def fetch(self, call: Call) -> Reply | Awaitable[Reply]:
        """Return what the URL answers, whatever its status.

        Raises `FetchFailed` when the whole answer is not there within the call's own time and size.
        """
        ...


class Scheduler(Protocol):
    """Waits, and shares one answer between many who want it: in threads, or in an event loop."""

    def wait(self, seconds: float) -> Awaitable[None] | None:
        """Let time pass."""
        ...

    def once(
        self,
        key: Hashable,
        begin: Callable[[], T | Awaitable[T]],
        *,
        within: float,
        joined: Callable[[], object],
    ) -> T | Awaitable[T]:
        """Return what `begin` comes to; while it is on its way under this key, join it and call `joined`.

        It goes on when those who wait go away. Raises what it raises, and `FetchFailed` to whoever has joined and
        waited for `within` seconds.
        """
        ...

    def later(self, key: Hashable, begin: Callable[[], object]) -> None:
        """Begin, unless something is on its way under this key, and do not wait."""
        ...


class StoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is. `warnings` are sentences for the operator, each with its remedy."""

    kind: str
    reachable: bool
    since: float | None = None
    """Seconds since the epoch at which it went out of reach."""
    warnings: tuple[str, ...] = ()


class Inspectable(Protocol):
    """Says how it is, for start-up, `check` and `/health`. May block."""

    def inspect(self) -> StoreReport:
        """Ask the store; never raises for a store that is out of reach."""
        ...


class TicketLedger(Protocol):
    """Keeps what tickets stand for, each under a name, until it is taken or has waited too long.

    Shared by all who may be asked: a ticket works once, wherever it is used.
    """

    def put(self, name: str, record: bytes, *, subject: str, seconds: int) -> bool | Awaitable[bool]:
        """Keep a record for so long; tell whether it is kept: not where this subject, or all, have too many.

        Raises `StateUnavailable`.
        """
        ...

    def take(self, name: str) -> bytes | Awaitable[bytes | None] | None:
        """Return a record, and never again; None where there is none, or no more. Raises `StateUnavailable`."""
        ...


class RevocationFeed(Protocol):
    """Tells which keys have come to stand, as soon as they do."""

    def changes(self) -> AsyncIterator[str]:
        """Iterate over keys as they are written, from before the first answer on; ends when the feed is lost.

        Lost means: ask strictly. An empty key says that it listens from now on, and that any key may have been written
        before.
        """
        ...


EventId = tuple[int, int]
"""Milliseconds since the epoch, and a number among those of one millisecond."""

Kept = tuple[EventId, bytes]
"""An event: its id, and its bytes as readers get them."""


class EventLog(Protocol):
    """Keeps the last events of topics beyond the life of a process."""

    def load(self, most: int) -> Iterator[tuple[str, EventId, list[Kept]]]:
        """Iterate over the topics: each with the id up to which something may be missing, and its last events."""
        ...

    def keep(self, topic: str, event: Kept, lost: EventId) -> bool:
        """Keep an event; tell whether it is kept. `lost` is up to where something is missing in a topic that is new."""
        ...

    def forget(self, topic: str, lost: EventId, *, wholly: bool) -> None:
        """Drop what a topic has lost: everything up to this id; `wholly`: and the topic too."""
        ...

    def close(self) -> None:
        """Release files."""
        ...


class Stretch(msgspec.Struct, frozen=True):
    """What a log holds of a topic's events after one id and up to another.

    `lost`: up to here something may be missing. `upto`: up to here everything is told that there is.
    """

    lost: EventId
    upto: EventId
    events: tuple[Kept, ...]


class Hearer(Protocol):
    """Hears what is published on the topics that it holds, on whatever node: each event once, in the topic's order."""

    def placed(self, topic: str, last: EventId) -> None:
        """A topic is held from now on; what comes is after this id."""
        ...

    def heard(self, topic: str, event: Kept) -> None:
        """Take the next event of a topic."""
        ...

    def missed(self, topic: str, lost: EventId) -> None:
        """Up to this id something may be missing; what comes is after it, and may have lesser ids than came before."""
        ...


class EventRelay(Protocol):
    """Carries events between nodes, and keeps the last of each topic. All of it on one event loop.

    What is published in a topic, by whatever node, has one order, that of the ids.
    """

    @property
    def trouble(self) -> str:
        """Why it is out of reach at the moment, as a sentence; empty while it is not."""
        ...

    def start(self, hearer: Hearer) -> None:
        """Begin. Nothing is held yet."""
        ...

    def hold(self, topic: str) -> Awaitable[None] | None:
        """Hear a topic from now on; None where it is heard already, or something that ends when it is first heard."""
        ...

    def release(self, topic: str) -> None:
        """Hear a topic no more."""
        ...

    def settle(self, topic: str) -> Awaitable[None]:
        """Wait until everything has been heard that was published in a topic before this call."""
        ...

    def publish(self, topic: str, data: str, event: str) -> Awaitable[tuple[EventId, bool]]:
        """Hand an event to every node; return its id, and whether it is kept. Raises `EventsUnavailable`."""
        ...

    def stretch(self, topic: str, after: EventId, upto: EventId) -> Awaitable[Stretch]:
        """Return the next events after one id and up to another, a page at most. Raises `EventsUnavailable`."""
        ...

    def close(self) -> None:
        """End, and let go of connections."""
        ...


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, as observers get it. It holds no token, whole or part.

    `at` is in seconds since the epoch, `took` in seconds.
    """

    request: Request
    decision: Decision
    at: float
    took: float


class Visit(msgspec.Struct, kw_only=True):
    """One request and its answer, written as they go on, and told once, when the answer has ended. It holds no token.

    `at` is in seconds since the epoch; `took`, and `upstream_took` until its answer began, are in seconds; `sent` is in
    bytes, heads included. `method` and `path` are empty for what was no request. `whole`: all of the answer was sent.
    """

    at: float
    id: str
    client: str
    method: str
    path: str
    status: int | None = None
    sent: int = 0
    took: float = 0.0
    user: str | None = None
    decision: Literal["admitted", "anonymous"] | None = None
    reason: str = ""
    route: str | None = None
    upstream: str | None = None
    upstream_took: float | None = None
    whole: bool = False


class Observer(Protocol):
    """Is told of every decision, once, after it was made. Must not raise and must not block."""

    def decided(self, record: Record) -> None:
        """Take note of one decision."""
        ...


class Instrument(Protocol):
    """Is told what happens on the way to verdicts (`core.events`). Must not raise and must not block."""

    def noted(self, event: Event) -> None:
        """Take note of one event."""
        ...
