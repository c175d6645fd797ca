"""When what is open ends by itself: what ends within the same quarter of a second lies in one bucket, for one look.

A bucket leaves with the last that lay in it, though its time be years ahead: tokens are made all the time, and most of
what they open has ended long before they do.
"""

import heapq
import random
from collections.abc import Iterable
from typing import Final, Generic, Protocol, TypeVar, final

_NEVER: Final = float("inf")
_BUCKETS: Final = 4  # a second
_JITTER: Final = 0.5
_SLACK: Final = 64  # how many times past the useful ones are carried along before they are swept out


class Ending(Protocol):
    """Something that ends."""

    @property
    def ends(self) -> float:
        """When it ends by itself, in seconds since the epoch; infinite for never."""
        ...


T = TypeVar("T", bound=Ending)


def end_of(expires_at: float | None, leeway: float, *, jitter: float = _JITTER) -> float:
    """Return when what a token opened must end: at its `exp`, a little later each, so that not all come back at once.

    Never before, or a reader would come back with a token that is still good; and at most a second after.
    """
    return _NEVER if expires_at is None else expires_at + leeway + random.random() * jitter  # noqa: S311 - jitter


def is_past(ending: Ending, now: float) -> bool:
    """Tell whether its time has come, as `Ends.take` sees it."""
    return ending.ends != _NEVER and _bucket(ending.ends) <= int(now * _BUCKETS)


@final
class Ends(Generic[T]):
    """What ends when. Whoever puts something in takes it out with the same `ends`."""

    def __init__(self) -> None:
        # dictionaries without values, for sets of thousands take twice the memory
        self._buckets: Final[dict[int, dict[T, None]]] = {}
        self._times: Final[list[int]] = []  # a heap; one may be of a bucket that has left

    def __len__(self) -> int:
        """Return how many moments something is kept for."""
        return len(self._times)

    def add(self, ending: T) -> None:
        """Put something in."""
        if ending.ends == _NEVER:
            return
        time = _bucket(ending.ends)
        if time not in self._buckets:
            self._buckets[time] = {}
            heapq.heappush(self._times, time)
        self._buckets[time][ending] = None

    def discard(self, ending: T) -> None:
        """Take it out; told twice, it does nothing."""
        if ending.ends == _NEVER:
            return
        time = _bucket(ending.ends)
        bucket = self._buckets.get(time)
        if bucket is None:
            return
        bucket.pop(ending, None)
        if not bucket:
            del self._buckets[time]
            if len(self._times) > 2 * len(self._buckets) + _SLACK:
                self._times[:] = self._buckets
                heapq.heapify(self._times)

    def take(self, now: float) -> Iterable[T]:
        """Take out whatever has ended by now, in seconds since the epoch."""
        taken: list[T] = []
        while self._times and self._times[0] <= int(now * _BUCKETS):
            taken.extend(self._buckets.pop(heapq.heappop(self._times), ()))
        return taken


def _bucket(ends: float) -> int:
    """Return where it lies: wholly past when the clock's own bucket is reached."""
    return int(ends * _BUCKETS) + 1
