"""The topics of one node of several: what is published on any of them reaches the readers of all, in one order.

A relay carries the events and keeps their history; memory holds the last of the topics that are read here. A reader
that is further behind is brought what it lacks from the relay, page by page at its own pace. Readers of one topic share
the pages: the one that is furthest behind is served first, and takes along whoever is on its way, so that a thousand
who come back together cost little more than one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, final

from sluicegate.errors import EventsUnavailable
from sluicegate.ports import EventId, EventRelay, Kept, Stretch
from sluicegate.sse.broker import UNREAD, Broker, Published, Topic
from sluicegate.sse.event import encode
from sluicegate.sse.history import BEGINNING, Event, written
from sluicegate.sse.subscription import Counts, Sink, Subscription, gap

LINGER: Final = 30.0
"""Seconds for which a topic that nobody reads any more is held: whoever comes back finds it as it was."""

_AGAIN_AFTER: Final = 0.25


@final
class Brought:
    """The pages that were brought in one go, without a gap between them."""

    def __init__(self) -> None:
        self.lost = self.upto = BEGINNING
        self.events: list[Event] = []

    def add(self, after: EventId, stretch: Stretch) -> None:
        """Take a page; one that does not go on where the last one ended begins anew."""
        if after != self.upto or stretch.lost > after or not self.events:
            self.lost, self.events = stretch.lost, []
        self.upto = stretch.upto
        self.events += (Event(*kept) for kept in stretch.events)


@final
class Relayed:
    """Topics over an `EventRelay`, with a `Broker` for what is read here. `clock` returns seconds since the epoch.

    A topic that nobody reads any more is held for `linger` seconds, and at most `unread` of them are. Whoever comes
    back to one that is held no more has it held anew, and gets what it lacks from the relay.
    """

    def __init__(
        self,
        broker: Broker,
        relay: EventRelay,
        *,
        clock: Callable[[], float],
        linger: float = LINGER,
        unread: int = UNREAD,
    ) -> None:
        self._broker: Final = broker
        self._relay: Final = relay
        self._clock: Final = clock
        self._linger: Final = linger
        self._most: Final = unread
        self._held: Final[set[str]] = set()
        self._awaited: Final[dict[str, int]] = {}  # by how many that are about to read it
        self._unread: Final[dict[str, float]] = {}  # held for nobody, with since when; the first left first
        self._wanted: Final[dict[str, dict[Subscription, EventId]]] = {}
        self._bringing: Final[dict[str, asyncio.Task[None]]] = {}
        self.is_closed = False
        """It has let go of the relay: nothing may be published here any more."""
        relay.start(self)

    @property
    def counts(self) -> Counts:
        """What has happened since the start."""
        return self._broker.counts

    @property
    def topics(self) -> int:
        """How many topics are held."""
        return len(self._held)

    @property
    def history_bytes(self) -> int:
        """How much memory the history takes."""
        return self._broker.history_bytes

    @property
    def trouble(self) -> str:
        """Why events are not carried at the moment; empty while they are."""
        return self._relay.trouble

    def ready(self, topic: str) -> Awaitable[None] | None:
        """Have a topic held for one more reader; None where it may be read at once, or what ends when it may.

        The reader then comes in by `subscribe`, or is given up by `spare`: until then the topic is held for it.
        """
        self._held.add(topic)
        self._unread.pop(topic, None)
        self._awaited[topic] = self._awaited.get(topic, 0) + 1
        return self._relay.hold(topic)

    def spare(self, topic: str) -> None:
        """Give up a reader for whom a topic was made ready."""
        self._came(topic)
        self._rest(topic)

    def _came(self, topic: str) -> None:
        awaited = self._awaited.pop(topic) - 1
        if awaited:
            self._awaited[topic] = awaited

    def can_be_read(self, topic: str) -> bool:
        """Tell whether a topic is not out of reach, as far as is known without having it held."""
        return not self.trouble or self._broker.find(topic) is not None

    def subscribe(self, sink: Sink, *, topic: str, after: EventId | None = None) -> Subscription:
        """Let a reader in, once the topic is `ready`. See `Broker.subscribe`."""
        subscription = self._broker.subscribe(sink, topic=topic, after=after)
        self._came(topic)
        return subscription

    def publish(self, topic: str, data: str, *, event: str = "") -> Awaitable[Published]:
        """Send an event to every reader of a topic, on every node, and keep it.

        Raises `InvalidEvent` at once, and `EventsUnavailable` when it is awaited.
        """
        encode(data, event=event)
        return self._published(topic, data, event)

    def sweep(self) -> None:
        """Let go of topics that nobody has read for a while."""
        self._broker.sweep()
        now = self._clock()
        for name, since in list(self._unread.items()):
            if now - since > self._linger:
                self._let_go(name)

    def _rest(self, name: str) -> None:
        """Where nobody reads a topic, hold it for a while; past the bound, another no more."""
        topic = self._broker.find(name)
        if name not in self._held or name in self._awaited or (topic is not None and topic.readers):
            return
        self._unread.pop(name, None)
        self._unread[name] = self._clock()
        if len(self._unread) > self._most:
            self._let_go(next(iter(self._unread)))

    def _let_go(self, name: str) -> None:
        self._held.discard(name)
        del self._unread[name]
        self._relay.release(name)
        self._wanted.pop(name, None)
        if (bringing := self._bringing.pop(name, None)) is not None:
            bringing.cancel()
        if (topic := self._broker.find(name)) is not None:
            self._broker.drop(topic)

    def close(self) -> None:
        """End, and let go of the relay."""
        self.is_closed = True
        for bringing in self._bringing.values():
            bringing.cancel()
        self._relay.close()

    async def _published(self, topic: str, data: str, event: str) -> Published:
        event_id, is_kept = await self._relay.publish(topic, data, event)
        return Published(written(event_id), is_kept)

    # as one who hears

    def placed(self, topic: str, last: EventId) -> None:
        """A topic is held from now on."""
        place = self._broker.find(topic) or self._broker.place(topic, last, left=lambda left: self._rest(left.name))
        self._broker.restart(place, last)
        place.further = lambda reader, after: self._want(topic, reader, after)

    def heard(self, topic: str, event: Kept) -> None:
        """Deliver the next event of a topic."""
        self._broker.offer(topic, Event(*event))

    def missed(self, topic: str, lost: EventId) -> None:
        """Tell the readers of a topic that they may have missed something."""
        place = self._broker.find(topic)
        if place is None:
            return
        last = place.history.last
        self._broker.restart(place, lost)
        place.counts.gaps += place.readers
        # whoever reads on by its id finds out by itself
        place.deliver(Event(lost, gap(reason="history", last_event_id=written(last))))

    # what memory does not hold

    def _want(self, topic: str, reader: Subscription, after: EventId) -> None:
        self._wanted.setdefault(topic, {})[reader] = after
        if topic not in self._bringing:
            task = asyncio.get_running_loop().create_task(self._bring(topic))
            self._bringing[topic] = task
            task.add_done_callback(self._brought)

    def _brought(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (defect := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "readers are brought no more", "exception": defect})

    async def _bring(self, topic: str) -> None:
        """Serve those who are behind, until there are none. What is brought is remembered, where there is room."""
        try:
            await self._bring_all(topic, self._wanted[topic])
        finally:
            if self._bringing.get(topic) is asyncio.current_task():
                del self._bringing[topic], self._wanted[topic]

    async def _bring_all(self, topic: str, wanted: dict[Subscription, EventId]) -> None:
        anew: set[Subscription] = set()
        brought = Brought()
        while (place := self._broker.find(topic)) is not None:
            for reader in [reader for reader in wanted if reader not in place.behind]:
                del wanted[reader]
                anew.discard(reader)
            if not wanted:
                break
            try:
                await self._serve(place, wanted, anew, brought)
            except EventsUnavailable:
                await asyncio.sleep(_AGAIN_AFTER)

    async def _serve(
        self, place: Topic, wanted: dict[Subscription, EventId], anew: set[Subscription], brought: Brought
    ) -> None:
        if any(after > place.history.last for after in wanted.values()):
            # Heard on another node, which was quicker; or from a history that is no more. Which of the two is known
            # once everything has been heard that was there when it was asked for.
            ahead = {reader: after for reader, after in wanted.items() if after > place.history.last}
            await self._relay.settle(place.name)
            for reader, after in ahead.items():
                if reader in wanted and after > place.history.last:
                    wanted[reader] = BEGINNING
                    anew.add(reader)
        after = min(wanted.values())
        upto = place.history.lost
        if after < upto:
            stretch = await self._relay.stretch(place.name, after, upto)
            brought.add(after, stretch)
            if brought.upto == place.history.lost:
                self._broker.precede(place, brought.lost, brought.events)
        else:
            stretch = Stretch(after, after, ())  # memory has what comes next
        for reader, its in list(wanted.items()):
            if its == after or after < its < stretch.upto:
                del wanted[reader]
                is_anew = reader in anew
                anew.discard(reader)
                reader.take(stretch, anew=is_anew)
