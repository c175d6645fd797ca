"""What one node hears of the topics that it holds, over one connection to Redis.

A topic is subscribed first and its stream read after that, on the same connection: what was told before the answer is
in it, and what is told after it is new. So nothing is queued, compared or told twice, however often the connection
ends; after each of its ends every topic is read on from the last event that was heard, and until then what is told is
passed over, for it stands in the stream.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from sluicegate.backends.redis.entries import Entries, Entry
from sluicegate.backends.redis.line import Line
from sluicegate.backends.redis.wire import Reply, Wire, is_error, is_one_of, pack, quoted
from sluicegate.ports import EventId, Hearer
from sluicegate.sse.history import BEGINNING

if TYPE_CHECKING:
    import asyncio

NOTHING: Final[EventId] = (0, 1)
"""Before the first event of a topic. Whoever says that it has less than this has missed something, or makes it up."""

_AT_ONCE: Final = 8
"""How many topics are read on at the same time: each takes the memory of a page."""

_CROWD: Final = 32
"""How many may wait for a topic before it is looked who still does."""


@final
class Held:
    """A topic that this node holds. `last`: up to where it was heard, None before it ever was."""

    __slots__ = ("_crowd", "_waiting", "before", "is_heard", "is_held", "is_stuck", "is_unbroken", "last", "topic")

    def __init__(self, topic: str) -> None:
        self.topic: Final = topic
        self.last: EventId | None = None
        self.before: EventId | None = None
        """What the last one said came before it."""
        self.is_heard = False
        """What is told from now on is new."""
        self.is_unbroken = False
        """Everything has been told since the last event: a stream that begins anew has lost nothing."""
        self.is_stuck = False
        """What stands under its key is no stream: it is read again when somebody publishes, or wants to read."""
        self.is_held = True
        self._waiting: Final[list[asyncio.Future[None]]] = []
        self._crowd = _CROWD

    def wait(self, future: "asyncio.Future[None]") -> "asyncio.Future[None]":
        """Have this done when it is heard. Whoever waits no more is forgotten: it may be long until then."""
        if len(self._waiting) >= self._crowd:
            self._waiting[:] = [one for one in self._waiting if not one.done()]
            self._crowd = max(_CROWD, 2 * len(self._waiting))
        self._waiting.append(future)
        return future

    def settle(self) -> None:
        """Take note that it is heard."""
        self.is_heard = True
        waiting, self._waiting[:] = tuple(self._waiting), ()
        for future in waiting:
            if not future.done():
                future.set_result(None)


@final
class Following:
    """The topics of one node. `garbled` is told of what is no event and stands in a stream; `now` is milliseconds."""

    def __init__(
        self, wire: Wire, entries: Entries, hearer: Hearer, *, garbled: Callable[[str], None], now: Callable[[], int]
    ) -> None:
        self._wire: Final = wire
        self._entries: Final = entries
        self._hearer: Final = hearer
        self._garbled: Final = garbled
        self._now: Final = now
        self._held: Final[dict[str, Held]] = {}
        self._by_channel: Final[dict[bytes, Held]] = {}
        self._due: Final[deque[Held]] = deque()
        self._busy = 0
        self._line: Line | None = None
        self._name: bytes | None = None
        self._lost_at = 0
        self._is_certain = False

    def hold(self, topic: str) -> Held:
        """Begin to follow a topic; one that is followed already goes on."""
        held = self._held.get(topic)
        if held is None:
            held = self._held[topic] = Held(topic)
            self._by_channel[self._entries.channel(topic).encode()] = held
            if self._line is not None:
                self._due.append(held)
                self._proceed(self._line)
        elif held.is_stuck:
            self._again(held)
        return held

    def release(self, topic: str) -> None:
        """Follow it no more."""
        held = self._held.pop(topic, None)
        if held is None:
            return
        held.is_held = False
        channel = self._entries.channel(topic)
        del self._by_channel[channel.encode()]
        if self._line is not None:
            self._line.send(pack("UNSUBSCRIBE", channel))

    def up(self, line: Line, name: bytes | None) -> None:
        """Go on over a new connection; `name` is that of the data set, None where nobody knows."""
        # what is not in a stream now was not published while nobody listened: only if nothing can have got lost there
        self._is_certain = name is not None and name == self._name and self._now() - self._lost_at < self._entries.ttl
        self._name, self._line, self._busy = name, line, 0
        self._due.clear()
        self._due.extend(self._held.values())
        self._proceed(line)

    def down(self) -> None:
        """The connection has ended."""
        if self._line is not None:
            self._line, self._lost_at = None, self._now()
        for held in self._held.values():
            held.is_heard = held.is_unbroken = held.is_stuck = False

    def told(self, push: list[object]) -> None:
        """Take what was published somewhere."""
        match push:
            case [b"message", bytes() as channel, payload]:
                held = self._by_channel.get(channel)
                if held is not None and held.is_heard and held.last is not None:
                    self._take(held, held.last, self._entries.told(payload))
                elif held is not None and held.is_stuck:
                    self._again(held)

    def _take(self, held: Held, last: EventId, entry: Entry | None) -> None:
        """Take what was told if it is what comes next, and ask the stream where that cannot be seen."""
        if entry is None or entry.wrapped is None:
            self._garbled(held.topic)
        elif entry.before == last or (entry.before is None and entry.id > last):
            # also the first of a stream: the one before has run out, or a node that keeps none has published
            self._hear(held, entry)
            return
        held.is_heard = False
        held.is_unbroken = True
        self._again(held)

    def _again(self, held: Held) -> None:
        held.is_stuck = False
        if self._line is not None:
            self._due.append(held)
            self._proceed(self._line)

    def _hear(self, held: Held, entry: Entry) -> None:
        held.last, held.before = entry.id, entry.before
        if entry.wrapped is None:
            self._garbled(held.topic)
        elif held.is_held:
            self._hearer.heard(held.topic, (entry.id, entry.wrapped))

    # reading on

    def _proceed(self, line: Line) -> None:
        while self._due and self._busy < _AT_ONCE:
            held = self._due.popleft()
            if not held.is_held:
                continue
            self._busy += 1
            self._start(line, held)

    def _start(self, line: Line, held: Held) -> None:
        line.send(pack("SUBSCRIBE", self._entries.channel(held.topic)), lambda reply: self._check(line, reply))
        line.send(self._entries.newest(held.topic), lambda reply: self._begin(line, held, reply))

    def _check(self, line: Line, reply: Reply) -> None:
        if is_error(reply):
            line.drop(self._wire.failure(f"does not carry events: {quoted(reply)}"))

    def _read(self, line: Line, held: Held, reply: Reply) -> list[Entry] | None:
        if is_one_of(reply, "WRONGTYPE"):  # somebody else's key: no other topic is to wait for it
            held.is_stuck = True
            self._garbled(held.topic)
            self._free(line)
            return None
        self._check(line, reply)
        entries = self._entries.read(reply)
        if entries is None:
            line.drop(self._wire.failure("answered what was not asked"))
        return entries

    def _begin(self, line: Line, held: Held, reply: Reply) -> None:
        """With the last entry of a stream: begin there, or find out what to read."""
        entries = self._read(line, held, reply)
        if entries is None:
            return
        newest = entries[-1].id if entries else None
        last = held.last
        if last is None:
            held.last = newest or NOTHING
            if held.is_held:
                self._hearer.placed(held.topic, held.last)
        elif newest is None:
            if not held.is_unbroken and not self._is_nothing_lost(last):
                self._miss(held, (last[0], last[1] + 1))
        elif newest < last or (newest == last and held.before not in {None, entries[-1].before}):
            held.last = BEGINNING  # another history: the first of it says that something is missing
            self._read_on(line, held)
            return
        elif newest > last:
            self._read_on(line, held)
            return
        self._settle(line, held)

    def _read_on(self, line: Line, held: Held) -> None:
        after = self._entries.after(held.topic, held.last or BEGINNING)
        line.send(after, lambda reply: self._page(line, held, reply))

    def _page(self, line: Line, held: Held, reply: Reply) -> None:
        entries = self._read(line, held, reply)
        if entries is None:
            return
        for entry in entries:
            last = held.last or BEGINNING
            begins = entry.before is None and (held.is_unbroken or self._is_nothing_lost(last)) and last != BEGINNING
            if not begins and not entry.is_after(last):
                self._miss(held, entry.lost)
            self._hear(held, entry)
        if held.last == BEGINNING:
            self._miss(held, NOTHING)
        if len(entries) < self._entries.page or not held.is_held:
            self._settle(line, held)
        else:
            self._read_on(line, held)

    def _settle(self, line: Line, held: Held) -> None:
        held.settle()
        self._free(line)

    def _free(self, line: Line) -> None:
        self._busy -= 1
        self._proceed(line)

    def _miss(self, held: Held, lost: EventId) -> None:
        held.last = lost
        if held.is_held:
            self._hearer.missed(held.topic, lost)

    def _is_nothing_lost(self, last: EventId) -> bool:
        """Tell whether a stream that is not there, or has just begun, may have had nothing since: it had run out."""
        return self._is_certain and last[0] < self._now() - self._entries.ttl
