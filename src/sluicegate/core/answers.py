"""Answers remembered: bounded, the longest unused dropped first, and none older than it may be."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

import msgspec

T = TypeVar("T")


class _Kept(msgspec.Struct, Generic[T], frozen=True):
    value: T
    since: float
    fresh_until: float
    kept_until: float


class Answers(Generic[T]):
    """At most `size` answers by key. Times are in seconds since the epoch.

    Each step on the dictionary is one that the interpreter does whole, and an entry that another thread has taken
    away meanwhile is no error, so threads may share it.
    """

    def __init__(self, size: int) -> None:
        self._size: Final = size
        self._kept: Final[OrderedDict[Hashable, _Kept[T]]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are held, those past their time included; never more than the size given."""
        return len(self._kept)

    def get(self, key: Hashable, now: float) -> T | None:
        """Return the answer that is fresh, and count it as used."""
        found = self._kept.get(key)
        if found is None:
            return None
        # not before it was given, either: a clock that was set back must not lengthen its life
        if not found.since <= now < found.fresh_until:
            return None
        try:
            self._kept.move_to_end(key)
        except KeyError:
            return None
        return found.value

    def get_stale(self, key: Hashable, now: float) -> T | None:
        """Return the answer as long as it is kept at all, fresh or not."""
        found = self._kept.get(key)
        return found.value if found is not None and found.since <= now < found.kept_until else None

    def put(self, key: Hashable, value: T, *, since: float, fresh_until: float, kept_until: float) -> None:
        """Remember an answer given at `since`; it stays in reach of `get_stale` until `kept_until`."""
        kept_until = max(fresh_until, kept_until)
        if kept_until <= since:
            self.drop(key)
            return
        self._kept.pop(key, None)
        self._kept[key] = _Kept(value, since, fresh_until, kept_until)
        while len(self._kept) > self._size:
            try:
                self._kept.popitem(last=False)
            except KeyError:
                return

    def drop(self, key: Hashable) -> None:
        """Forget an answer."""
        self._kept.pop(key, None)
