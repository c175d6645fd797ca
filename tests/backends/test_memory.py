import math
import tracemalloc
from collections.abc import Iterator

import pytest

from sluicegate.backends.memory import MemoryStore
from sluicegate.core.revocation import Entry
from tests.backends.contract import KEY, StateContract


class TestMemoryStore(StateContract):
    """The contract, on a clock that moves when it is told to."""

    _time = 1_700_000_000.0

    @pytest.fixture
    def store(self) -> Iterator[MemoryStore]:
        store = MemoryStore(clock=self.now)
        yield store
        store.close()

    @pytest.fixture
    def other(self, store: MemoryStore) -> MemoryStore:
        return store  # there is no other way to it

    def now(self) -> float:
        return self._time

    def pass_time(self) -> None:
        self._time += 0.1


def test_it_says_that_its_revocations_end_with_the_process() -> None:
    (warning,) = MemoryStore().inspect().warnings
    assert "end with it" in warning


def test_what_has_ended_does_not_pile_up() -> None:
    now = 0.0
    store = MemoryStore(clock=lambda: now)
    for number in range(1_000):
        now = float(number)
        store.put(f"{KEY}:{number}", Entry("cancelled", now + 10))
    assert len(store) <= 20


def test_one_entry_prolonged_again_and_again_costs_the_memory_of_one() -> None:
    store = MemoryStore(clock=lambda: 0.0)
    tracemalloc.start()
    for number in range(20_000):
        store.put(KEY, Entry("cancelled", 10.0 + number))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20_000
    assert dict(store.entries(KEY)) == {KEY: Entry("cancelled", 20_009.0)}


def test_an_end_that_is_no_number_never_comes() -> None:
    store = MemoryStore()
    store.put(KEY, Entry("cancelled", math.nan))
    assert store.find((KEY,)) == {KEY: "cancelled"}
