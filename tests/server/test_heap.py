"""What was freed in the middle of the heap goes back to the system, once a rush is over."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

from sluicegate.server.connection.heap import Heap, give_back

BLOCK: Final = 2000
BLOCKS: Final = 10_000


@final
class Timers:
    """Calls when it is told to."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], object]]] = []

    def call_later(self, delay: float, callback: Callable[[], object], /) -> None:
        self.due.append((delay, callback))

    def turn(self) -> None:
        due, self.due = self.due, []
        for _, callback in due:
            callback()


def written() -> int:
    """The bytes that this process has written and holds."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_Dirty:\s+(\d+)", rollup, re.MULTILINE))) * 1024


def test_what_lies_free_below_something_in_use_goes_back_to_the_system() -> None:
    blocks = [b"x" * BLOCK for _ in range(BLOCKS)]
    pinned = blocks[::100]
    before = written()
    del blocks
    give_back()
    assert before - written() > BLOCK * BLOCKS / 2
    assert all(len(block) == BLOCK for block in pinned)


def test_it_is_given_back_once_after_a_rush_and_not_for_a_few() -> None:
    timers, given = Timers(), list[int]()
    heap = Heap(timers, rush=100, after=3, give_back=lambda: given.append(1))
    for _ in range(99):
        heap.freed()
    assert not timers.due
    for _ in range(200):
        heap.freed()
    assert [delay for delay, _ in timers.due] == [3]
    assert not given
    timers.turn()
    assert given == [1]


def test_the_next_rush_is_counted_anew() -> None:
    timers, given = Timers(), list[int]()
    heap = Heap(timers, rush=2, give_back=lambda: given.append(1))
    for _ in range(3):
        heap.freed()
    timers.turn()
    heap.freed()
    assert not timers.due
    heap.freed()
    timers.turn()
    assert given == [1, 1]
