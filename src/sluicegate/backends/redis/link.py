"""One event loop's way to one Redis or Valkey: connects when asked, and again when the connection ends."""

import asyncio
import time
from collections.abc import Collection
from contextvars import Context
from typing import Final, final

from sluicegate.backends.redis.dial import connect
from sluicegate.backends.redis.outage import CONNECT_WITHIN, Outage
from sluicegate.backends.redis.stream import Asking, Question, Stream
from sluicegate.backends.redis.wire import Wire
from sluicegate.core.flow import Hits
from sluicegate.errors import StateUnavailable


@final
class Link:
    """Keeps one connection, and asks every question on it.

    While a connection is being made, questions wait for it together; when it takes longer than `timeout` they fail at
    once until it is there, and after a failed attempt until the pause is over. With `limit` questions in flight the
    next one fails at once. Belongs to the loop that runs when it is made.
    """

    def __init__(self, wire: Wire, outage: Outage, *, timeout: float, limit: int) -> None:
        self._asking: Final = Asking(wire, outage, timeout=timeout)
        self.loop: Final = self._asking.loop
        self._wire: Final = wire
        self._outage: Final = outage
        self._timeout: Final = timeout
        self._connect_within: Final = max(timeout, CONNECT_WITHIN)
        self._limit: Final = limit
        self._stream: Stream | None = None
        self._waiting: list[Question] = []
        self._dialler: asyncio.Task[None] | None = None
        self._dial_began: float | None = None
        self._is_closed = False

    def ask(self, keys: tuple[str, ...], packed: bytes) -> asyncio.Future[Hits]:
        """Ask, and return what will be the answer; `packed` is `Wire.question` of the keys."""
        future = self.loop.create_future()
        question = Question(future, keys, time.monotonic())
        stream = self._stream
        if stream is None:
            self._wait(question)
        elif len(stream.pending) < self._limit:
            stream.ask(question, packed)
        else:
            self._refuse(question, f"owes {self._limit} answers already")
        return future

    def close(self) -> None:
        """Throw the connection away, and fail what waits and what is asked from now on."""
        self._is_closed = True
        if self._dialler is not None:
            self._dialler.cancel()
        # here, because a task that is cancelled before its first step never runs its `finally`
        self._asking.fail(self._waiting, self._closed())
        if self._stream is not None:
            self._stream.drop(self._closed())

    async def wait_closed(self) -> None:
        """Close, and return when the transport is gone."""
        dialler, stream = self._dialler, self._stream
        self.close()
        if dialler is not None:
            await asyncio.wait([dialler])
        if stream is not None:
            await stream.lost

    def _wait(self, question: Question) -> None:
        now = time.monotonic()
        began = self._dial_began
        if self._is_closed:
            self._asking.fail((question,), self._closed())
        elif began is None and self._outage.is_resting(now):
            self._asking.fail((question,), StateUnavailable(self._outage.cause))
        elif began is not None and now - began >= self._timeout:
            self._refuse(question, f"has not let us in for {now - began:.2f} s")
        elif len(self._waiting) >= self._limit:
            self._refuse(question, f"owes {self._limit} answers already")
        else:
            self._waiting.append(question)
            self._asking.expire(question, now)
            if began is None:
                # before the task is made: an eager one may be over when `create_task` returns
                self._dial_began = now
                # in a context of its own: the connection that it makes runs in that, for as long as it lasts
                self._dialler = self.loop.create_task(self._dial(now), context=Context())

    async def _dial(self, began: float) -> None:
        failure = self._closed()
        stream: Stream | None = None
        try:
            async with asyncio.timeout(self._connect_within):
                made = await self._connected(began + self._connect_within)
            # it may have been thrown away before this task had its turn, and would answer nothing, for ever
            if made.is_dropped:
                failure = self._wire.failure("let us in and broke off")
            else:
                stream = made
        except StateUnavailable as error:
            failure = error
        except OSError as error:  # the timeout, and what `ssl` raises, are OSErrors too
            failure = self._wire.failed(error)
        finally:
            self._stream = stream
            self._dial_began = None
            waiting, self._waiting = self._waiting, []
            if stream is None:
                self._outage.dial_failed(str(failure), began=began)
                self._asking.fail(waiting, failure)
        if stream is not None:
            self._outage.dialled()
            for question in waiting:
                if not question.future.done():
                    # From now on the connection is timed by it; its caller has a timer of its own. A handshake that
                    # took nearly all the time must not cost the connection that came of it.
                    question.sent = time.monotonic()
                    stream.ask(question, self._wire.question(question.keys))

    def _ended(self, stream: Stream, again: Collection[Question]) -> None:
        if self._stream is stream:
            self._stream = None
        for question in again:
            if not question.future.done():
                question.was_asked_again = True
                question.answers = None
                self._wait(question)

    async def _connected(self, deadline: float) -> Stream:
        stream = Stream(self._asking, self._ended)
        try:
            await connect(self._wire.address, lambda: stream, deadline=deadline)
            await stream.greeted
        except BaseException:
            stream.drop(self._closed())
            raise
        return stream

    def _refuse(self, question: Question, why: str) -> None:
        self._asking.fail((question,), self._wire.failure(why))

    def _closed(self) -> StateUnavailable:
        return self._wire.failure("is not asked any more: this store was closed")
