"""What comes to stand in a store of this machine, for whoever has streams open: a `RevocationFeed` that looks often.

Looking costs one comparison of a mapped number for the embedded store, and of nothing at all for the one in memory, so
it may be done every few milliseconds, and there is no other process to be asked.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, final

from sluicegate.errors import StateUnavailable
from sluicegate.ports import StateStore

EVERY: Final = 0.005
"""Seconds between two looks."""

_MOST_NOTED: Final = 10_000


@final
class Changes:
    """Keys that have come to stand and were not looked at yet. Noted by any thread, taken by one."""

    def __init__(self) -> None:
        self._noted: Final[deque[str]] = deque()

    def note(self, key: str) -> None:
        """Take note of a key; empty: of any. Past a bound, single keys are not worth their memory."""
        if len(self._noted) >= _MOST_NOTED:
            self._noted.clear()
            key = ""
        self._noted.append(key)

    def take(self) -> str | None:
        """Return the next key; None when there is none."""
        try:
            return self._noted.popleft()
        except IndexError:
            return None


@final
class PolledFeed:
    """A `RevocationFeed` over a store that notes its changes when it is asked. `every` is in seconds."""

    def __init__(self, store: StateStore, noted: Changes, *, every: float = EVERY) -> None:
        self._store: Final = store
        self._noted: Final = noted
        self._every: Final = every

    async def changes(self) -> AsyncIterator[str]:
        """Iterate over keys as they come to stand; ends when the store cannot be read."""
        yield ""
        while True:
            try:
                self._store.find(())
            except StateUnavailable:
                return
            while (key := self._noted.take()) is not None:
                yield key
            await asyncio.sleep(self._every)
