"""Drives a flow to its end: asks the ports, sends in what they answer.

`start` goes as far as answers come at once, which for a warm decision is to the end: no coroutine, task or future
is made. `run` and `run_async` are `start` for those who cannot, or always, await.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CoroutineType
from typing import Any, Final, Generic, Never, TypeVar, cast, final

from sluicegate.errors import SluicegateError

T = TypeVar("T")
Q = TypeVar("Q")
A = TypeVar("A")


@final
class Underway(Generic[T]):
    """A flow that waits for an answer. Somebody awaits it with `wait`, or has it told with `tell`.

    With `tell` it goes on in the callback that brings the answer: where that is a future, no task is made.
    """

    __slots__ = ("_answer", "_broken", "_flow", "_told", "awaited", "seen")

    def __init__(self, flow: Generator[Any, Any, T], answer: Callable[[Any], Any], awaited: Awaitable[Any]) -> None:
        self._flow: Final = flow
        self._answer: Final = answer
        self._told: Callable[[T], None] | None = None
        self._broken: Callable[[], None]
        self.awaited = awaited
        """The answer that it waits for."""
        self.seen: Callable[[T], object] | None = None
        """Called with what it comes to, before anybody else learns of it."""

    async def wait(self) -> T:
        """Return what it comes to."""
        # a caller that is cancelled while it waits closes its flow here, and leaves nothing for another to read
        flow, awaited = self._flow, self.awaited
        try:
            while True:
                try:
                    given = await awaited
                except SluicegateError as error:
                    question = flow.throw(error)
                else:
                    question = flow.send(given)
                awaited = _asked(self._answer, question)
        except StopIteration as done:
            return self._ended(done)
        finally:
            flow.close()

    def tell(self, told: Callable[[T], None], broken: Callable[[], None]) -> None:
        """Have `told` called with what it comes to, or `broken` before a defect that ends it goes its way.

        In callbacks of the running event loop; after `cancel` not at all.
        """
        self._told, self._broken = told, broken
        self._listen(self.awaited)

    def cancel(self) -> None:
        """Give up what is awaited, and the flow with it."""
        self._told = None
        asyncio.ensure_future(self.awaited).cancel()
        self._flow.close()

    def _listen(self, awaited: Awaitable[Any]) -> None:
        future = awaited if isinstance(awaited, asyncio.Future) else asyncio.ensure_future(awaited)
        self.awaited = future
        future.add_done_callback(self._go_on)

    def _go_on(self, future: asyncio.Future[Any]) -> None:
        told = self._told
        if told is None:  # nobody waits any more
            if not future.cancelled():
                future.exception()
            return
        is_sound = False
        try:
            outcome = self._outcome(future)
            if isinstance(outcome, Underway):
                self._listen(outcome.awaited)
            else:
                self._told = None
                told(outcome)
            is_sound = True
        finally:
            if not is_sound:
                self._broken()

    def _outcome(self, future: asyncio.Future[Any]) -> "T | Underway[T]":
        flow = self._flow
        try:
            try:
                given = future.result()
            except SluicegateError as error:
                question = flow.throw(error)
            else:
                question = flow.send(given)
            return _driven(flow, self._answer, question)
        except StopIteration as done:
            return self._ended(done)

    def _ended(self, done: StopIteration) -> T:
        outcome = cast("T", done.value)
        if self.seen is not None:
            self.seen(outcome)
        return outcome


def start(
    flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]], *, at_once: bool = False
) -> T | Underway[T]:
    """Drive to the end, or to the first answer that must be awaited.

    An error of a port is raised inside the flow, at the line that asked. What is not ours propagates. `at_once`:
    raises `TypeError` for an answer that must be awaited.
    """
    try:
        return _driven(flow, answer, next(flow), at_once=at_once)
    except StopIteration as done:
        outcome: T = done.value  # `cast` would be a call, on the way of every decision
        return outcome


def begin(flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]]) -> T | Coroutine[Any, Any, T]:
    """Do what `start` does, and return a coroutine where something must be awaited."""
    outcome = start(flow, answer)
    return outcome.wait() if isinstance(outcome, Underway) else outcome


def _driven(
    flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]], question: Q, *, at_once: bool = False
) -> Underway[T]:
    """Ask and answer. Raises the flow's own `StopIteration` at its end."""
    while True:
        try:
            given = answer(question)
        except SluicegateError as error:
            question = flow.throw(error)
            continue
        except StopIteration as stray:  # a port's defect, which would pass for a decision
            raise RuntimeError("a port raised StopIteration") from stray
        if hasattr(given, "__await__"):
            if at_once:
                _refuse(given)
            return Underway(flow, answer, cast("Awaitable[A]", given))
        question = flow.send(given)


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
    return cast("T", start(flow, answer, at_once=True))


async def run_async(flow: Generator[Q, A, T], answer: Callable[[Q], A | Awaitable[A]]) -> T:
    """Drive with any ports."""
    outcome = start(flow, answer)
    return await outcome.wait() if isinstance(outcome, Underway) else outcome
