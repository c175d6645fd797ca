"""Flows are driven alike by whoever answers at once and whoever must be awaited."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Generator
from types import CoroutineType

import pytest

from sluicegate.drive import Underway, begin, run, run_async, start
from sluicegate.errors import StateUnavailable, UpstreamError

Flow = Generator[int, int, str]


def summing(count: int) -> Flow:
    """Asks for the doubles of 0, 1, 2 …; a question that fails counts as -1."""
    found = []
    for number in range(count):
        try:
            found.append((yield number))
        except StateUnavailable:
            found.append(-1)
    return " ".join(map(str, found))


def at_once(question: int) -> int:
    return question * 2


async def later(question: int) -> int:
    await asyncio.sleep(0)
    return question * 2


def mixed(question: int) -> int | Awaitable[int]:
    return later(question) if question % 2 else question * 2


def failing(question: int) -> int:
    if question == 1:
        raise StateUnavailable("refused")
    return question * 2


async def failing_later(question: int) -> int:
    await asyncio.sleep(0)
    return failing(question)


def failing_mixed(question: int) -> int | Awaitable[int]:
    return failing_later(question) if question % 2 else failing(question)


ANSWERS: list[Callable[[int], int | Awaitable[int]]] = [at_once, later, mixed]
FAILURES: list[Callable[[int], int | Awaitable[int]]] = [failing, failing_later, failing_mixed]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("count", range(5))
async def test_the_outcome_does_not_depend_on_how_answers_come(
    answer: Callable[[int], int | Awaitable[int]], count: int
) -> None:
    assert await run_async(summing(count), answer) == " ".join(str(number * 2) for number in range(count))


@pytest.mark.parametrize("answer", FAILURES)
async def test_an_error_of_a_port_is_raised_at_the_line_that_asked(
    answer: Callable[[int], int | Awaitable[int]],
) -> None:
    assert await run_async(summing(3), answer) == "0 -1 4"


def test_answers_at_once_need_no_event_loop() -> None:
    assert run(summing(3), at_once) == "0 2 4"
    assert run(summing(3), failing) == "0 -1 4"
    assert begin(summing(3), at_once) == "0 2 4"


@pytest.mark.parametrize("answer", [later, mixed])
def test_a_port_that_answers_awaitably_has_no_place_in_a_synchronous_gate(
    answer: Callable[[int], int | Awaitable[int]],
) -> None:
    """And nothing is left behind that was never awaited: warnings are errors here."""
    assert "answers awaitably" in complaint(lambda: run(summing(2), answer))
    gc.collect()


def complaint(call: Callable[[], object]) -> str:
    """What a call says against its port, with no traceback kept that would keep coroutines alive."""
    try:
        call()
    except TypeError as error:
        return str(error)
    return ""


async def test_a_future_is_an_answer_too() -> None:
    def promised(question: int) -> Awaitable[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(question * 2)
        return future

    assert await run_async(summing(2), promised) == "0 2"
    with pytest.raises(TypeError, match="answers awaitably"):
        run(summing(1), promised)


@pytest.mark.parametrize("error", [UpstreamError("x"), KeyError("x")])
async def test_what_the_flow_does_not_expect_propagates(error: Exception) -> None:
    """A crash is a closed gate."""

    def broken(_question: int) -> int:
        raise error

    async def broken_later(_question: int) -> int:
        raise error

    with pytest.raises(type(error)):
        run(summing(1), broken)
    with pytest.raises(type(error)):
        await run_async(summing(1), broken_later)


async def test_a_port_that_raises_stop_iteration_has_decided_nothing() -> None:
    """`next()` on an empty iterator is an easy slip, and ends a generator's driver as a decision would."""

    def slipped(_question: int) -> int:
        return next(iter(()))

    async def slipped_later(_question: int) -> int:
        return next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        run(summing(1), slipped)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await run_async(summing(1), slipped_later)


async def test_a_caller_that_goes_away_closes_its_flow() -> None:
    closed = asyncio.Event()
    asked = asyncio.Event()

    def waiting() -> Flow:
        try:
            yield 0
        finally:
            closed.set()
        return ""

    async def never(_question: int) -> int:
        asked.set()
        await asyncio.Event().wait()
        return 0

    task = asyncio.ensure_future(run_async(waiting(), never))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


async def test_only_what_must_be_awaited_makes_a_coroutine() -> None:
    outcome = begin(summing(2), later)
    assert isinstance(outcome, CoroutineType)
    assert await outcome == "0 2"


def promised(question: int) -> asyncio.Future[int]:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def give() -> None:
        if not future.done():
            future.set_result(question * 2)

    asyncio.get_running_loop().call_soon(give)
    return future


def failing_promised(question: int) -> asyncio.Future[int]:
    if question != 1:
        return promised(question)
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_exception(StateUnavailable("refused"))
    return future


def mixed_promised(question: int) -> int | Awaitable[int]:
    return promised(question) if question % 3 == 0 else mixed(question)


def unbroken() -> None:
    raise AssertionError("nothing was broken")


async def told(flow: Flow, answer: Callable[[int], int | Awaitable[int]]) -> list[str]:
    """All that is told of a flow, one turn of the loop after the first of it."""
    outcome = start(flow, answer)
    if not isinstance(outcome, Underway):
        return [outcome]
    all_told: list[str] = []
    is_told = asyncio.Event()
    outcome.seen = lambda seen: all_told.append(f"seen {seen}")

    def hear(said: str) -> None:
        all_told.append(said)
        is_told.set()

    outcome.tell(hear, unbroken)
    assert all_told == [], "not within the call"
    await asyncio.wait_for(is_told.wait(), 10)
    await asyncio.sleep(0)
    seen, *rest = all_told
    assert seen == f"seen {rest[0]}"
    return rest


@pytest.mark.parametrize("answer", [*ANSWERS, promised, mixed_promised])
@pytest.mark.parametrize("count", range(5))
async def test_what_is_told_is_what_would_be_awaited(answer: Callable[[int], int | Awaitable[int]], count: int) -> None:
    assert await told(summing(count), answer) == [" ".join(str(number * 2) for number in range(count))]


@pytest.mark.parametrize("answer", [*FAILURES, failing_promised])
async def test_an_error_of_a_port_that_is_told_is_raised_at_the_line_that_asked(
    answer: Callable[[int], int | Awaitable[int]],
) -> None:
    assert await told(summing(3), answer) == ["0 -1 4"]


@pytest.mark.parametrize("answer", [promised, later])
async def test_who_gives_up_is_told_nothing_and_asks_nothing_more(
    answer: Callable[[int], int | Awaitable[int]],
) -> None:
    closed = asyncio.Event()

    def waiting() -> Flow:
        try:
            yield 0
            yield 1
        finally:
            closed.set()
        return ""

    asked: list[Awaitable[int]] = []

    def asking(question: int) -> Awaitable[int]:
        asked.append(asyncio.ensure_future(answer(question)))  # type: ignore[arg-type]
        return asked[-1]

    outcome = start(waiting(), asking)
    assert isinstance(outcome, Underway)
    outcome.tell(lambda said: pytest.fail(f"told {said}"), unbroken)
    outcome.cancel()
    assert closed.is_set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(asked) == 1
    assert isinstance(asked[0], asyncio.Future)
    assert asked[0].cancelled()


async def test_a_defect_while_it_is_told_breaks_it_and_goes_its_way() -> None:
    """Whoever waits hears of it first: a crash is a closed gate."""
    loop, heard, broken = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    loop.set_exception_handler(lambda _loop, _context: heard.set())

    def slipped(question: int) -> Awaitable[int]:
        if question:
            raise KeyError(question)
        return promised(question)

    def failed(_said: str) -> None:
        raise KeyError("told")

    for flow, answer in ((summing(2), slipped), (summing(1), promised)):
        outcome = start(flow, answer)
        assert isinstance(outcome, Underway)
        outcome.tell(failed, broken.set)
        await asyncio.wait_for(heard.wait(), 10)
        assert broken.is_set()
        heard.clear()
        broken.clear()
