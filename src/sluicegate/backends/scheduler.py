"""Waiting, and one answer for many who want it: for threads, and for an event loop.

Thread or task, whoever asks first sets the flight off, and all who ask while it is on its way get what it brings home.
"""

import asyncio
import functools
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextlib import suppress
from typing import Any, Final, TypeVar, final

from sluicegate.errors import FetchFailed, SluicegateError

T = TypeVar("T")


def _overdue() -> FetchFailed:
    return FetchFailed("timeout", "another request asks the same and has not come back")


@final
class LoopScheduler:
    """For event loops. A flight is a task of its own, so no caller's leaving ends it.

    What breaks in it that is not ours goes to the loop's exception handler too.
    """

    def __init__(self) -> None:
        # by loop and key; the reference also keeps the tasks alive
        self._flights: Final[dict[Hashable, asyncio.Task[Any]]] = {}

    def wait(self, seconds: float) -> Awaitable[None]:
        """Let time pass for this task alone."""
        return asyncio.sleep(seconds)

    def once(
        self, key: Hashable, begin: Callable[[], T | Awaitable[T]], *, within: float, joined: Callable[[], object]
    ) -> T | Awaitable[T]:
        """Join the flight, or set it off; without a task where it lands at once."""
        key = (asyncio.get_running_loop(), key)
        flight = self._flights.get(key)
        if flight is not None:
            joined()
            return _join(flight, within)
        outcome = begin()
        return asyncio.shield(self._set_off(key, outcome)) if isinstance(outcome, Coroutine) else outcome

    def later(self, key: Hashable, begin: Callable[[], object]) -> None:
        """Set it off in the background."""
        key = (asyncio.get_running_loop(), key)
        if key in self._flights:
            return
        outcome = begin()
        if isinstance(outcome, Coroutine):
            _ = self._set_off(key, outcome)

    def close(self) -> None:
        """End what is on its way. From any thread."""
        for flight in list(self._flights.values()):
            with suppress(RuntimeError):  # a loop that is closed has ended its tasks
                flight.get_loop().call_soon_threadsafe(flight.cancel)

    def _set_off(self, key: Hashable, outcome: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        flight = asyncio.get_running_loop().create_task(outcome)
        self._flights[key] = flight
        flight.add_done_callback(functools.partial(self._landed, key))
        return flight

    def _landed(self, key: Hashable, flight: asyncio.Task[Any]) -> None:
        del self._flights[key]
        error = None if flight.cancelled() else flight.exception()
        # everybody may have left by now, and a defect must not be lost with them
        if error is not None and not isinstance(error, SluicegateError):
            context = {"message": "a flow of the gate broke", "exception": error, "task": flight}
            flight.get_loop().call_exception_handler(context)


async def _join(flight: asyncio.Task[T], within: float) -> T:
    try:
        async with asyncio.timeout(within):
            return await asyncio.shield(flight)
    except TimeoutError:
        raise _overdue() from None


class _Flight:
    """What the threads that wait for it look at, once it has landed."""

    __slots__ = ("error", "landed", "outcome")

    def __init__(self) -> None:
        self.landed: Final = threading.Event()
        self.outcome: list[Any] = []  # empty after landing: it was lost
        self.error: SluicegateError | None = None


@final
class ThreadScheduler:
    """For threads. Whoever asks first flies himself; the others wait on the ground.

    When he is lost (his thread was told to end, or the flow broke), one of those who wait sets off anew: what was
    his alone must not befall them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, _Flight] = {}
        self._process = os.getpid()

    def wait(self, seconds: float) -> None:
        """Let time pass for this thread alone."""
        time.sleep(seconds)

    def once(
        self, key: Hashable, begin: Callable[[], T | Awaitable[T]], *, within: float, joined: Callable[[], object]
    ) -> T:
        """Join the flight, or fly."""
        ends = time.monotonic() + within
        told = False
        while True:
            flight, is_mine = self._flight(key)
            if is_mine:
                mine: T = self._fly(key, flight, begin)
                return mine
            if not told:
                told = True
                joined()
            if not flight.landed.wait(ends - time.monotonic()):
                raise _overdue()
            if flight.error is not None:
                raise flight.error
            if flight.outcome:
                outcome: T = flight.outcome[0]
                return outcome

    def later(self, key: Hashable, begin: Callable[[], object]) -> None:
        """Fly in a thread of its own, which does not keep the process from ending."""
        flight, is_mine = self._flight(key)
        if is_mine:
            threading.Thread(target=self._fly_quietly, args=(key, flight, begin), daemon=True).start()

    def _flight(self, key: Hashable) -> tuple[_Flight, bool]:
        if self._process != os.getpid():
            # a fork took the flights along and left their threads behind: nobody would ever land them
            self._lock, self._flights, self._process = threading.Lock(), {}, os.getpid()
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            flight = self._flights[key] = _Flight()
            return flight, True

    def _fly(self, key: Hashable, flight: _Flight, begin: Callable[[], Any]) -> Any:  # noqa: ANN401 - the flow's own
        try:
            outcome = begin()
            if isinstance(outcome, Coroutine):
                outcome.close()
                msg = "this port answers awaitably: use AsyncGate, or a port that answers at once"
                raise TypeError(msg)
            flight.outcome.append(outcome)
        except SluicegateError as error:
            flight.error = error
            raise
        else:
            return outcome
        finally:
            with self._lock:
                self._flights.pop(key, None)
            flight.landed.set()

    def _fly_quietly(self, key: Hashable, flight: _Flight, begin: Callable[[], Any]) -> None:
        try:
            self._fly(key, flight, begin)
        except SluicegateError:
            return
