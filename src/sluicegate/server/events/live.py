"""What tokens have opened and is still open: by whatever could revoke it, and by when it ends.

Whoever opens something adds it here *before* its token's state is asked for the last time. A revocation that is
acknowledged before that question is found by it; one that is acknowledged later is told by the feed, and finds what was
opened here. Nothing falls between. What is open already when its token comes, or another one, is held: added and asked
about in one.

Costs do not grow with what is open: a key that came to stand is one lookup, and one question to the store for all that
it may end; what ends by itself is found in one look.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, cast, final

from sluicegate.core.check_state import UNKNOWN, check_state
from sluicegate.core.claims import Identifiers
from sluicegate.core.decision import Reason, Refuse
from sluicegate.core.flow import Answer, FindRevocation, Flow, Hits, Question
from sluicegate.core.policy import Policy
from sluicegate.core.revocation import Revocation, strongest
from sluicegate.drive import begin
from sluicegate.errors import StateUnavailable
from sluicegate.ports import RevocationFeed
from sluicegate.server.events.ends import Ends, is_past

SILENT_FOR: Final = 5.0
"""Seconds that a store may be silent about what it said has changed; then, failing closed, what depends on it ends."""

_ASKED_AT_ONCE: Final = 256
_ENDED_AT_ONCE: Final = 100  # some milliseconds, in which nobody else is served
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_AWAY: Final = Refuse(reason=Reason.STATE_UNAVAILABLE, state_unknown=True)


class Opened(Protocol):
    """Something that a token has opened."""

    @property
    def identifiers(self) -> Identifiers:
        """What the token can be revoked by."""
        ...

    @property
    def ends(self) -> float:
        """When it ends by itself, in seconds since the epoch; infinite for never."""
        ...

    def end(self, refuse: Refuse) -> None:
        """End now, and say why where that can be said. It leaves the registry by itself."""
        ...

    def break_off(self) -> None:
        """End now, without a word."""
        ...


@final
class Live:
    """What is open, on one event loop.

    `answer` answers questions as an engine does; `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        answer: Callable[[Question], Answer | Awaitable[Answer]],
        policy: Policy,
        *,
        clock: Callable[[], float],
        silent_for: float = SILENT_FOR,
    ) -> None:
        self._answer: Final = answer
        self._policy: Final = policy
        self._clock: Final = clock
        self._silent_for: Final = silent_for
        # dictionaries without values, for sets of thousands take twice the memory
        self._by_key: Final[dict[str, Opened | dict[Opened, None]]] = {}
        self._ends: Final[Ends[Opened]] = Ends()
        self._expired: Final[deque[Opened]] = deque()
        self._due: dict[str, None] = {}
        self._silent_until: float | None = None
        self._wake: Final = asyncio.Event()
        self._tasks: Final[list[asyncio.Task[None]]] = []
        self._asking: Final[set[asyncio.Task[None]]] = set()
        self.is_blind = False
        """A defect has ended the watch: nothing may be opened any more."""
        self.open = 0
        """How many are open."""
        self.ended: Final[Counter[Reason]] = Counter()
        """How many were ended from here, and why."""

    def add(self, opened: Opened) -> None:
        """Take note of something that is about to open. Its state is asked after this."""
        self.open += 1
        index = self._by_key
        for key in opened.identifiers.question.keys:
            there = index.get(key)
            if there is None:
                index[key] = opened  # most keys have one: a dictionary would take more memory than all else together
            elif isinstance(there, dict):
                there[opened] = None
            else:
                index[key] = {there: None, opened: None}
        self._ends.add(opened)

    def discard(self, opened: Opened) -> None:
        """Forget it: it has ended. Told twice, it does nothing."""
        index, known = self._by_key, False
        for key in opened.identifiers.question.keys:
            there = index.get(key)
            if there is opened:
                del index[key]
                known = True
            elif isinstance(there, dict) and opened in there:
                del there[opened]
                known = True
                if not there:
                    del index[key]
        self.open -= known
        self._ends.discard(opened)

    def ask(self, identifiers: Identifiers, ends: float) -> Refuse | Coroutine[Any, Any, Refuse | None] | None:
        """Ask whether a token is still good: None, or why not. What it opens, and is to stay, has been added by now."""
        return begin(self._still_good(identifiers, ends), self._answer)

    def _still_good(self, identifiers: Identifiers, ends: float) -> Flow[Refuse | None]:
        state = yield from check_state(identifiers, self._policy)
        if isinstance(state, Revocation):
            return Refuse(reason=Reason.REVOKED, detail=state.reason, jti=identifiers.jti)
        if (state is UNKNOWN and self._policy.state == "refuse") or self.is_blind:
            return _AWAY
        return Refuse(reason=Reason.EXPIRED, jti=identifiers.jti) if ends <= self._clock() else None

    def hold(self, opened: Opened) -> None:
        """Take note of something that is open already, and ask about its token. May end it, at once or later."""
        self.add(opened)
        asked = opened.identifiers
        outcome = self.ask(asked, opened.ends)
        if isinstance(outcome, Coroutine):
            # a task of nobody else's: whoever has handed the token in may leave before the answer comes
            task = asyncio.get_running_loop().create_task(self._later(opened, asked, outcome))
            self._asking.add(task)
            task.add_done_callback(self._asked)
        else:
            self._settle(opened, asked, outcome)

    async def _later(self, opened: Opened, asked: Identifiers, pending: Coroutine[Any, Any, Refuse | None]) -> None:
        is_sound = False
        try:
            refuse = await pending
            is_sound = True
        finally:
            if not is_sound:  # nobody may stay open who was not asked about
                self._end_asked(opened, asked, _AWAY)
        self._settle(opened, asked, refuse)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        if not task.cancelled() and (defect := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "a stream was asked about in vain", "exception": defect})

    def _settle(self, opened: Opened, asked: Identifiers, refuse: Refuse | None) -> None:
        if refuse is not None and refuse.state_unknown and self._tasks and not self.is_blind:
            # it was admitted, and is as good as all else that is open: the store has as long to come back
            self._due.update(dict.fromkeys(asked.question.keys))
            self._wake.set()
        elif refuse is not None:
            self._end_asked(opened, asked, refuse)

    def changed(self, key: str) -> None:
        """Take note that this key may have come to stand; what it may end is looked at next. Empty: any may have."""
        if not key:
            self._due.update(dict.fromkeys(self._by_key))
        elif key in self._by_key:
            self._due[key] = None
        if self._due:
            self._wake.set()

    def tick(self) -> None:
        """End what has expired. To be called a few times a second."""
        was_idle = not self._expired
        self._expired.extend(self._ends.take(self._clock()))
        if was_idle:
            self._expire()

    def _expire(self) -> None:
        """End some of those that have expired; the rest when the loop has turned, so that others are served."""
        now = self._clock()
        for _ in range(min(len(self._expired), _ENDED_AT_ONCE)):
            opened = self._expired.popleft()
            # it may have ended otherwise meanwhile, or go on with a fresh token
            if self._is_open(opened) and is_past(opened, now):
                self._end_apart(opened, opened.identifiers, Refuse(reason=Reason.EXPIRED))
        if self._expired:
            asyncio.get_running_loop().call_soon(self._expire)

    def _is_open(self, opened: Opened) -> bool:
        there = self._by_key.get(opened.identifiers.question.keys[0])
        return there is opened or (isinstance(there, dict) and opened in there)

    def start(self, feed: RevocationFeed | None) -> None:
        """Begin to look after what is open. Without a feed nothing can be revoked, and only `tick` ends anything."""
        if feed is not None:
            loop = asyncio.get_running_loop()
            self._tasks[:] = [loop.create_task(self._watch(feed)), loop.create_task(self._look())]
            for task in self._tasks:
                task.add_done_callback(self._ended_watching)

    async def stop(self) -> None:
        """Look after it no more."""
        tasks = [*self._tasks, *self._asking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def _ended_watching(self, task: asyncio.Task[None]) -> None:
        """A defect has ended the watch: end what nobody looks after any more. A crash is a closed gate."""
        if task.cancelled() or (defect := task.exception()) is None:
            return
        self.is_blind = True
        task.get_loop().call_exception_handler({"message": "open streams are watched no more", "exception": defect})
        for opened in self._under(list(self._by_key)):
            self._end_apart(opened, opened.identifiers, _AWAY)

    async def _watch(self, feed: RevocationFeed) -> None:
        pause = _FIRST_PAUSE
        while True:
            async for key in feed.changes():
                pause = _FIRST_PAUSE
                self.changed(key)
            # the feed is lost, which means: ask about everything, again and again, until it tells that it is back
            self.changed("")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _look(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, self._due = list(self._due), {}
            self._silent_until = None
            for start in range(0, len(due), _ASKED_AT_ONCE):
                await self._look_at(due[start : start + _ASKED_AT_ONCE])
                await asyncio.sleep(0)  # a store that answers at once lets nobody else in

    async def _look_at(self, keys: list[str]) -> None:
        keys = [key for key in keys if key in self._by_key]
        hits = await self._hits(keys) if keys else {}
        if hits is None:
            await self._end_all([(opened, opened.identifiers, _AWAY) for opened in self._under(keys)])
            return
        for key, value in hits.items():
            stand: Hits = {key: value}
            await self._end_all(list(self._revoked(self._under((key,)), stand)))

    def _revoked(self, all_opened: Iterable[Opened], hits: Hits) -> Iterator[tuple[Opened, Identifiers, Refuse]]:
        """Find those that a hit covers: a cut-off spares tokens that were issued after it."""
        known: dict[float | None, tuple[str, Revocation] | None] = {}
        for opened in all_opened:
            asked = opened.identifiers
            if asked.issued_at not in known:
                known[asked.issued_at] = strongest(hits, asked.issued_at, self._policy.layout)
            if (found := known[asked.issued_at]) is not None:
                yield opened, asked, Refuse(reason=Reason.REVOKED, detail=found[1].reason, jti=asked.jti)

    async def _hits(self, keys: list[str]) -> Hits | None:
        """Ask the store, for as long as it takes; None when a gate that fails closed has waited enough in one round."""
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
        while True:
            try:
                given = self._answer(FindRevocation(tuple(keys)))
                return cast("Hits", await given if hasattr(given, "__await__") else given)
            except StateUnavailable:
                self._silent_until = self._silent_until or loop.time() + self._silent_for
                if self._policy.state == "refuse" and loop.time() >= self._silent_until:
                    return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _under(self, keys: Iterable[str]) -> list[Opened]:
        found: dict[Opened, None] = {}
        for key in keys:
            there = self._by_key.get(key)
            if isinstance(there, dict):
                found.update(there)
            elif there is not None:
                found[there] = None
        return list(found)

    async def _end_all(self, refused: Sequence[tuple[Opened, Identifiers, Refuse]]) -> None:
        for number, (opened, identifiers, refuse) in enumerate(refused, 1):
            self._end_apart(opened, identifiers, refuse)
            if number % _ENDED_AT_ONCE == 0:
                await asyncio.sleep(0)  # others are served meanwhile

    def _end_apart(self, opened: Opened, asked: Identifiers, refuse: Refuse) -> None:
        """End one in a callback of its own: a defect in it is told there, and ends neither the watch nor another."""
        asyncio.get_running_loop().call_soon(self._end_asked, opened, asked, refuse)

    def _end_asked(self, opened: Opened, asked: Identifiers, refuse: Refuse) -> None:
        # it may have ended meanwhile, or go on with yet another token, about which the next question is
        if opened.identifiers is asked and self._is_open(opened):
            self._end(opened, refuse)

    def _end(self, opened: Opened, refuse: Refuse) -> None:
        self.ended[refuse.reason] += 1
        is_sound = False
        try:
            opened.end(refuse)
            is_sound = True
        finally:
            if not is_sound:
                self.discard(opened)
                opened.break_off()
