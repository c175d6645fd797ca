"""Waits for descriptors, moments and signals, on one thread that may fork at any time: an event loop may not."""

import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, Protocol, final

Then = Callable[[], None]


class HasFileno(Protocol):
    """Something with a descriptor."""

    def fileno(self) -> int:
        """Return it."""
        ...


@final
class Watch:
    """Calls what was asked for, one after another. `signals` says what each signal does; for main threads only."""

    def __init__(self, signals: Mapping[signal.Signals, Then]) -> None:
        # poll and not epoll: an epoll descriptor is shared with forked children, this is nobody else's
        self._selector: Final = selectors.PollSelector()
        self._moments: Final[list[tuple[float, int, Then]]] = []
        self._order: Final = itertools.count()
        self._signals: Final = dict(signals)
        self._caught: Final[list[int]] = []
        self._woken, self._waking = socket.socketpair()
        self._woken.setblocking(False)  # noqa: FBT003 - the standard library's
        self._waking.setblocking(False)  # noqa: FBT003 - likewise
        self.read(self._woken, self._wake)
        self._wakeup_before: Final = signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        self._before: Final = {number: signal.signal(number, self._catch) for number in signals}

    def read(self, source: HasFileno | int, then: Then) -> None:
        """Call this whenever there is something to read."""
        self._selector.register(source, selectors.EVENT_READ, then)

    def forget(self, source: HasFileno | int) -> None:
        """Wait for it no more; to be said before it is closed."""
        self._selector.unregister(source)

    def after(self, seconds: float, then: Then) -> None:
        """Call this once, so many seconds from now."""
        heapq.heappush(self._moments, (time.monotonic() + seconds, next(self._order), then))

    def turn(self) -> None:
        """Wait for something to happen, and call what belongs to it."""
        timeout = max(0.0, self._moments[0][0] - time.monotonic()) if self._moments else None
        for key, _ in self._selector.select(timeout):
            if key.fd in self._selector.get_map():  # not forgotten by what was called before it
                key.data()
        while self._caught:
            self._signals[signal.Signals(self._caught.pop(0))]()
        while self._moments and self._moments[0][0] <= time.monotonic():
            heapq.heappop(self._moments)[2]()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no signal in: a child that is just being forked must not take one that is meant for us."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def leave(self) -> None:
        """In a forked child: nothing of this is ours; signals do what they do to any program."""
        signal.set_wakeup_fd(-1)
        for number in self._signals:
            signal.signal(number, signal.SIG_DFL)
        self._close()

    def close(self) -> None:
        """Put back what signals did before."""
        signal.set_wakeup_fd(self._wakeup_before)
        for number, before in self._before.items():
            signal.signal(number, before)
        self._close()

    def _close(self) -> None:
        self._selector.close()
        self._woken.close()
        self._waking.close()

    def _catch(self, number: int, _: FrameType | None) -> None:
        self._caught.append(number)

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
