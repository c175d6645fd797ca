"""How often one address may ask, counted by several processes together."""

import mmap
from typing import Final, final

from sluicegate.server.wire.limits import network

_WAYS: Final = 8
_ENTRY: Final = 16
_HASH: Final = 2**64 - 1


def shared_counts(most_kept: int = 65_536) -> mmap.mmap:
    """Return memory for so many addresses, 16 bytes each. Processes forked from this one share it."""
    return mmap.mmap(-1, -(-most_kept // _WAYS) * _WAYS * _ENTRY)


@final
class SharedRate:
    """As `Rate`: `count` requests at once, and then as many as trickle in over `window` seconds, in all processes.

    The moments at which addresses have paid off lie in memory that the processes share, in sets of eight; where a set
    is full, the address that is nearest to having paid off is forgotten. `now` is the machine's monotonic clock, which
    is the same to all of them.

    Nothing is locked: a process that was killed under a lock would stop the others. Each number is written whole, by
    one store of eight bytes. What two processes count of one address within the same microsecond may so count once.
    """

    def __init__(self, count: int, window: float, *, counts: mmap.mmap) -> None:
        self._step: Final = window / count
        self._window: Final = window
        places = len(counts) // _ENTRY
        memory = memoryview(counts)
        self._keys: Final = memory[: places * 8].cast("Q")
        self._due: Final = memory[places * 8 :].cast("d")
        self._sets: Final = places // _WAYS

    def wait(self, address: str, now: float) -> float:
        """Count one request; return 0 to let it pass, or the seconds after which another one would."""
        # Python's own hash: keyed, its key inherited by every fork. Two addresses that share one are counted as one.
        key = (hash(address if ":" not in address else network(address)) & _HASH) or 1
        keys, due = self._keys, self._due
        first = key % self._sets * _WAYS
        place = first
        if keys[first] != key:
            place = self._place(key, first)
        owed = due[place] if keys[place] == key else now
        owed = max(owed, now)
        early = owed + self._step - now - self._window * (1 + 1e-9)
        if early > 0:
            return early
        due[place] = owed + self._step
        keys[place] = key
        return 0.0

    def _place(self, key: int, first: int) -> int:
        """Find an address in its set, or the place of the one that is nearest to having paid off."""
        due = self._due
        places = range(first, first + _WAYS)
        for place in places:
            if self._keys[place] == key:
                return place
        return min(places, key=due.__getitem__)

    def sweep(self, now: float) -> None:
        """Nothing: what has paid off gives way by itself."""
