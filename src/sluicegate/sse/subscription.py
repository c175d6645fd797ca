"""One reader of one topic: in step with it, or behind, and what is held for it then.

A reader in step costs one call an event. Once it does not take what is written, it is behind, and what comes meanwhile
is held by one of two ways: in a queue of its own, which has a bound in events and in bytes, or, at no cost, as its
place in the topic's history.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, final

import msgspec

from sluicegate.ports import EventId, Stretch
from sluicegate.sse.event import chunk, encode
from sluicegate.sse.history import BEGINNING, Event, written

if TYPE_CHECKING:
    from sluicegate.sse.broker import Topic

Policy = Literal["disconnect", "drop_newest", "drop_oldest", "block"]
"""What becomes of a reader whose queue is full.

disconnect: it is cut off, and comes back with the id of what it has. drop_newest: what comes is not for it, and it is
told how much was not. drop_oldest: what has waited longest gives way, and it is told how much did. block: it has no
queue; it reads on from the history when it can, and is told of a gap where the history has gone on. In no case does
anybody else wait for it.
"""

_BATCH: Final = 64


class Writer(Protocol):
    """What takes one event, wrapped as a chunk. May pause the subscription from inside."""

    def write(self, wrapped: bytes, /) -> None:
        """Take it."""
        ...


class Sink(Writer, Protocol):
    """Where a reader's bytes go."""

    def writer(self) -> Writer:
        """Return what takes events as directly as can be: it is called once for each event and reader."""
        ...

    def overflow(self) -> None:
        """Take note that the reader is cut off: too slow, by the operator's policy."""
        ...


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How much is held. `queue` is in events, `queue_bytes` in bytes, both for one reader; `ttl` in seconds.

    `history` is in events of one topic, `history_bytes` in bytes of all topics together.
    """

    policy: Policy = "disconnect"
    queue: int = 1000
    queue_bytes: int = 1 << 20
    history: int = 1000
    history_bytes: int = 1 << 28
    ttl: float = 3600


class Counts(msgspec.Struct):
    """What has happened since the start, for operators."""

    published: int = 0
    dropped: int = 0
    """Events that a slow reader did not get."""
    disconnected: int = 0
    """Slow readers that were cut off."""
    gaps: int = 0
    """Times a reader was told that it has missed something."""


class _Gap(msgspec.Struct):
    """Stands in a queue where events were dropped."""

    missed: int


def gap(**fields: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Write what tells a reader that it has missed something. It carries no id, so the reader's place stays."""
    return chunk(encode(msgspec.json.encode(fields).decode(), event="gap"))


@final
class Subscription:
    """A reader. Made by `Broker.subscribe`, ended by `leave`; everything of it on one thread."""

    __slots__ = ("_cursor", "_paused", "_queue", "_queued", "_sink", "_topic", "_waits")

    def __init__(self, topic: "Topic", sink: Sink, cursor: EventId | None) -> None:
        self._topic: Final = topic
        self._sink: Final = sink
        self._cursor = cursor
        self._queue: deque[Event | _Gap] | None = None
        self._queued = 0
        self._paused = False
        self._waits = False  # for what memory does not hold

    @property
    def topic(self) -> str:
        """What it reads."""
        return self._topic.name

    @property
    def is_paused(self) -> bool:
        """Tell whether the reader takes nothing at the moment."""
        return self._paused

    @property
    def waiting(self) -> tuple[int, int]:
        """How many events are held for it, and how many bytes they have."""
        return len(self._queue or ()), self._queued

    def pause(self) -> None:
        """The reader takes no more for now."""
        self._paused = True
        topic = self._topic
        if topic.flowing.pop(self, None) is not None:
            topic.behind.add(self)
            if topic.terms.policy == "block":
                self._cursor = topic.history.last
            else:
                self._queue = deque()

    def resume(self) -> None:
        """The reader takes more: give it what it has missed, until it pauses again or is in step."""
        self._paused = False
        topic = self._topic
        if self._waits or self not in topic.behind:
            return
        while not self._paused:
            if self._cursor is None:
                if not self._drain():
                    break
            elif not self._read_on(self._cursor):
                break
        if self._is_in_step:
            self._cursor = self._queue = None
            self._queued = 0
            topic.behind.discard(self)
            topic.flowing[self] = self._sink.writer()

    @property
    def _is_in_step(self) -> bool:
        """Tell whether it has got everything, and takes more."""
        return not self._paused and not self._waits and self in self._topic.behind

    def leave(self) -> None:
        """Want no more."""
        self._queue = None
        self._queued = 0
        self._topic.leave(self)

    def hold(self, event: Event) -> None:
        """Hold an event for later; called for readers that are behind."""
        if self._cursor is not None:
            return  # the history has it
        terms, queue, size = self._topic.terms, self._queue, len(event.wrapped)
        if queue is None:
            queue = self._queue = deque()
        if len(queue) < terms.queue and self._queued + size <= terms.queue_bytes:
            queue.append(event)
            self._queued += size
            return
        counts = self._topic.counts
        match terms.policy:
            case "drop_newest":
                counts.dropped += 1
                last = queue[-1] if queue else None
                if isinstance(last, _Gap):
                    last.missed += 1
                else:
                    queue.append(_Gap(1))
            case "drop_oldest":
                self._make_room(queue, size)
                queue.append(event)
                self._queued += size
            case "disconnect" | "block":
                self._cut()

    def _make_room(self, queue: "deque[Event | _Gap]", size: int) -> None:
        terms, missed = self._topic.terms, 0
        # one place more than is needed: for the gap itself
        while queue and (len(queue) > terms.queue - 2 or self._queued + size > terms.queue_bytes):
            oldest = queue.popleft()
            if isinstance(oldest, _Gap):
                missed += oldest.missed
            else:
                missed += 1
                self._topic.counts.dropped += 1
                self._queued -= len(oldest.wrapped)
        if missed:
            queue.appendleft(_Gap(missed))

    def _cut(self) -> None:
        self._topic.counts.disconnected += 1
        self.leave()
        self._sink.overflow()

    def _drain(self) -> bool:
        """Write the next of the queue; tell whether there was one."""
        if not self._queue:
            return False
        held = self._queue.popleft()
        if isinstance(held, _Gap):
            self._topic.counts.gaps += 1
            self._sink.write(gap(reason="slow", missed=held.missed))
        else:
            self._queued -= len(held.wrapped)
            self._sink.write(held.wrapped)
        return True

    def take(self, stretch: Stretch, *, anew: bool = False) -> None:
        """Read what memory does not hold, and go on after it. `anew`: its own id is from a history that is no more."""
        self._waits = False
        topic, cursor = self._topic, self._cursor
        if self not in topic.behind or cursor is None:
            return
        if anew or cursor < stretch.lost:
            self._cursor = stretch.lost
            self._tell_gap(cursor, stretch.events[0][0] if stretch.events else topic.history.oldest)
        for event_id, wrapped in stretch.events:
            if self._paused or self not in topic.behind:
                return
            if event_id > (self._cursor or BEGINNING):
                self._cursor = event_id
                self._sink.write(wrapped)
        if not self._paused and self in topic.behind:
            self._cursor = stretch.upto
            self.resume()

    def _tell_gap(self, last: EventId, oldest: EventId | None) -> None:
        self._topic.counts.gaps += 1
        fields = {} if oldest is None else {"oldest": written(oldest)}
        self._sink.write(gap(reason="history", last_event_id=written(last), **fields))

    def _read_on(self, cursor: EventId) -> bool:
        """Write the next events of the history; tell whether there may be more."""
        topic = self._topic
        history = topic.history
        if not history.reaches(cursor):
            if topic.further is not None:
                self._waits = True
                topic.further(self, cursor)
                return False
            # an id of the future is from a history that is no more: what is here now was never seen by its bearer
            self._cursor = history.lost
            self._tell_gap(cursor, history.oldest)
            return True
        events = history.after(cursor, _BATCH)
        for event in events:
            self._cursor = event.id
            self._sink.write(event.wrapped)
            if self._paused or self not in topic.behind:
                return True
        return bool(events)
