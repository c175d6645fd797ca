"""The store of one process, in its memory: for tests, and for a gate whose revocations may die with it."""

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, final

from sluicegate.backends.changes import Changes
from sluicegate.backends.standing import NONE, require_storable, standing, stands
from sluicegate.core.flow import Hits
from sluicegate.core.revocation import Entry, merge
from sluicegate.ports import StoreReport

_SWEPT_AT_ONCE: Final = 8  # a put adds one and takes up to eight away, so what has expired cannot pile up

_WARNING: Final = (
    "revocations are kept in the memory of this process: they end with it and no other process sees them; "
    "use the embedded store or Redis"
)


@final
class MemoryStore:
    """A `StateStore`, `Ledger` and `Inspectable`. Safe between threads; never out of reach.

    `clock` returns seconds since the epoch.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock: Final = clock
        self._entries: Final[dict[str, Entry]] = {}
        self._ends: Final[list[tuple[float, str]]] = []
        self._writing: Final = threading.Lock()
        self._changes: Changes | None = None

    def __len__(self) -> int:
        """Return how many entries are held, with those that have expired and are not swept yet."""
        return len(self._entries)

    def find(self, keys: tuple[str, ...]) -> Hits:
        """Return the keys that stand, each with its value."""
        entries = self._entries
        # without the lock: one lookup in a dict is atomic, and a question that overlaps a write may miss it
        if entries.keys().isdisjoint(keys):
            return NONE
        return standing(entries, keys, self._clock())

    def put(self, key: str, entry: Entry) -> Entry:
        """Write one entry merged with what stands; return what stands now.

        Raises `InvalidSelector` for a key or value that has no UTF-8 form.
        """
        require_storable(key, entry.value)
        with self._writing:
            now = self._clock()
            old = self._entries.get(key)
            merged = merge(old if stands(old, now) else None, entry)
            self._entries[key] = merged
            if merged.expires_at is not None:
                heapq.heappush(self._ends, (merged.expires_at, key))
            self._sweep(now)
            if self._changes is not None:
                self._changes.note(key)
            return merged

    def remove(self, key: str) -> bool:
        """Take one entry away; tell whether there was one."""
        with self._writing:
            return stands(self._entries.pop(key, None), self._clock())

    def entries(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Iterate over the entries whose key begins so, as they stand now."""
        now = self._clock()
        with self._writing:
            found = [pair for pair in self._entries.items() if pair[0].startswith(prefix) and stands(pair[1], now)]
        return iter(found)

    def inspect(self) -> StoreReport:
        """Say that it is there, and what it cannot do."""
        return StoreReport(kind="memory", reachable=True, warnings=(_WARNING,))

    def watch(self) -> Changes:
        """Return where every key is noted from now on as it comes to stand; for one watcher."""
        self._changes = Changes()
        return self._changes

    def close(self) -> None:
        """Nothing to release."""

    def _sweep(self, now: float) -> None:
        if len(self._ends) > 2 * len(self._entries) + _SWEPT_AT_ONCE:
            # one entry prolonged again and again leaves all its earlier ends behind
            self._ends[:] = [
                (end, key) for key, entry in self._entries.items() if (end := entry.expires_at) is not None
            ]
            heapq.heapify(self._ends)
        for _ in range(_SWEPT_AT_ONCE):
            if not self._ends or self._ends[0][0] > now:
                return
            _, key = heapq.heappop(self._ends)
            # the entry may have been given a longer life since, which has its own place in the heap
            if key in self._entries and not stands(self._entries[key], now):
                del self._entries[key]
