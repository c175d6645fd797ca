"""Drives a flow to its end: asks the ports, sends in what they answer.

`begin` goes as far as answers come at once, which for a warm decision is to the end: no coroutine, task or future
is made. `run` and `run_async` are `begin` for those who cannot, or always, await.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CoroutineType
from typing import Any, Never, TypeVar, cast

from sluicegate.errors import SluicegateError

T = TypeVar("T")
Q = TypeVar("Q")
A = TypeVar("A")


def begin(
    flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]], *, at_once: bool = False
) -> T | Coroutine[Any, Any, T]:
    """Drive to the end, or to the first answer that must be awaited: then return a coroutine that goes on.

    An error of a port is raised inside the flow, at the line that asked. What is not ours propagates. `at_once`:
    raises `TypeError` for an answer that must be awaited.
    """
    try:
        question = next(flow)
        while True:
            try:
                given = answer(question)
            except SluicegateError as error:
                question = flow.throw(error)
                continue
            except StopIteration as stray:  # a port's defect, which the clause below would take for a decision
                raise RuntimeError("a port raised StopIteration") from stray
            if hasattr(given, "__await__"):
                if at_once:
                    _refuse(given)
                return _finish(flow, answer, cast("Awaitable[A]", given))
            question = flow.send(given)
    except StopIteration as done:
        return cast("T", done.value)


async def _finish(flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]], awaited: Awaitable[A]) -> T:
    # a caller that is cancelled while it waits closes its flow here, and leaves nothing for another to read
    try:
        while True:
            try:
                given = await awaited
            except SluicegateError as error:
                question = flow.throw(error)
            else:
                question = flow.send(given)
            awaited = _asked(answer, question)
    except StopIteration as done:
        return cast("T", done.value)
    finally:
        flow.close()


async def _asked(answer: Callable[[Q], A | Awaitable[A]], question: Q) -> A:
    given = answer(question)
    return await cast("Awaitable[A]", given) if hasattr(given, "__await__") else given


def _refuse(given: object) -> Never:
    if isinstance(given, CoroutineType):
        given.close()  # nobody will await it
    raise TypeError("this port answers awaitably: use AsyncGate, or a port that answers at once")


def run(flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]]) -> T:
    """Drive with ports that answer at once.

    Raises `TypeError` for a port that answers awaitably: it belongs to an asynchronous gate.
    """
    return cast("T", begin(flow, answer, at_once=True))


async def run_async(flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]]) -> T:
    """Drive with any ports."""
    outcome = begin(flow, answer)
    return await outcome if isinstance(outcome, Coroutine) else outcome
