"""One asynchronous connection to one Redis or Valkey: questions of one tick leave together, replies come in order.

Everything here runs on the loop's thread.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from contextvars import Context
from typing import Final, cast, final

import msgspec

from sluicegate.backends.redis.outage import Outage
from sluicegate.backends.redis.wire import Replies, Reply, Wire, is_error
from sluicegate.backends.standing import NONE
from sluicegate.core.flow import Hits
from sluicegate.errors import StateUnavailable

_TICK: Final = 0.001
_HELD_UP: Final = 0.005


@final
class Question(msgspec.Struct, eq=False):
    """One caller's question, or the greeting, which asks about no key and which the dialler waits for.

    `stands`: some of its keys do, as the server has said.
    `sent` is when it was put on its connection. `answers` collects the replies to a request of several commands,
    `wanted` of them. The place of a caller that left stays in the queue: its reply is taken by it and by nobody else
    (CVE-2023-28858, CVE-2023-28859).
    """

    future: asyncio.Future[Hits]
    keys: tuple[str, ...]
    sent: float
    answers: list[Reply] | None = None
    wanted: int = 1
    was_asked_again: bool = False
    stands: bool = False


@final
class Asking:
    """What the connections of one loop to one server share. `timeout` is in seconds."""

    def __init__(self, wire: Wire, outage: Outage, *, timeout: float) -> None:
        self.loop: Final = asyncio.get_running_loop()
        self.wire: Final = wire
        self.outage: Final = outage
        self.timeout: Final = timeout
        # Timers and the connection outlive the requests that happen to start them, and must not keep what is theirs.
        self.context: Final = Context()

    def fail(self, questions: Iterable[Question], failure: StateUnavailable) -> None:
        """Tell the callers that are still there."""
        for question in questions:
            if not question.future.done():
                # one exception each: a shared one would gather every caller's traceback
                question.future.set_exception(StateUnavailable(str(failure), stands=question.stands))
                self.outage.question_failed()

    def expire(self, question: Question, now: float) -> None:
        """Bound a question by a timer of its own, where its connection's timer is later than its deadline."""
        left = question.sent + self.timeout - now
        late = self.wire.late(self.timeout)
        self.loop.call_later(max(left, 0.0), self.fail, (question,), late, context=self.context)


@final
class Stream(asyncio.Protocol):
    """Matches replies to questions, first in, first out.

    `ended` is called once, with what was cut off by the server and may be asked again.
    """

    def __init__(self, asking: Asking, ended: Callable[["Stream", Collection[Question]], None]) -> None:
        self._asking: Final = asking
        self._ended: Final = ended
        self._replies: Final = Replies(asking.wire)
        self._transport: asyncio.Transport | None = None
        self._out: Final[list[bytes]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._was_given_time = False
        self.is_dropped = False
        self.pending: Final[deque[Question]] = deque()
        self.greeted: Final[asyncio.Future[Hits]] = asking.loop.create_future()
        self.lost: Final[asyncio.Future[None]] = asking.loop.create_future()

    def ask(self, question: Question, packed: bytes) -> None:
        """Put a question at the end of the queue; what was asked in this tick leaves in one write."""
        self.pending.append(question)
        self._send(packed)
        if self._timer is None:
            # One timer for all: it is set for the oldest, and every later one has more time left.
            self._start_timer(self._asking.timeout)

    def drop(self, failure: StateUnavailable, again: Collection[Question] = ()) -> None:
        """Throw the connection away, with every reply that may still come on it."""
        if self.is_dropped:
            return
        self.is_dropped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        owed = tuple(self.pending)
        self.pending.clear()
        self._ended(self, again)
        self._asking.fail(owed, failure)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are."""
        self._transport = transport = cast("asyncio.Transport", transport)
        wire = self._asking.wire
        greeting = Question(self.greeted, (), time.monotonic())
        greeting.answers, greeting.wanted = [], wire.greeting_replies
        self.pending.extend([greeting] * greeting.wanted)
        transport.write(wire.greeting)

    def data_received(self, data: bytes) -> None:
        """Hand each reply to the question that has waited longest."""
        asking, pending = self._asking, self.pending
        try:
            replies = self._replies.feed(data)
        except StateUnavailable as failure:
            self.drop(failure)
            return
        for reply in replies:
            if not pending:
                # Whose it was cannot be known, so nothing after it can be trusted.
                self.drop(asking.wire.failure("answered what was not asked"))
                return
            question = pending.popleft()
            # not `== 0` alone: RESP3's false is a Python int that equals 0
            if type(reply) is int and reply == 0 and question.answers is None:
                if not question.future.done():
                    question.future.set_result(NONE)
                if asking.outage.since is not None:
                    asking.outage.question_answered()
            elif question.answers is not None:
                question.answers.append(reply)
                if len(question.answers) == question.wanted:
                    self._settle(question, question.answers)
            else:
                self._answer(question, reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say what the server still owed."""
        wire = self._asking.wire
        # each once, though a request of several commands stands there several times
        owed = dict.fromkeys(self.pending)
        # A server that closes idle connections, or was restarted, is not one that does not answer: what it owed is
        # asked once more, in what time is left.
        again = [question for question in owed if question.keys and not question.was_asked_again]
        self.pending.clear()
        self.pending.extend(owed.keys() - again)
        self.drop(wire.failed(exc) if isinstance(exc, OSError) else wire.failure("closed the connection"), again)
        self.lost.set_result(None)

    def _answer(self, question: Question, reply: Reply) -> None:
        """Take any answer to EXISTS but the plain no."""
        asking = self._asking
        try:
            stands = asking.wire.count(reply, question.keys) > 0
        except StateUnavailable as failure:
            asking.fail((question,), failure)
            if not is_error(reply) or asking.wire.ends(reply):
                self.drop(failure)
            return
        if question.future.done():
            return
        if not stands:
            question.future.set_result(NONE)
            return
        # The same question goes to the end of the queue with the commands that read what stands. Its caller's time
        # runs on; the connection is judged by when these were sent.
        now = time.monotonic()
        asking.expire(question, now)
        question.stands = True
        question.sent = now
        question.answers, question.wanted = [], asking.wire.values_replies(question.keys)
        self.pending.extend([question] * question.wanted)
        self._send(asking.wire.values(question.keys))

    def _settle(self, question: Question, answers: list[Reply]) -> None:
        wire = self._asking.wire
        try:
            if question.future is self.greeted:
                wire.admitted(answers)
                hits = NONE
            else:
                hits = wire.hits(question.keys, answers)
                self._asking.outage.question_answered()
        except StateUnavailable as failure:
            self._asking.fail((question,), failure)
            self.drop(failure)
        else:
            if not question.future.done():
                question.future.set_result(hits)

    def _send(self, packed: bytes) -> None:
        if not self._out:
            self._asking.loop.call_soon(self._flush, context=self._asking.context)
        self._out.append(packed)

    def _flush(self) -> None:
        if self._transport is not None and not self.is_dropped:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _check(self) -> None:
        """Throw the connection away when it has owed a reply for `timeout`."""
        self._timer = None
        was_given_time, self._was_given_time = self._was_given_time, False
        if not self.pending:
            return
        now = time.monotonic()
        left = self.pending[0].sent + self._asking.timeout - now
        held_up = now - self._due
        if left > 0:
            self._start_timer(max(left, _TICK))
        elif held_up > _HELD_UP and not was_given_time:
            # A loop that was held up, by a garbage collection or a callback that blocks, may not even have sent what
            # was asked. It gets that time back, once.
            self._was_given_time = True
            self._start_timer(min(held_up, self._asking.timeout))
        else:
            self.drop(self._asking.wire.late(self._asking.timeout))

    def _start_timer(self, seconds: float) -> None:
        self._due = time.monotonic() + seconds
        self._timer = self._asking.loop.call_later(seconds, self._check, context=self._asking.context)
