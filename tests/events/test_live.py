"""What a token opened ends with it, wherever its revocation falls."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, final

import pytest

from sluicegate.backends.changes import Changes, PolledFeed
from sluicegate.backends.memory import MemoryStore
from sluicegate.core.claims import Identifiers
from sluicegate.core.decision import Reason, Refuse
from sluicegate.core.flow import FindRevocation, Question
from sluicegate.core.revocation import Entry, KeyLayout
from sluicegate.errors import StateUnavailable
from sluicegate.server.events.live import Live
from sluicegate.sse.broker import Broker
from sluicegate.sse.subscription import Subscription
from tests.events.gate import Clock, Streams, bearer, done, engine, streaming
from tests.table.tokens import ISSUED, NOW, digest, mint
from tests.wire import connected, request

REVOKED: Final = "api_key_blacklisted"


def ended(stream_events: list[tuple[str, str]]) -> str:
    """Why a stream ended, from its last event."""
    assert [kind for kind, _ in stream_events] == ["auth"]
    body = json.loads(stream_events[0][1])
    assert body["code"] == 401
    return str(body["reason"])


@pytest.mark.parametrize(
    "key",
    [
        "BLACKLIST:key:key-1",
        "BLACKLIST:sub:alice",
        "BLACKLIST:iss:https://auth.example.com",
        "BLACKLIST:sid:s-1",
        "BLACKLIST:client:c-1",
        "BLACKLIST:kid:k-1",
        "BLACKLIST:token:",
    ],
)
def test_a_stream_ends_with_a_last_word_whatever_its_token_is_revoked_by(key: str) -> None:
    token = mint(sid="s-1", azp="c-1", header={"kid": "k-1"})
    if key.endswith("token:"):
        key += digest(token)
    with streaming() as hub, hub.reading("public-x", token=token) as stream:
        hub.revoke(key)
        events = stream.rest()
        assert ended(events) == "revoked"
        assert json.loads(events[0][1])["error"] == REVOKED
        assert stream.over
        assert hub.hub.live.open == hub.hub.streams == 0


def test_a_cut_off_ends_what_was_issued_before_it_and_spares_the_rest() -> None:
    early, late = mint(jti="old"), mint(jti="new", iat=NOW - 10)
    with (
        streaming() as hub,
        hub.reading("public-x", token=early) as old,
        hub.reading("public-x", token=late) as new,
    ):
        hub.revoke("BLACKLIST:sub:alice", json.dumps({"not_before": ISSUED, "reason": "abuse"}))
        assert ended(old.rest()) == "revoked"
        hub.publish("public-x", "still here")
        assert new.next() == [("message", "still here")]


def test_other_streams_are_left_alone() -> None:
    with streaming() as hub, hub.reading("public-x", token=mint(sub="bob", jti="b")) as bob:
        with hub.reading("public-x") as alice:
            hub.revoke("BLACKLIST:sub:alice")
            alice.rest()
        hub.publish("public-x", "x")
        assert bob.next() == [("message", "x")]


def test_a_stream_ends_when_its_token_does_and_not_before() -> None:
    with streaming() as hub, hub.reading("public-x", token=mint(exp=NOW + 60)) as stream:
        hub.clock.now = NOW + 59.9
        hub.gate.turn()
        hub.publish("public-x", "still here")
        assert stream.next() == [("message", "still here")]
        hub.clock.now = NOW + 61
        assert ended(stream.rest()) == "expired"


def test_leeway_keeps_a_stream_as_long_as_it_keeps_its_token() -> None:
    with streaming(policy={"leeway": 30.0}) as hub, hub.reading("public-x", token=mint(exp=NOW + 60)) as stream:
        hub.clock.now = NOW + 89.9
        hub.gate.turn()
        hub.publish("public-x", "still here")
        assert stream.next() == [("message", "still here")]
        hub.clock.now = NOW + 91
        assert ended(stream.rest()) == "expired"


@final
class Doors:
    """A store that answers when the test lets it, and a feed that tells what the test says."""

    def __init__(self) -> None:
        self.store: Final = MemoryStore()
        self.asked: Final = threading.Semaphore(0)
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.holds = True
        self.failure: Exception | None = None

    async def find(self, keys: tuple[str, ...]) -> Mapping[str, str | None]:
        """Answer, as things stand when the question came, once the test lets it; or fail, if it is to fail by then."""
        answer = self.store.find(keys)
        if self.holds:
            loop = asyncio.get_running_loop()
            let: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, let))
            self.asked.release()
            await let
        if self.failure is not None:
            raise self.failure
        return answer

    def let(self, place: int = 0) -> None:
        """Wait for a question, and let one be answered: the oldest, or the one behind so many others."""
        assert self.asked.acquire(timeout=10)
        loop, let = self._waiting.pop(place)
        loop.call_soon_threadsafe(let.set_result, None)


@pytest.mark.parametrize("when", ["before the decision", "between decision and last question", "after the last answer"])
def test_a_revocation_between_two_steps_of_opening_is_never_missed(when: str) -> None:
    """The answers are as old as the questions, as an answer on its way back is."""
    doors = Doors()
    noted = Changes()
    with (
        streaming(asked=doors, feed=lambda _: PolledFeed(MemoryStore(), noted)) as hub,
        connected(hub.gate.address) as wire,
    ):

        def revoke() -> None:
            doors.store.put("BLACKLIST:key:key-1", Entry("abuse"))
            noted.note("BLACKLIST:key:key-1")

        if when == "before the decision":
            revoke()
        wire.send(request("/events/public-x", bearer(mint())))
        assert doors.asked.acquire(timeout=10)  # the decision asks
        doors.asked.release()
        if when == "between decision and last question":
            revoke()  # the decision's answer is older
        doors.let()
        if when == "before the decision":
            assert wire.receive().status == 401
            return
        assert doors.asked.acquire(timeout=10)  # the last question
        doors.asked.release()
        if when == "after the last answer":
            revoke()  # its answer is on the way and says nothing of this
            doors.holds = False  # what the feed has asked is answered at once
            while not hub.hub.live.ended:
                hub.gate.turn()
        doors.let()
        answer = wire.receive()
        assert (answer.status, json.loads(answer.body)["error"]) == (401, REVOKED)
        assert hub.hub.live.open == hub.hub.streams == 0


def test_a_stream_that_is_blocked_on_a_slow_reader_ends_at_once() -> None:
    with streaming() as hub, hub.reading("public-x") as stream:
        while not any(reader.is_paused for reader in behind(hub)):
            hub.publish("public-x", "x" * 200_000)
        hub.revoke("BLACKLIST:key:key-1")
        while hub.hub.streams:
            hub.gate.turn()
        assert not [kind for kind, _ in stream.rest() if kind == "auth"]  # it would wait behind what is not read
        assert not stream.over  # cut off, and not ended in good order


def behind(hub: Streams) -> list[Subscription]:
    assert isinstance(hub.hub.broker, Broker)
    topic = hub.hub.broker.find("public-x")
    return list(topic.behind) if topic is not None else []


@final
class One:
    """Something that a token opened, and that counts down when it ends."""

    def __init__(self, number: int, sub: str, live: Live, closed: list[Reason], all_closed: asyncio.Event) -> None:
        keys = (f"BLACKLIST:key:{number}", f"BLACKLIST:sub:{sub}")
        self.identifiers = Identifiers(FindRevocation(keys), str(number), None, KeyLayout())
        self.ends = float(NOW + number)
        self._live: Final = live
        self._closed: Final = closed
        self._all_closed: Final = all_closed

    def end(self, refuse: Refuse) -> None:
        """Take note of the end."""
        self._closed.append(refuse.reason)
        self._live.discard(self)
        if len(self._closed) == 5000:
            self._all_closed.set()

    def break_off(self) -> None:
        """Nothing: it has ended."""


def test_five_thousand_streams_of_one_subject_end_after_one_revocation() -> None:
    """And what it costs the store does not grow with them."""

    async def scene() -> tuple[int, int, int]:
        store, closed, questions = MemoryStore(), list[Reason](), list[Question]()
        decides, all_closed = engine(store, Clock()), asyncio.Event()

        def answer(question: Question) -> Any:  # noqa: ANN401 - the engine's own
            questions.append(question)
            return decides.answer(question)

        live = Live(answer, decides.policy, clock=Clock())
        for number in range(5000):
            live.add(One(number, "alice", live, closed, all_closed))
            live.add(One(-number - 1, "bob", live, closed, all_closed))
        live.start(PolledFeed(store, store.watch()))
        store.put("BLACKLIST:sub:alice", Entry("abuse"))
        await asyncio.wait_for(all_closed.wait(), 30)
        await live.stop()
        return len(closed), live.open, len(questions)

    closed, left, asked = asyncio.run(scene())
    assert (closed, left) == (5000, 5000)
    assert asked < 100


def test_what_expires_together_ends_some_at_a_time_and_what_is_renewed_meanwhile_goes_on() -> None:
    async def scene() -> tuple[int, int, bool]:
        closed, clock = list[Reason](), Clock()
        decides = engine(MemoryStore(), clock)
        live = Live(decides.answer, decides.policy, clock=clock)
        many = [One(number, "alice", live, closed, asyncio.Event()) for number in range(-1000, 0)]
        for one in many:
            live.add(one)
        live.tick()
        await asyncio.sleep(0)
        at_once = len(closed)
        waiting = many[-1]  # it expired last, and goes on with a fresh token
        live.discard(waiting)
        waiting.ends = float(NOW + 60)
        live.add(waiting)
        many[-2].end(Refuse(reason=Reason.REVOKED))
        for _ in range(50):  # turns of the loop; a fifth of them would do
            await asyncio.sleep(0)
        return at_once, len(closed), live.open == 1 and live.ended[Reason.EXPIRED] == 998

    at_once, closed, goes_on = asyncio.run(scene())
    assert 0 < at_once < 1000
    assert (closed, goes_on) == (999, True)


def test_what_goes_on_with_another_token_while_the_others_of_its_key_are_ended_is_spared() -> None:
    async def scene() -> tuple[int, bool]:
        store, closed = MemoryStore(), list[Reason]()
        decides = engine(store, Clock())
        live = Live(decides.answer, decides.policy, clock=Clock())
        many = [One(number, "alice", live, closed, asyncio.Event()) for number in range(200)]
        for one in many:
            live.add(one)
        store.put("BLACKLIST:sub:alice", Entry("abuse"))
        live.start(PolledFeed(store, store.watch()))
        for _ in range(50):  # turns of the loop, until the first of them have ended
            if not closed:
                await asyncio.sleep(0)
        assert len(closed) == 100
        waiting = many[-1]  # its turn would have come with the second hundred
        live.discard(waiting)
        waiting.identifiers = One(200, "carol", live, closed, asyncio.Event()).identifiers
        live.add(waiting)
        for _ in range(50):  # turns of the loop; a few would do
            await asyncio.sleep(0)
        await live.stop()
        return len(closed), live.open == 1

    assert asyncio.run(scene()) == (199, True)


@final
class Faulty:
    """Something whose end is defective."""

    def __init__(self, live: Live, broken_off: list[object]) -> None:
        self.identifiers = Identifiers(FindRevocation(("BLACKLIST:sub:alice",)), "0", None, KeyLayout())
        self.ends = float(NOW)
        self._live: Final = live
        self._broken_off: Final = broken_off

    def end(self, _: Refuse) -> None:
        """Fail."""
        raise LookupError("a defect")

    def break_off(self) -> None:
        """Take note of it."""
        self._broken_off.append(self)


@pytest.mark.parametrize("expires", [True, False])
def test_a_defect_in_one_end_breaks_that_one_off_and_ends_neither_the_watch_nor_another(expires: bool) -> None:  # noqa: FBT001 - drawn
    async def scene() -> tuple[int, int, list[Reason], bool, int]:
        store, clock, told = MemoryStore(), Clock(), list[dict[str, object]]()
        closed, broken_off = list[Reason](), list[object]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        decides = engine(store, clock)
        live = Live(decides.answer, decides.policy, clock=clock)
        live.start(PolledFeed(store, store.watch()))
        for _ in range(2):  # what comes after it is ended like what came before
            live.add(Faulty(live, broken_off))
            live.add(One(0, "alice", live, closed, asyncio.Event()))
            if expires:
                clock.now += 10
                live.tick()
            else:
                store.put("BLACKLIST:sub:alice", Entry("abuse"))
            for _ in range(50):  # turns of the loop; a few would do
                await asyncio.sleep(0.001)
            store.remove("BLACKLIST:sub:alice")
        await live.stop()
        return len(broken_off), len(told), closed, live.is_blind, live.open

    reason = Reason.EXPIRED if expires else Reason.REVOKED
    assert asyncio.run(scene()) == (2, 2, [reason, reason], False, 0)


def test_a_store_that_is_silent_is_waited_for_once_and_not_for_each_batch_of_what_is_open() -> None:
    async def scene() -> list[int]:
        asked, closed, all_closed = list[int](), list[Reason](), asyncio.Event()
        closed += [Reason.EXPIRED] * 4400  # it tells when there are 5,000

        def silent(question: Question) -> Any:  # noqa: ANN401 - whatever an engine answers
            assert isinstance(question, FindRevocation)
            asked.append(len(question.keys))
            raise StateUnavailable("gone")

        live = Live(silent, engine(MemoryStore(), Clock()).policy, clock=Clock(), silent_for=0.2)
        for number in range(600):
            live.add(One(number, str(number), live, closed, all_closed))
        store = MemoryStore()
        live.start(PolledFeed(store, store.watch()))
        live.changed("")
        await asyncio.wait_for(all_closed.wait(), 10)
        await live.stop()
        return asked

    asked = asyncio.run(scene())
    assert asked[0] == asked[1] == 256
    assert len(asked) <= 12  # some for the first batch, and one for each of the others


@final
class Lost:
    """A feed that is lost, and back when the test says so."""

    def __init__(self) -> None:
        self.losses = 0

    async def changes(self) -> AsyncIterator[str]:
        """End at once: the feed is lost."""
        self.losses += 1
        for key in tuple[str, ...]():
            yield key


def test_with_its_feed_lost_a_gate_asks_about_everything_that_is_open() -> None:
    """Lost means strict, not blind."""
    with streaming(feed=lambda _: Lost()) as hub, hub.reading("public-x") as stream:
        hub.revoke("BLACKLIST:sub:alice")
        assert ended(stream.rest()) == "revoked"


@final
class Away:
    """A store that can be taken away."""

    def __init__(self) -> None:
        self.store: Final = MemoryStore()
        self.is_away = False

    def find(self, keys: tuple[str, ...]) -> Mapping[str, str | None]:
        """Answer, while it is there."""
        if self.is_away:
            raise StateUnavailable("away")
        return self.store.find(keys)


@pytest.mark.parametrize(("state", "survives"), [("refuse", False), ("admit", True)])
def test_what_cannot_be_asked_about_ends_where_the_gate_fails_closed(state: str, *, survives: bool) -> None:
    away = Away()
    with (
        streaming(asked=away, feed=lambda _: Lost(), policy={"state": state}) as hub,
        hub.reading("public-x") as stream,
    ):
        away.is_away = True
        if not survives:
            assert [json.loads(data)["reason"] for _, data in stream.rest()] == ["state_unavailable"]
            return
        hub.gate.turn()
        away.is_away = False
        away.store.put("BLACKLIST:sub:alice", Entry("late"))
        assert ended(stream.rest()) == "revoked"


def test_registering_and_forgetting_leave_nothing_behind() -> None:
    with streaming() as hub:
        for _ in range(3):
            with hub.reading("public-x"), hub.reading("public-x", token=mint(jti="other")):
                pass
            hub.gate.empty()
        live = hub.hub.live

        async def sizes() -> tuple[int, int]:
            return len(live._by_key), len(live._ends._buckets)  # noqa: SLF001 - leaks show nowhere else

        assert done(hub.gate._loop, sizes()) == (0, 0)  # noqa: SLF001 - likewise


def test_a_feed_with_a_defect_leaves_no_stream_open_that_nobody_watches() -> None:
    class Broken:
        async def changes(self) -> AsyncIterator[str]:
            yield ""
            await broken.wait()
            raise ZeroDivisionError

    broken = asyncio.Event()
    with streaming(feed=lambda _: Broken()) as hub, hub.reading("public-x") as stream:
        hub.gate._loop.call_soon_threadsafe(broken.set)  # noqa: SLF001 - the event is the loop's
        assert [json.loads(data)["reason"] for _, data in stream.rest()] == ["state_unavailable"]
        hub.gate.turn()
        (told,) = hub.gate.errors
        assert isinstance(told["exception"], ZeroDivisionError)
        hub.gate.errors.clear()
        with hub.reading("public-x") as refused:
            assert refused.head.status == 500
