"""Drives a flow to its end: asks the ports, sends in what they answer.

`begin` goes as far as answers come at once, which for a warm decision is to the end: no coroutine, task or future
is made. `run` and `run_async` are `begin` for those who cannot, or always, await.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar, cast

from sluicegate.errors import SluicegateError

T = TypeVar("T")
Q = TypeVar("Q")
A = TypeVar("A")


def begin(flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]]) -> T | Coroutine[Any, Any, T]:
    """Drive to the end, or to the first answer that must be awaited: then return a coroutine that goes on.

    An error of a port is raised inside the flow, at the line that asked. What is not ours propagates.
    """
    try:
        question = next(flow)
        while True:
            try:
                given = answer(question)
            except SluicegateError as error:
                question = flow.throw(error)
                continue
            if hasattr(given, "__await__"):
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


def run(flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]]) -> T:
    """Drive with ports that answer at once.

    Raises `TypeError` for a port that answers awaitably: it belongs to an asynchronous gate.
    """
    outcome = begin(flow, answer)
    if isinstance(outcome, Coroutine):
        outcome.close()
        msg = "this port answers awaitably: use AsyncGate, or a port that answers at once"
        raise TypeError(msg)
    return outcome


async def run_async(flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]]) -> T:
    """Drive with any ports."""
    outcome = begin(flow, answer)
    return await outcome if isinstance(outcome, Coroutine) else outcome
