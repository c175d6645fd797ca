"""Fan-out: in order, once each, bounded, and nobody waits for anybody."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.sse.broker import Broker
from sluicegate.sse.event import unwrapped
from sluicegate.sse.history import read_id
from sluicegate.sse.subscription import Policy, Subscription, Terms
from tests.events.gate import Clock
from tests.events.reading import Reader


class Page:
    """A reader that takes so many events and then no more, until it is told to go on."""

    def __init__(self, *, takes: int = 10**9) -> None:
        self.reader = Reader()
        self.takes = takes
        self.is_cut = False
        self.subscription: Subscription | None = None

    def write(self, wrapped: bytes) -> None:
        self.reader.feed(unwrapped(wrapped))
        self.takes -= 1
        if self.takes <= 0 and self.subscription is not None:
            self.subscription.pause()

    def writer(self) -> "Page":
        return self

    def overflow(self) -> None:
        self.is_cut = True

    def open(self, broker: Broker, after: str | None = None) -> "Page":
        self.subscription = broker.subscribe(self, topic="t", after=None if after is None else read_id(after))
        self.subscription.resume()
        return self

    def go_on(self, takes: int = 10**9) -> None:
        self.takes = takes
        assert self.subscription is not None
        self.subscription.resume()

    @property
    def got(self) -> list[str]:
        return [one.data for one in self.reader.events if one.type != "gap"]

    @property
    def gaps(self) -> list[dict[str, Any]]:
        return [json.loads(one.data) for one in self.reader.events if one.type == "gap"]


def made(**terms: Any) -> tuple[Broker, Clock]:  # noqa: ANN401 - whatever Terms take
    clock = Clock()
    return Broker(Terms(**terms), clock=clock), clock


def publish(broker: Broker, *numbers: int, topic: str = "t") -> list[str]:
    return [broker.publish(topic, str(number)).id for number in numbers]


def numbers(first: int, past: int) -> list[str]:
    return [str(number) for number in range(first, past)]


@pytest.mark.parametrize("policy", ["disconnect", "drop_newest", "drop_oldest", "block"])
def test_a_reader_that_stops_takes_no_more_memory_than_its_queue_and_disturbs_nobody(policy: Policy) -> None:
    broker, _ = made(policy=policy, queue=10, queue_bytes=10_000, history=50)
    slow, quick = Page(takes=1).open(broker), Page().open(broker)
    publish(broker, *range(1000))
    assert quick.got == numbers(0, 1000)
    assert slow.subscription is not None
    events, size = slow.subscription.waiting
    assert events <= 11
    assert size <= 10_000
    assert broker.counts.published == 1000


def test_disconnect_cuts_a_slow_reader_off_and_lets_it_come_back() -> None:
    broker, _ = made(policy="disconnect", queue=10)
    slow = Page(takes=1).open(broker)
    publish(broker, *range(11))
    assert broker.counts.disconnected == 0
    publish(broker, 11)
    assert slow.is_cut
    again = Page().open(broker, after=slow.reader.last_event_id)
    assert slow.got + again.got == numbers(0, 12)


def test_drop_newest_keeps_what_waits_and_says_how_much_was_not_taken() -> None:
    broker, _ = made(policy="drop_newest", queue=10)
    slow = Page(takes=1).open(broker)
    publish(broker, *range(100))
    slow.go_on()
    publish(broker, 100)
    assert slow.got == [*numbers(0, 11), "100"]
    assert slow.gaps == [{"reason": "slow", "missed": 89}]
    assert broker.counts.dropped == 89


def test_drop_oldest_keeps_what_is_new_and_says_how_much_gave_way() -> None:
    broker, _ = made(policy="drop_oldest", queue=10)
    slow = Page(takes=1).open(broker)
    publish(broker, *range(100))
    slow.go_on()
    publish(broker, 100)
    assert slow.got == ["0", *numbers(91, 101)]
    assert slow.gaps == [{"reason": "slow", "missed": 90}]
    assert broker.counts.dropped == 90


def test_block_reads_on_from_the_history_and_misses_nothing_that_it_holds() -> None:
    broker, _ = made(policy="block", queue=10, history=1000)
    slow = Page(takes=1).open(broker)
    publish(broker, *range(500))
    assert slow.subscription is not None
    assert slow.subscription.waiting == (0, 0)
    slow.go_on(takes=100)
    publish(broker, *range(500, 600))
    slow.go_on()
    publish(broker, 600)
    assert (slow.got, slow.gaps) == (numbers(0, 601), [])


def test_block_says_what_the_history_has_lost() -> None:
    broker, _ = made(policy="block", history=5)
    slow = Page(takes=1).open(broker)
    ids = publish(broker, *range(100))
    slow.go_on()
    assert slow.got == ["0", *numbers(95, 100)]
    assert slow.gaps == [{"reason": "history", "last_event_id": ids[0], "oldest": ids[95]}]


@pytest.mark.parametrize("policy", ["disconnect", "drop_newest", "drop_oldest"])
def test_bytes_bound_a_queue_too(policy: Policy) -> None:
    broker, _ = made(policy=policy, queue=1000, queue_bytes=5000)
    slow = Page(takes=1).open(broker)
    for _ in range(20):
        broker.publish("t", "x" * 1000)
        assert slow.subscription is not None
        assert slow.subscription.waiting[1] <= 5000


def test_a_reader_that_comes_back_to_a_stalled_connection_reads_on_later() -> None:
    broker, _ = made()
    first, *_ = publish(broker, *range(300))
    page = Page(takes=70).open(broker, after=first)
    assert len(page.got) == 70
    publish(broker, *range(300, 400))
    page.go_on()
    publish(broker, 400)
    assert page.got == numbers(1, 401)


def test_ids_grow_also_when_the_clock_steps_back() -> None:
    broker, clock = made()
    ids = publish(broker, 1, 2)
    clock.now -= 3600
    ids += publish(broker, 3)
    ids += publish(broker, 4, topic="other")
    clock.now += 7200
    ids += publish(broker, 5)
    read = [read_id(one) for one in ids]
    assert None not in read
    assert read == sorted(set(read), key=lambda one: one or (0, 0))


def test_a_topic_that_was_forgotten_goes_on_where_it_was_and_tells_of_the_gap() -> None:
    broker, clock = made(ttl=60)
    (first,) = publish(broker, 1)
    clock.now += 120
    broker.sweep()
    assert broker.topics == broker.history_bytes == 0
    page = Page().open(broker, after=first)
    assert page.gaps == [] or page.gaps[0]["reason"] == "history"
    (second,) = publish(broker, 2)
    assert (read_id(second) or (0, 0)) > (read_id(first) or (0, 0))


def test_what_is_older_than_its_time_is_forgotten() -> None:
    broker, clock = made(ttl=60)
    (first,) = publish(broker, 1)
    publish(broker, 2)
    clock.now += 61
    (third,) = publish(broker, 3)
    page = Page().open(broker, after=first)
    assert (page.got, page.gaps) == (["3"], [{"reason": "history", "last_event_id": first, "oldest": third}])


def test_the_history_of_all_topics_together_is_bounded() -> None:
    broker, _ = made(history_bytes=100_000)
    for number in range(1000):
        broker.publish(f"topic-{number}", "x" * 1000)
        assert broker.history_bytes <= 100_000
    broker.sweep()
    assert broker.topics < 100


def test_what_runs_out_when_a_reader_comes_back_is_counted_no_more() -> None:
    broker, clock = made(ttl=60, history_bytes=10_000)
    (first,) = publish(broker, 1)
    clock.now += 61
    Page().open(broker, after=first)
    assert broker.history_bytes == 0
    for _ in range(50):  # more than there is room for
        broker.publish("other", "x" * 1000)
        assert 0 < broker.history_bytes <= 10_000


def test_a_topic_leaves_with_its_last_reader() -> None:
    broker, _ = made(history=0)
    page = Page().open(broker)
    publish(broker, 1)
    assert page.subscription is not None
    page.subscription.leave()
    broker.sweep()
    assert (broker.topics, broker.history_bytes) == (0, 0)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["publish", "stop", "go on", "come back"]), st.integers(1, 9)), max_size=40
    ),
    policy=st.sampled_from(["disconnect", "block"]),
)
def test_whatever_happens_a_reader_gets_everything_once_and_in_order_or_is_told(
    steps: list[tuple[str, int]], policy: Policy
) -> None:
    broker, clock = made(policy=policy, queue=5, history=20)
    page, count = Page().open(broker), 0
    seen: list[str] = []
    told = 0
    for step, size in steps:
        clock.now += 0.001
        match step:
            case "publish":
                publish(broker, *range(count, count + size))
                count += size
            case "stop":
                page.takes = size
            case "go on" if not page.is_cut:
                page.go_on()
            case "come back" if page.subscription is not None and page.reader.last_event_id:
                page.subscription.leave()
                seen, told = seen + page.got, told + len(page.gaps)
                page = Page().open(broker, after=page.reader.last_event_id)
    seen, told = seen + page.got, told + len(page.gaps)
    assert seen == sorted(set(seen), key=int)
    assert told or seen == numbers(0, len(seen))
