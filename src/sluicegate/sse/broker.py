"""Bounded fan-out: each event, encoded once, goes to every reader of its topic, and stays in the topic's history.

A topic that nobody reads and of which nothing is left is remembered for a while, for up to where it was: so whoever
comes back to it at once is not told of a gap that there is not.

Everything happens at once and on one thread; nobody waits for anybody. Where events come from elsewhere too, from a log
that several processes share, they are offered in the order of their ids, and what was seen is not taken twice.
"""

from collections.abc import Callable, Sequence
from typing import Final, final

import msgspec

from sluicegate.ports import EventId, EventLog
from sluicegate.sse.event import chunk, encode
from sluicegate.sse.history import BEGINNING, Event, History, following, written
from sluicegate.sse.subscription import Counts, Sink, Subscription, Terms, Writer

UNREAD: Final = 4096
"""How many topics are remembered, or held, that nobody reads: they take some 8 MB. Which was left first, goes first."""

_TOPIC_OVERHEAD: Final = 2048


@final
class Topic:
    """A topic that somebody reads, or of which something is kept."""

    __slots__ = (
        "_left",
        "behind",
        "counts",
        "flowing",
        "forgotten",
        "further",
        "history",
        "is_logged",
        "name",
        "terms",
    )

    def __init__(
        self, name: str, terms: Terms, counts: Counts, *, since: EventId, left: "Callable[[Topic], None]"
    ) -> None:
        self.name: Final = name
        self._left: Final = left
        self.terms: Final = terms
        self.counts: Final = counts
        self.history: Final = History(terms.history, terms.ttl, since=since)
        self.forgotten = since
        """Up to where the log has been told that events are lost."""
        self.is_logged = False
        """The log has something of it."""
        self.flowing: Final[dict[Subscription, Writer]] = {}
        """Readers in step, each with what takes its bytes: one call an event and reader."""
        self.behind: Final[set[Subscription]] = set()
        self.further: Callable[[Subscription, EventId], None] | None = None
        """Brings a reader what comes after an id and is in memory no more; without it nobody has it."""

    @property
    def readers(self) -> int:
        """How many read it."""
        return len(self.flowing) + len(self.behind)

    @property
    def is_bare(self) -> bool:
        """Tell whether nobody reads it, nothing of it is kept, and its events come from nowhere else."""
        return not len(self.history) and not self.readers and self.further is None

    def leave(self, reader: Subscription) -> None:
        """Let a reader go; told twice, it does nothing else. Whoever keeps the topic learns when it was the last."""
        self.flowing.pop(reader, None)
        self.behind.discard(reader)
        if not self.readers:
            self._left(self)

    def deliver(self, event: Event) -> None:
        """Give an event to every reader."""
        # copies: a reader that cannot take it leaves `flowing` while this goes on
        behind = list(self.behind)
        wrapped = event.wrapped
        for reader in list(self.flowing.values()):
            try:
                reader.write(wrapped)
            except RuntimeError:
                # uvloop's, for a connection that has just broken: its reader leaves before the loop turns again, and
                # nobody else may be disturbed by it meanwhile
                continue
        for slow in behind:
            slow.hold(event)


class Published(msgspec.Struct, frozen=True):
    """What became of an event. `kept`: a reader that reconnects can still get it."""

    id: str
    kept: bool


@final
class Broker:
    """The topics of one process. `clock` returns seconds since the epoch; `log` outlives the process.

    At most `unread` topics are remembered of which nothing else is kept.
    """

    def __init__(
        self, terms: Terms, *, clock: Callable[[], float], log: EventLog | None = None, unread: int = UNREAD
    ) -> None:
        self._terms: Final = terms
        self._clock: Final = clock
        self._log = log
        self._unread: Final = unread
        self.is_closed = False
        """It has let go of its log: nothing may be published here any more."""
        self._topics: Final[dict[str, Topic]] = {}
        self._kept: Final[dict[str, Topic]] = {}  # those with a history, the least recently published first
        self._bare: Final[dict[str, Topic]] = {}  # those that nobody reads, and without one, the first left first
        self._size = 0
        self.counts: Final = Counts()
        # Of what was before, nothing is known: a reader that has been here before is told of a gap. Ids grow over all
        # topics, so that one which was forgotten meanwhile goes on where it was.
        self._last: EventId = following(BEGINNING, clock())
        self._floor: EventId = self._last
        if log is not None:
            self.keep_in(log)

    def keep_in(self, log: EventLog) -> None:
        """Take up what another process has left in this log, and keep from now on in it. Before anybody reads."""
        self._log = log
        # what was published while we were made, and not kept, is a gap too
        self._last = self._floor = max(self._last, following(BEGINNING, self._clock()))
        self._load(log)

    @property
    def topics(self) -> int:
        """How many topics are read or kept."""
        return len(self._topics)

    @property
    def history_bytes(self) -> int:
        """How much memory the history takes."""
        return self._size

    def subscribe(self, sink: Sink, *, topic: str, after: EventId | None = None) -> Subscription:
        """Let a reader in. With `after` it gets what came after that id first, or is told of a gap.

        It gets nothing before its first `resume`, which is for whoever keeps the subscription to call at once.
        """
        place = self._place(topic)
        subscription = Subscription(place, sink, after)
        if after is None:
            place.flowing[subscription] = sink.writer()
        else:
            place.behind.add(subscription)  # first, for what runs out may be all that the topic was kept for
            self._expire(place, int(self._clock() * 1000))
        return subscription

    def publish(self, topic: str, data: str, *, event: str = "") -> Published:
        """Send an event to every reader of a topic, and keep it. Raises `InvalidEvent`."""
        event_id = following(self._last, self._clock())
        wrapped = chunk(encode(data, event=event, event_id=written(event_id)))
        kept = self.offer(topic, Event(event_id, wrapped))
        return Published(written(event_id), kept)

    def offer(self, topic: str, event: Event) -> bool:
        """Deliver and keep an event that has its id; tell whether it is kept. One seen before is passed over."""
        place = self._place(topic)
        history = place.history
        if event.id <= history.last:
            return False
        self._last = max(self._last, event.id)
        self.counts.published += 1
        lost = history.lost
        self._keep(place, event)
        kept = history.oldest is not None and history.oldest <= event.id
        if kept and self._log is not None:
            kept = self._log.keep(topic, (event.id, event.wrapped), lost)
            place.is_logged = place.is_logged or kept
        place.deliver(event)
        self._rest(place)
        return kept

    def place(self, name: str, since: EventId, *, left: Callable[[Topic], None]) -> Topic:
        """Begin with a topic whose events come from elsewhere, after this id; `left` is told when nobody reads it."""
        topic = self._topics[name] = Topic(name, self._terms, self.counts, since=since, left=left)
        return topic

    def find(self, name: str) -> Topic | None:
        """Return a topic that is read or kept."""
        return self._topics.get(name)

    def restart(self, topic: Topic, lost: EventId) -> None:
        """Forget what a topic had: what comes is after this id, and up to it something may be missing."""
        before = topic.history.size
        topic.history.restart(lost)
        self._resized(topic, before)

    def precede(self, topic: Topic, lost: EventId, events: Sequence[Event]) -> None:
        """Remember what came before all that a topic has, where there is room: what is live goes first."""
        before = topic.history.size
        added = sum(len(event.wrapped) for event in events)
        if self._size + 2 * added <= self._terms.history_bytes:
            topic.history.precede(lost, events)
            self._resized(topic, before)

    def drop(self, topic: Topic) -> None:
        """Forget a topic wholly. Nobody reads it."""
        self.restart(topic, BEGINNING)
        del self._topics[topic.name]

    def ready(self, _: str) -> None:
        """Say that a topic may be read at once."""

    def spare(self, _: str) -> None:
        """Nothing: nothing was made ready."""

    def can_be_read(self, _: str) -> bool:
        """Say that a topic is not out of reach."""
        return True

    @property
    def trouble(self) -> str:
        """Nothing is out of reach."""
        return ""

    def sweep(self) -> None:
        """Forget what is too old, and topics that nobody reads and of which nothing is left."""
        now = int(self._clock() * 1000)
        for name, topic in list(self._topics.items()):
            self._expire(topic, now)
            if topic.is_bare:
                self._forget(topic)
            elif self._log is not None and topic.is_logged and topic.history.lost > topic.forgotten:
                topic.forgotten = topic.history.lost
                self._log.forget(name, topic.forgotten, wholly=False)

    def _rest(self, topic: Topic) -> None:
        """Where nothing but its name is left of a topic, remember it for a while; past the bound, another no more."""
        if topic.is_bare and self._topics.get(topic.name) is topic:
            self._bare.pop(topic.name, None)
            self._bare[topic.name] = topic
            if len(self._bare) > self._unread:
                oldest = next(iter(self._bare.values()))
                if oldest.is_bare:
                    self._forget(oldest)
                else:
                    del self._bare[oldest.name]

    def _forget(self, topic: Topic) -> None:
        if self._topics.pop(topic.name, None) is None:
            return  # past the bound already, when the sweep came to it
        self._bare.pop(topic.name, None)
        # whoever asks for it again with an older id may have missed something
        self._floor = max(self._floor, topic.history.last)
        if self._log is not None and topic.is_logged:
            self._log.forget(topic.name, topic.history.lost, wholly=True)

    def close(self) -> None:
        """Release the log, for whoever comes after."""
        self.is_closed = True
        log, self._log = self._log, None
        if log is not None:
            log.close()

    def _load(self, log: EventLog) -> None:
        """Take up what another process has left. Its ids lie before all that come, whatever the clock says now."""
        for name, lost, events in log.load(self._terms.history):
            topic = self._topics[name] = Topic(name, self._terms, self.counts, since=lost, left=self._rest)
            topic.is_logged = True
            for event_id, wrapped in events:
                self._keep(topic, Event(event_id, wrapped))
                self._last = max(self._last, event_id)

    def _place(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(name, self._terms, self.counts, since=self._floor, left=self._rest)
        self._bare.pop(name, None)
        return topic

    def _keep(self, topic: Topic, event: Event) -> None:
        before = topic.history.size
        self._kept.pop(topic.name, None)
        topic.history.add(event)
        self._resized(topic, before)
        while self._size > self._terms.history_bytes:
            oldest = next(iter(self._kept.values()))
            before = oldest.history.size
            oldest.history.drop_oldest()
            self._resized(oldest, before)

    def _expire(self, topic: Topic, now: int) -> None:
        before = topic.history.size
        topic.history.expire(now)
        self._resized(topic, before)

    def _resized(self, topic: Topic, before: int) -> None:
        size = topic.history.size
        self._size += size - before
        if size and topic.name not in self._kept:
            self._kept[topic.name] = topic
            self._size += _TOPIC_OVERHEAD if not before else 0
        elif not size and before:
            self._kept.pop(topic.name, None)
            self._size -= _TOPIC_OVERHEAD
            self._rest(topic)
