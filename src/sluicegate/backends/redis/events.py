"""Events carried between nodes by Redis or Valkey (6 or newer): history in streams, delivery by publish/subscribe.

Two connections: one hears, one publishes and reads old events, so that neither waits for the other. A user of the
access control list needs, on keys and channels that begin with `sluicegate:events:`, EVAL, XADD, XRANGE, XREVRANGE,
XTRIM, XDEL, PEXPIRE, SET, GET, PUBLISH, SUBSCRIBE and UNSUBSCRIBE; besides, HELLO and EXISTS.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final, final

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.entries import Entries, read_id
from sluicegate.backends.redis.following import Following
from sluicegate.backends.redis.line import Line, keep, opened
from sluicegate.backends.redis.wire import Reply, Wire, is_error, quoted
from sluicegate.core.events import Garbled, Listening
from sluicegate.errors import EventsUnavailable, StateUnavailable
from sluicegate.ports import EventId, Hearer, Instrument, Stretch

SILENCE: Final = 2.0
"""Seconds that the server may be silent before a connection counts as lost."""

PUBLISH_WITHIN: Final = 2.0
"""Seconds that Redis may take to take an event; then nobody knows whether it has."""

_WHAT: Final = "events"
_BOUND: Final = 64 << 20


@final
class RedisEvents:
    """An `EventRelay`. `history` events are kept of each topic, for `ttl` seconds; `largest` is in bytes of one.

    `probe` is a key that the login may ask about; `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        address: Address,
        *,
        probe: str,
        history: int,
        ttl: float,
        largest: int,
        silence: float = SILENCE,
        instrument: Instrument | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._wire: Final = Wire(address)
        self._entries: Final = Entries(db=address.db, history=history, ttl=int(ttl * 1000), largest=largest)
        self._probe: Final = probe
        self._silence: Final = silence
        self._instrument: Final = instrument
        self._clock: Final = clock
        self._asking: Line | None = None
        self._hearing: Line | None = None
        self._following: Following
        self._tasks: Final[list[asyncio.Task[None]]] = []
        self._troubles: Final[dict[str, str]] = {}

    @property
    def trouble(self) -> str:
        """Why events are not carried at the moment, as a sentence; empty while they are."""
        return next(iter(self._troubles.values()), "")

    def start(self, hearer: Hearer) -> None:
        """Begin to connect, and do not wait."""
        self._following = Following(self._wire, self._entries, hearer, garbled=self._garbled, now=self._now)
        loop = asyncio.get_running_loop()
        for work in (
            keep(lambda: self._dial(self._following.told), self._hear, self._deaf),
            keep(lambda: self._dial(_ignored), self._ask, self._dumb),
        ):
            task = loop.create_task(work)
            task.add_done_callback(_reported)
            self._tasks.append(task)

    def hold(self, topic: str) -> Awaitable[None] | None:
        """Hear a topic from now on; None where it is heard already, or what ends when it is first heard."""
        held = self._following.hold(topic)
        if held.last is not None:
            return None
        return held.wait(asyncio.get_running_loop().create_future())

    def release(self, topic: str) -> None:
        """Hear a topic no more."""
        self._following.release(topic)

    async def settle(self, topic: str) -> None:
        """Wait until everything has been heard that was published in a topic before this call."""
        while True:
            held, line = self._following.hold(topic), self._hearing
            if held.is_heard and line is not None:
                try:
                    await line.ask(self._wire.question((self._probe,)))
                except StateUnavailable:
                    continue
                return
            await held.wait(asyncio.get_running_loop().create_future())

    async def publish(self, topic: str, data: str, event: str) -> tuple[EventId, bool]:
        """Hand an event to every node, in one step: kept and told, or neither. Return its id, and whether it is kept.

        Raises `EventsUnavailable`, `unknown` where the answer was lost.
        """
        line = self._line()
        try:
            async with asyncio.timeout(PUBLISH_WITHIN):
                reply = await line.ask(self._entries.publish(topic, data, event))
        except (StateUnavailable, TimeoutError) as lost:
            raise EventsUnavailable(str(lost), unknown=True) from lost
        event_id = read_id(reply)
        if event_id is None:
            raise self._refused(reply)
        return event_id, self._entries.history > 0

    async def stretch(self, topic: str, after: EventId, upto: EventId) -> Stretch:
        """Return the next events after one id and up to another, a page at most. Raises `EventsUnavailable`."""
        try:
            reply = await self._line().ask(self._entries.after(topic, after, upto))
        except StateUnavailable as lost:
            raise EventsUnavailable(str(lost)) from lost
        entries = self._entries.read(reply)
        if entries is None:
            raise self._refused(reply)
        if any(entry.wrapped is None for entry in entries):
            self._garbled(topic)
        return self._entries.stretch(entries, after, upto, oldest=self._now() - self._entries.ttl)

    def close(self) -> None:
        """End, and let go of the connections with the next turn of the loop."""
        for task in self._tasks:
            task.cancel()

    def _line(self) -> Line:
        line = self._asking
        if line is None or line.lost.done() or line.is_choked:
            raise EventsUnavailable(self.trouble or f"redis at {self._wire.address} does not take more")
        return line

    def _refused(self, reply: Reply) -> EventsUnavailable:
        # an error says that the server has done nothing; of any other answer nobody knows what it means
        said = f"answered {quoted(reply)}" if is_error(reply) else "answered what was not asked"
        return EventsUnavailable(str(self._wire.failure(said)), unknown=not is_error(reply))

    def _dial(self, heard: Callable[[list[object]], None]) -> Awaitable[Line]:
        return opened(self._wire, heard, probe=self._probe, silence=self._silence, bound=_BOUND)

    async def _hear(self, line: Line) -> None:
        reply = await line.ask(self._entries.name(secrets.token_hex(8)))
        self._hearing = line
        self._following.up(line, reply if isinstance(reply, bytes) else None)
        self._changed("hearing", "")

    def _deaf(self, failure: StateUnavailable) -> None:
        self._hearing = None
        self._following.down()
        self._changed("hearing", str(failure))

    async def _ask(self, line: Line) -> None:
        self._asking = line
        self._changed("asking", "")

    def _dumb(self, failure: StateUnavailable) -> None:
        self._asking = None
        self._changed("asking", str(failure))

    def _changed(self, which: str, trouble: str) -> None:
        before = self.trouble
        if trouble:
            self._troubles[which] = trouble
        else:
            self._troubles.pop(which, None)
        if self._instrument is not None and bool(before) != bool(self.trouble):
            service = f"redis at {self._wire.address}"
            self._instrument.noted(Listening(service=service, what=_WHAT, is_on=not self.trouble, detail=self.trouble))

    def _garbled(self, topic: str) -> None:
        if self._instrument is not None:
            self._instrument.noted(Garbled(service=f"redis at {self._wire.address}", topic=topic))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _ignored(_: list[object]) -> None:
    """Nothing is told to whoever only asks."""


def _reported(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (defect := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "events are carried no more", "exception": defect})
