"""One answer for many who want it, in an event loop and between threads."""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from sluicegate.backends.scheduler import LoopScheduler, ThreadScheduler
from sluicegate.errors import FetchFailed, StateUnavailable

pytestmark = pytest.mark.anyio
WITHIN = 30.0


class Counted:
    """Counts who joined."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


# in an event loop


async def once(
    scheduler: LoopScheduler,
    begin: Callable[[], Any],
    *,
    joined: Callable[[], object] = int,
    within: float = WITHIN,
) -> Any:  # noqa: ANN401 - what it comes to
    given = scheduler.once("key", begin, within=within, joined=joined)
    return await given if isinstance(given, Awaitable) else given


class Flight:
    """A flow that lands when the test says so, and how often it was set off."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.begun = 0
        self.land = asyncio.Event()
        self._error = error

    def __call__(self) -> Coroutine[Any, Any, str]:
        self.begun += 1
        return self._fly()

    async def _fly(self) -> str:
        await self.land.wait()
        if self._error is not None:
            raise self._error
        return "landed"


async def test_a_thousand_tasks_share_one_flight() -> None:
    scheduler, flight, joined = LoopScheduler(), Flight(), Counted()
    tasks = [asyncio.create_task(once(scheduler, flight, joined=joined)) for _ in range(1000)]
    await asyncio.sleep(0)
    flight.land.set()
    assert await asyncio.gather(*tasks) == ["landed"] * 1000
    assert (flight.begun, joined.count) == (1, 999)


async def test_whoever_leaves_cancels_it_for_nobody_else_not_even_the_first() -> None:
    scheduler, flight = LoopScheduler(), Flight()
    tasks = [asyncio.create_task(once(scheduler, flight)) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[:9]:
        task.cancel()
    await asyncio.sleep(0)
    flight.land.set()
    assert await tasks[9] == "landed"
    assert {task.cancelled() for task in tasks[:9]} == {True}
    assert flight.begun == 1


async def test_it_lands_even_when_everybody_has_left() -> None:
    scheduler, flight = LoopScheduler(), Flight()
    task = asyncio.create_task(once(scheduler, flight))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gc.collect()
    latecomer = asyncio.create_task(once(scheduler, flight))
    await asyncio.sleep(0)
    flight.land.set()
    assert await latecomer == "landed"
    assert flight.begun == 1


async def test_after_it_has_landed_the_next_one_sets_off_anew() -> None:
    scheduler, flight = LoopScheduler(), Flight()
    flight.land.set()
    assert [await once(scheduler, flight) for _ in range(3)] == ["landed"] * 3
    assert flight.begun == 3


async def test_everybody_gets_its_error_and_an_error_nobody_waits_for_is_quiet() -> None:
    scheduler, flight = LoopScheduler(), Flight(error=StateUnavailable("gone"))
    tasks = [asyncio.create_task(once(scheduler, flight)) for _ in range(3)]
    await asyncio.sleep(0)
    flight.land.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StateUnavailable] * 3
    flight = Flight(error=StateUnavailable("gone"))
    task = asyncio.create_task(once(scheduler, flight))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    flight.land.set()
    await asyncio.sleep(0)
    gc.collect()  # "exception was never retrieved" would fail this test, as every warning does


async def test_whoever_joins_waits_no_longer_than_he_may() -> None:
    scheduler, flight = LoopScheduler(), Flight()
    first = asyncio.create_task(once(scheduler, flight))
    await asyncio.sleep(0)
    with pytest.raises(FetchFailed) as caught:
        await once(scheduler, flight, within=0.01)
    assert caught.value.kind == "timeout"
    flight.land.set()
    assert await first == "landed"


async def test_what_comes_at_once_needs_no_task() -> None:
    scheduler, tasks = LoopScheduler(), asyncio.all_tasks()
    assert scheduler.once("key", lambda: "there", within=WITHIN, joined=int) == "there"
    assert asyncio.all_tasks() == tasks


async def test_later_waits_for_nothing_and_once_joins_it() -> None:
    scheduler, flight, joined = LoopScheduler(), Flight(), Counted()
    scheduler.later("key", flight)
    scheduler.later("key", flight)
    gc.collect()
    waiting = asyncio.create_task(once(scheduler, flight, joined=joined))
    await asyncio.sleep(0)
    flight.land.set()
    assert await waiting == "landed"
    assert (flight.begun, joined.count) == (1, 1)


async def test_what_breaks_in_the_background_is_said_and_what_is_ours_is_not() -> None:
    said: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(context["message"]))
    scheduler = LoopScheduler()
    for error in (StateUnavailable("gone"), ZeroDivisionError()):
        flight = Flight(error=error)
        scheduler.later("key", flight)
        flight.land.set()
        for _ in range(5):
            await asyncio.sleep(0)
    assert said == ["a flow of the gate broke"]


async def test_closing_ends_what_is_on_its_way() -> None:
    scheduler, flight, tasks = LoopScheduler(), Flight(), asyncio.all_tasks()
    scheduler.later("key", flight)
    scheduler.close()
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks


async def test_waiting_takes_its_time_and_holds_up_nobody() -> None:
    scheduler = LoopScheduler()
    began = time.monotonic()
    await asyncio.gather(*(scheduler.wait(0.05) for _ in range(20)))
    assert 0.04 < time.monotonic() - began < 0.8


# between threads


def in_threads(number: int, work: Callable[[], object]) -> list[Any]:
    """Run the same in so many threads; return what each came to, or raised."""
    outcomes: list[Any] = []

    def run() -> None:
        try:
            outcomes.append(work())
        except (FetchFailed, StateUnavailable, ZeroDivisionError) as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def hold(begun: threading.Event, leave: threading.Event) -> bool:
    """A flow that says that it has begun and lands when it may."""
    begun.set()
    return leave.wait(10)


class Grounded:
    """A flow that lands when so many have joined it."""

    def __init__(self, passengers: int, *, error: Exception | None = None) -> None:
        self.begun = 0
        self.joined = threading.Semaphore(0)
        self._passengers = passengers
        self._error = error

    def __call__(self) -> str:
        self.begun += 1
        for _ in range(self._passengers):
            assert self.joined.acquire(timeout=10)
        if self._error is not None:
            raise self._error
        return "landed"


def test_fifty_threads_share_one_flight() -> None:
    scheduler, flight = ThreadScheduler(), Grounded(49)
    outcomes = in_threads(50, lambda: scheduler.once("key", flight, within=WITHIN, joined=flight.joined.release))
    assert outcomes == ["landed"] * 50
    assert flight.begun == 1


def test_threads_with_different_questions_do_not_wait_for_each_other() -> None:
    scheduler, everybody = ThreadScheduler(), threading.Barrier(8)
    numbers = iter(range(8))

    def work() -> int:
        return scheduler.once(next(numbers), lambda: everybody.wait(10), within=WITHIN, joined=int)

    assert sorted(in_threads(8, work)) == list(range(8))


def test_every_thread_gets_its_error() -> None:
    scheduler, flight = ThreadScheduler(), Grounded(9, error=StateUnavailable("gone"))
    outcomes = in_threads(10, lambda: scheduler.once("key", flight, within=WITHIN, joined=flight.joined.release))
    assert [type(outcome) for outcome in outcomes] == [StateUnavailable] * 10
    assert flight.begun == 1


def test_when_the_one_who_flies_is_lost_another_sets_off_and_the_rest_join_him() -> None:
    """A thread that is told to end, or a defect that only it met, must not take the others down."""
    scheduler, lost = ThreadScheduler(), Grounded(9, error=ZeroDivisionError())
    second: list[int] = []

    def begin() -> str:
        if not lost.begun:
            return lost()
        second.append(1)
        return "landed"

    outcomes = in_threads(10, lambda: scheduler.once("key", begin, within=WITHIN, joined=lost.joined.release))
    assert sorted(map(str, outcomes)) == ["", *["landed"] * 9]
    assert 1 <= len(second) <= 9


def test_a_thread_that_joins_waits_no_longer_than_it_may() -> None:
    scheduler, joined = ThreadScheduler(), threading.Event()
    leave = threading.Event()
    first = threading.Thread(
        target=lambda: scheduler.once("key", lambda: hold(joined, leave), within=WITHIN, joined=int)
    )
    first.start()
    assert joined.wait(10)
    with pytest.raises(FetchFailed) as caught:
        scheduler.once("key", lambda: None, within=0.01, joined=int)
    assert caught.value.kind == "timeout"
    leave.set()
    first.join()


def test_later_flies_in_a_thread_of_its_own_which_once_joins() -> None:
    scheduler, flight = ThreadScheduler(), Grounded(1)
    scheduler.later("key", flight)
    scheduler.later("key", flight)
    assert scheduler.once("key", flight, within=WITHIN, joined=flight.joined.release) == "landed"
    assert flight.begun == 1
    scheduler.later("other", Grounded(0, error=StateUnavailable("gone")))  # quiet


def test_a_port_that_answers_awaitably_is_no_port_for_threads() -> None:
    async def awaited() -> str:
        return "landed"

    begin: Callable[[], str | Awaitable[str]] = awaited
    with pytest.raises(TypeError, match="AsyncGate"):
        ThreadScheduler().once("key", begin, within=WITHIN, joined=int)


def test_a_forked_process_does_not_wait_for_a_flight_of_its_parents() -> None:
    scheduler, begun, leave = ThreadScheduler(), threading.Event(), threading.Event()
    flying = threading.Thread(
        target=lambda: scheduler.once("key", lambda: hold(begun, leave), within=WITHIN, joined=int)
    )
    flying.start()
    assert begun.wait(10)
    child = os.fork()
    if child == 0:
        landed = scheduler.once("key", lambda: "landed", within=0.5, joined=int)
        os._exit(0 if landed == "landed" else 1)
    leave.set()
    flying.join()
    assert os.waitpid(child, 0)[1] == 0


def test_a_thread_that_waits_takes_its_time() -> None:
    began = time.monotonic()
    ThreadScheduler().wait(0.02)
    assert time.monotonic() - began >= 0.02
