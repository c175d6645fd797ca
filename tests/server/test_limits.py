"""How often one address may ask, by a clock that the test moves: counted by one process, or by several together."""

import os
from collections.abc import Callable

import pytest

from sluicegate.server.connection.shared_rate import SharedRate, shared_counts
from sluicegate.server.wire.limits import Limits, Rate

Making = Callable[[int, float], Rate | SharedRate]


def together(count: int, window: float) -> SharedRate:
    """Return a limit that could be shared."""
    return SharedRate(count, window, counts=shared_counts())


alike = pytest.mark.parametrize("make", [Rate, together], ids=["alone", "together"])


@alike
def test_as_many_as_the_limit_pass_at_once_and_no_more(make: Making) -> None:
    rate = make(5, 60)
    assert [rate.wait("192.0.2.1", 1000.0) for _ in range(5)] == [0.0] * 5
    assert rate.wait("192.0.2.1", 1000.0) == pytest.approx(12.0)


@alike
def test_after_the_window_as_many_pass_again(make: Making) -> None:
    rate = make(5, 60)
    for _ in range(5):
        rate.wait("192.0.2.1", 1000.0)
    assert [rate.wait("192.0.2.1", 1060.0) for _ in range(6)].count(0.0) == 5


@alike
def test_the_edge_of_a_window_lets_no_double_portion_through(make: Making) -> None:
    rate = make(5, 60)
    passed = sum(rate.wait("192.0.2.1", 1000.0 + tenth / 10) == 0 for tenth in range(600))
    assert passed == 5 + 4  # the portion, and one for each twelve seconds that went by


@alike
def test_a_refused_request_does_not_count(make: Making) -> None:
    rate = make(1, 10)
    assert rate.wait("192.0.2.1", 0.0) == 0
    for _ in range(100):
        assert rate.wait("192.0.2.1", 5.0) > 0
    assert rate.wait("192.0.2.1", 10.0) == 0


@alike
def test_addresses_are_counted_apart_and_ipv6_by_its_network(make: Making) -> None:
    rate = make(1, 60)
    assert rate.wait("192.0.2.1", 0.0) == 0
    assert rate.wait("192.0.2.2", 0.0) == 0
    assert rate.wait("2001:db8::1", 0.0) == 0
    assert rate.wait("2001:db8:0:0:ffff::2", 0.0) > 0
    assert rate.wait("2001:db8:0:1::1", 0.0) == 0


def test_the_table_of_addresses_has_a_bound() -> None:
    rate = Rate(1, 60, most_kept=10)
    for number in range(100):
        rate.wait(f"192.0.2.{number}", 0.0)
    assert len(rate) == 10


def test_addresses_that_have_not_asked_are_forgotten() -> None:
    rate = Rate(5, 60)
    rate.wait("192.0.2.1", 0.0)
    rate.wait("192.0.2.2", 30.0)
    rate.sweep(13.0)
    assert len(rate) == 1


def test_processes_count_one_address_together_and_remember_for_one_that_has_died() -> None:
    counts = shared_counts()
    rate = SharedRate(6, 60, counts=counts)
    assert rate.wait("192.0.2.1", 0.0) == 0
    for _ in range(4):
        if (child := os.fork()) == 0:
            os._exit(int(SharedRate(6, 60, counts=counts).wait("192.0.2.1", 0.0) > 0))
        _, status = os.waitpid(child, 0)
        assert status == 0
    assert [rate.wait("192.0.2.1", 0.0) > 0 for _ in range(2)] == [False, True]


def test_a_full_set_forgets_whoever_has_nearly_paid_off() -> None:
    rate = SharedRate(10, 10, counts=shared_counts(8))
    for number in range(8):
        for _ in range(number + 1):
            rate.wait(f"192.0.2.{number}", 0.0)
    rate.wait("198.51.100.1", 0.0)  # takes the place of the one that had asked once
    for _ in range(10 - 8):
        assert rate.wait("192.0.2.7", 0.0) == 0
    assert rate.wait("192.0.2.7", 0.0) > 0


def test_a_head_may_hold_a_few_of_the_longest_fields() -> None:
    assert Limits(field=1000).head == 4000
