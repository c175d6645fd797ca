"""Topics that nobody reads any more: a bound on how many are remembered, and nothing lost by it."""

import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, final

import pytest

from sluicegate.backends.redis.events import RedisEvents
from sluicegate.ports import EventId, Kept
from sluicegate.sse.broker import Broker
from sluicegate.sse.history import read_id
from sluicegate.sse.relayed import Relayed
from sluicegate.sse.subscription import Terms
from tests.events.gate import Clock
from tests.events.nodes import PROBE, address_of, node, published, texts
from tests.events.test_broker import Page, publish
from tests.events.test_nodes import channels
from tests.servers.redis import Redis, redis_server

UNREAD: Final = 3


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as redis:
        yield redis


def made(**terms: Any) -> tuple[Broker, Clock]:  # noqa: ANN401 - whatever Terms take
    clock = Clock()
    return Broker(Terms(**terms), clock=clock, unread=UNREAD), clock


def reading(broker: Broker | Relayed, topic: str, after: str | None = None) -> Page:
    page = Page()
    page.subscription = broker.subscribe(page, topic=topic, after=None if after is None else read_id(after))
    page.subscription.resume()
    return page


def leave(page: Page) -> None:
    assert page.subscription is not None
    page.subscription.leave()


# in one process


def test_of_topics_that_were_only_read_so_many_are_remembered_and_the_first_left_go_first() -> None:
    broker, _ = made()
    reading(broker, "read")
    for number in range(100):
        for topic in (f"topic-{number}", "again"):
            leave(reading(broker, topic))
            assert broker.topics <= 1 + UNREAD
    there = {name for name in ("read", "again", *(f"topic-{number}" for number in range(100))) if broker.find(name)}
    assert there == {"read", "again", "topic-98", "topic-99"}
    broker.sweep()
    assert broker.topics == 1


def test_a_reader_that_comes_back_when_all_that_was_kept_has_run_out_makes_no_room() -> None:
    broker, clock = made(ttl=10)
    (old,) = publish(broker, 1, topic="mine")
    clock.now += 11
    page = reading(broker, "mine", old)
    for number in range(3 * UNREAD):
        leave(reading(broker, f"topic-{number}"))
    publish(broker, 2, topic="mine")
    assert "2" in [one.data for one in page.reader.events]


def test_a_topic_that_is_read_or_of_which_something_is_kept_makes_no_room() -> None:
    broker, _ = made()
    page = reading(broker, "read")
    (first,) = publish(broker, 1, topic="kept")
    for number in range(100):
        leave(reading(broker, f"topic-{number}"))
    publish(broker, 2, topic="read")
    publish(broker, 2, topic="kept")
    back = reading(broker, "kept", after=first)
    assert (page.got, back.got, back.gaps) == (["2"], ["2"], [])


def test_topics_whose_events_are_not_kept_are_bounded_too_and_only_one_that_was_forgotten_tells_of_a_gap() -> None:
    broker, _ = made(history=0)
    page = reading(broker, "mine")
    (last,) = publish(broker, 1, topic="mine")
    leave(page)
    back = reading(broker, "mine", after=last)
    leave(back)
    assert back.gaps == []
    for number in range(100):
        publish(broker, number, topic=f"topic-{number}")
        assert broker.topics <= UNREAD
    assert [one["reason"] for one in reading(broker, "mine", after=last).gaps] == ["history"]


def test_topics_that_had_to_make_room_are_bounded_too() -> None:
    broker, _ = made(history_bytes=10_000)
    for number in range(100):
        publish(broker, number, topic=f"topic-{number}")
        assert broker.topics <= 10_000 // 2048 + UNREAD


def test_what_runs_out_together_is_forgotten_together() -> None:
    broker, clock = made(ttl=60)
    for number in range(3 * UNREAD):
        publish(broker, number, topic=f"topic-{number}")
    for number in range(UNREAD):
        leave(reading(broker, f"bare-{number}"))
    clock.now += 61
    broker.sweep()
    assert (broker.topics, broker.history_bytes) == (0, 0)


@final
class Noted:
    """A log that keeps everything, and notes what it is told to forget."""

    def __init__(self) -> None:
        self.forgotten: Final[list[tuple[str, bool]]] = []

    def load(self, most: int) -> Iterator[tuple[str, EventId, list[Kept]]]:  # noqa: ARG002 - nothing is there
        """Begin with nothing."""
        return iter(())

    def keep(self, topic: str, event: Kept, lost: EventId) -> bool:  # noqa: ARG002 - that it is kept is all
        """Keep it."""
        return True

    def forget(self, topic: str, lost: EventId, *, wholly: bool) -> None:
        """Take note."""
        assert lost
        self.forgotten.append((topic, wholly))

    def close(self) -> None:
        """Nothing is open."""


def test_a_log_is_told_to_forget_only_what_it_knows() -> None:
    """It writes for each; thousands would hold up everybody else."""
    clock, log = Clock(), Noted()
    broker = Broker(Terms(ttl=60), clock=clock, log=log, unread=UNREAD)
    publish(broker, 1, topic="kept")
    for number in range(100):
        leave(reading(broker, f"topic-{number}"))
    clock.now += 61
    broker.sweep()
    assert log.forgotten == [("kept", True)]


# over Redis


def test_a_node_holds_so_many_topics_that_nobody_reads_and_nobody_misses_anything_by_it(server: Redis) -> None:
    with node(server, unread=UNREAD) as hub, hub.reading("public-read") as read:
        last = {}
        for number in range(10):
            with hub.reading(f"public-{number}") as stream:
                published(hub, f"public-{number}", "1")
                stream.next()
                last[number] = stream.last_id
            published(hub, "public-read", str(number))
            while hub.hub.streams > 1:
                hub.gate.turn()
        assert hub.hub.broker.topics == 1 + UNREAD
        with hub.reading("public-after"):  # heard by the same connection, after it has let go of the others
            assert channels(server) == {"public-read", "public-after", "public-7", "public-8", "public-9"}
        for number in range(10):
            published(hub, f"public-{number}", "2")
            with hub.reading(f"public-{number}", ("Last-Event-ID", last[number])) as stream:
                assert stream.next() == [("message", "2")]
        assert texts(read.next(10)) == [str(number) for number in range(10)]


@asynccontextmanager
async def relayed(server: Redis) -> AsyncIterator[tuple[Relayed, RedisEvents]]:
    """Topics over Redis, on this loop."""
    relay = RedisEvents(address_of(server), probe=PROBE, history=10, ttl=60, largest=1000)
    topics = Relayed(Broker(Terms(), clock=time.time), relay, clock=time.time, unread=UNREAD)
    try:
        yield topics, relay
    finally:
        topics.close()


async def ready(topics: Relayed, topic: str) -> None:
    held: Awaitable[None] | None = topics.ready(topic)
    if held is not None:
        await held


async def test_a_topic_is_held_for_whoever_is_about_to_read_it_however_many_others_come_and_go(server: Redis) -> None:
    async with relayed(server) as (topics, relay):
        await ready(topics, "wanted")
        await ready(topics, "wanted")
        topics.spare("wanted")  # one of the two gives up
        for number in range(10):
            await ready(topics, f"topic-{number}")
            topics.spare(f"topic-{number}")
        assert topics.topics == 1 + UNREAD
        page = reading(topics, "wanted")
        await topics.publish("wanted", "heard")
        await relay.settle("wanted")
        assert (page.got, page.gaps) == (["heard"], [])
