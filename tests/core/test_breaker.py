"""The breaker and the limit in front of a webhook, with a clock of the test's own."""

import pytest

from sluicegate.core.breaker import Breaker, Bucket, Pass, State

START = 1_800_000_000.0


def breaker(*, threshold: int = 3, timeout: float = 60.0, lease: float = 20.0) -> Breaker:
    return Breaker(threshold=threshold, timeout=timeout, lease=lease)


def state(gate: Breaker) -> State:
    return gate.state


def enter(gate: Breaker, now: float) -> Pass:
    leave = gate.enter(now)
    assert leave is not None
    return leave


def opened(*, at: float = START, threshold: int = 3) -> Breaker:
    gate = breaker(threshold=threshold)
    for _ in range(threshold):
        gate.failed(enter(gate, at), at)
    assert state(gate) == "open"
    return gate


def test_it_opens_at_the_failure_that_the_threshold_names_and_not_before() -> None:
    gate = breaker(threshold=3)
    for _ in range(2):
        gate.failed(enter(gate, START), START)
    assert state(gate) == "closed"
    gate.failed(enter(gate, START), START)
    assert state(gate) == "open"


def test_only_failures_in_a_row_count() -> None:
    gate = breaker(threshold=3)
    for _ in range(10):
        gate.failed(enter(gate, START), START)
        gate.failed(enter(gate, START), START)
        gate.succeeded(enter(gate, START), START)
    assert state(gate) == "closed"


def test_open_it_lets_nobody_through_until_its_time_is_up() -> None:
    gate = opened()
    assert gate.refuses(START + 59.9)
    assert gate.enter(START + 59.9) is None
    assert state(gate) == "open"
    assert not gate.refuses(START + 60)


def test_half_open_it_lets_exactly_one_through() -> None:
    gate = opened()
    leaves = [gate.enter(START + 60) for _ in range(200)]
    assert [leave for leave in leaves if leave is not None] == [leaves[0]]
    assert leaves[0] is not None
    assert leaves[0].is_probe
    assert state(gate) == "half_open"


def test_a_probe_that_succeeds_closes_it_and_forgets_what_was() -> None:
    gate = opened()
    gate.succeeded(enter(gate, START + 60), START + 61)
    assert state(gate) == "closed"
    gate.failed(enter(gate, START + 62), START + 62)
    gate.failed(enter(gate, START + 62), START + 62)
    assert state(gate) == "closed"


def test_a_probe_that_fails_opens_it_for_the_whole_time_again() -> None:
    gate = opened()
    gate.failed(enter(gate, START + 60), START + 65)
    assert state(gate) == "open"
    assert gate.enter(START + 124.9) is None
    assert enter(gate, START + 125).is_probe


def test_a_probe_that_comes_to_nothing_leaves_its_place_to_the_next() -> None:
    gate = opened()
    leave = enter(gate, START + 60)
    gate.abandoned(leave)
    assert enter(gate, START + 60).is_probe
    assert gate.enter(START + 60) is None
    gate.abandoned(leave)  # a second time, it is nobody's
    assert gate.enter(START + 60) is None


def test_a_probe_of_which_nothing_is_heard_is_given_up() -> None:
    gate = opened()
    lost = enter(gate, START + 60)
    assert gate.enter(START + 79.9) is None
    found = enter(gate, START + 80)
    gate.succeeded(lost, START + 81)
    assert state(gate) == "half_open"
    gate.succeeded(found, START + 81)
    assert state(gate) == "closed"


def test_calls_that_began_before_it_opened_neither_close_it_nor_open_it_again() -> None:
    gate = breaker(threshold=3)
    early = [enter(gate, START) for _ in range(50)]
    for leave in early[:3]:
        gate.failed(leave, START + 5)
    assert state(gate) == "open"
    for leave in early[3:30]:
        gate.failed(leave, START + 50)
    assert enter(gate, START + 65).is_probe
    for leave in early[30:]:
        gate.succeeded(leave, START + 66)
    assert state(gate) == "half_open"


def test_abandoning_an_ordinary_call_changes_nothing() -> None:
    gate = breaker(threshold=1)
    gate.abandoned(enter(gate, START))
    assert state(gate) == "closed"


def test_a_clock_that_was_set_back_does_not_lengthen_its_time() -> None:
    gate = opened(at=START)
    assert gate.enter(START - 3600) is None
    assert enter(gate, START - 3600 + 60).is_probe


@pytest.mark.parametrize("rate", [1, 5, 1000])
def test_so_many_calls_in_a_second_and_no_more(rate: int) -> None:
    bucket = Bucket(rate)
    assert sum(bucket.take(START) for _ in range(2 * rate)) == rate
    assert sum(bucket.take(START + 1) for _ in range(2 * rate)) == rate


def test_the_limit_fills_evenly_and_never_over_its_rim() -> None:
    bucket = Bucket(10)
    assert sum(bucket.take(START) for _ in range(20)) == 10
    assert not bucket.take(START + 0.05)
    assert bucket.take(START + 0.11)
    assert sum(bucket.take(START + 3600) for _ in range(50)) == 10


def test_a_clock_that_was_set_back_neither_fills_the_limit_nor_stops_it() -> None:
    bucket = Bucket(2)
    assert [bucket.take(START) for _ in range(3)] == [True, True, False]
    assert not bucket.take(START - 3600)
    assert bucket.take(START - 3600 + 0.5)
