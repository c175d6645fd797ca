"""The C library's heap, which keeps what is freed in its middle: after a rush it is given back to the system."""

import ctypes
from collections.abc import Callable
from typing import Final, Protocol, cast, final

_trim: Final = cast("Callable[[int], int] | None", getattr(ctypes.CDLL(None), "malloc_trim", None))


class Timers(Protocol):
    """An event loop, as far as it is of use here."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> object:
        """Call it so many seconds later."""
        ...


def give_back() -> None:
    """Give back the pages on which nothing is in use; does nothing where the C library is not glibc (malloc_trim(3)).

    Takes milliseconds for tens of megabytes.
    """
    if _trim is not None:
        _trim(0)


@final
class Heap:
    """Counts what is freed, and gives it back when the rush is over: so many frees, and then so many seconds."""

    __slots__ = ("_after", "_freed", "_give_back", "_is_due", "_rush", "_timers")

    def __init__(
        self, timers: Timers, *, rush: int = 500, after: float = 3, give_back: Callable[[], None] = give_back
    ) -> None:
        self._timers: Final = timers
        self._rush: Final = rush
        self._after: Final = after
        self._give_back: Final = give_back
        self._freed = 0
        self._is_due = False

    def freed(self) -> None:
        """Take note of something larger than what Python's own allocator holds, such as an event loop's transport."""
        self._freed += 1
        if self._freed >= self._rush and not self._is_due:
            self._is_due = True
            self._timers.call_later(self._after, self._over)

    def _over(self) -> None:
        self._freed, self._is_due = 0, False
        self._give_back()
