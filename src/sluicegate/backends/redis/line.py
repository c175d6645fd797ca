"""One connection to one Redis or Valkey that the server may speak on by itself (RESP3): answers and pushes, in order.

The order is the point. What the server pushed before it answered a question comes before that answer, so an answer
tells up to where everything has been heard. Everything here runs on the loop's thread, and what an answer means is
settled before the next push is looked at.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final, cast, final

import hiredis

from sluicegate.backends.redis.dial import connect
from sluicegate.backends.redis.outage import CONNECT_WITHIN, Pauses
from sluicegate.backends.redis.wire import RESP3, Replies, Reply, Wire, is_error, pack, quoted
from sluicegate.errors import StateUnavailable

BEATS: Final = 4
"""A line is dead when it has been silent for so many looks: a loop that was held up has not looked meanwhile."""

_HELLO: Final = pack("HELLO", "3")
_CONFIRMATIONS: Final = frozenset({b"subscribe", b"unsubscribe"})
_MOST_UNSENT: Final = 16 << 20

Answered = Callable[[Reply], None]


@final
class Line(asyncio.Protocol):
    """A connection that was let in, once `opened`; `lost` holds why it ended.

    `heard` is called with every push. `silence`, in seconds: a server that says nothing for so long, though it is asked
    about the key `probe` several times in that time, is gone: a network that was cut without a word shows in no other
    way. `bound` is in bytes of one reply.
    """

    def __init__(
        self, wire: Wire, heard: Callable[[list[object]], None], *, probe: str, silence: float, bound: int
    ) -> None:
        self._wire: Final = wire
        self._heard: Final = heard
        self._probe: Final = wire.question((probe,))
        self._probed: Final = (probe,)
        self._every: Final = silence / BEATS
        self._silence: Final = silence
        self._loop: Final = asyncio.get_running_loop()
        self._replies: Final = Replies(wire, kinds=RESP3, bound=bound)
        self._owed: Final[deque[tuple[Answered | None, asyncio.Future[Reply] | None]]] = deque()
        self._greeting: Final[list[Reply]] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._context: Final = Context()
        self._quiet = 0
        self.opened: Final[asyncio.Future[None]] = self._loop.create_future()
        self.lost: Final[asyncio.Future[StateUnavailable]] = self._loop.create_future()

    @property
    def is_choked(self) -> bool:
        """Tell whether the server does not take what is sent, so that no more ought to be."""
        return self._transport is None or self._transport.get_write_buffer_size() > _MOST_UNSENT

    def send(self, packed: bytes, answered: Answered | None = None) -> None:
        """Send one command; `answered` gets the reply, before anything that comes after it is looked at, or nothing."""
        self._owed.append((answered, None))
        self._write(packed)

    def ask(self, packed: bytes) -> asyncio.Future[Reply]:
        """Send one command, and return what will be the reply, or `StateUnavailable`."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        if self.lost.done():
            future.set_exception(StateUnavailable(str(self.lost.result())))
            return future
        self._owed.append((None, future))
        self._write(packed)
        return future

    def drop(self, failure: StateUnavailable) -> None:
        """Throw the connection away, with every reply that may still come on it."""
        if self.lost.done():
            return
        self.lost.set_result(failure)
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        owed = tuple(self._owed)
        self._owed.clear()
        for _, future in owed:
            if future is not None and not future.done():
                future.set_exception(StateUnavailable(str(failure)))
        if not self.opened.done():
            self.opened.set_exception(failure)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are, and which language we want."""
        self._transport = cast("asyncio.Transport", transport)
        if self.lost.done():
            self._transport.abort()
            return
        for _ in range(self._wire.greeting_replies):
            self._owed.append((self._greeting.append, None))
        self._owed.append((self._greeted, None))
        self._write(self._wire.greeting + _HELLO)

    def data_received(self, data: bytes) -> None:
        """Hand each push to whoever listens, and each reply to what has waited longest."""
        self._quiet = 0
        try:
            replies = self._replies.feed(data)
        except StateUnavailable as failure:
            self.drop(failure)
            return
        owed = self._owed
        for reply in replies:
            if self.lost.done():
                return
            if isinstance(reply, hiredis.PushNotification) and not (reply and reply[0] in _CONFIRMATIONS):
                self._heard(reply)
            elif not owed:
                # whose it was cannot be known, so nothing after it can be trusted
                self.drop(self._wire.failure("answered what was not asked"))
            else:
                answered, future = owed.popleft()
                if answered is not None:
                    answered(reply)
                elif future is not None and not future.done():
                    future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say why it has ended."""
        self.drop(self._wire.failed(exc) if isinstance(exc, OSError) else self._wire.failure("closed the connection"))

    def _write(self, packed: bytes) -> None:
        if self._transport is not None and not self.lost.done():
            self._transport.write(packed)

    def _greeted(self, reply: Reply) -> None:
        try:
            self._wire.admitted(self._greeting)
            if is_error(reply):
                raise self._wire.failure(f"does not speak RESP3: {quoted(reply)}")
        except StateUnavailable as failure:
            self.drop(failure)
        else:
            self._timer = self._loop.call_later(self._every, self._beat, context=self._context)
            if not self.opened.done():
                self.opened.set_result(None)

    def _beat(self) -> None:
        self._quiet += 1
        if self._quiet >= BEATS:
            self.drop(self._wire.failure(f"has been silent for {self._silence:g} s"))
            return
        self.send(self._probe, self._felt)
        self._timer = self._loop.call_later(self._every, self._beat, context=self._context)

    def _felt(self, reply: Reply) -> None:
        """Judge the answer to the probe: a server that does not know what stands, or us, is as good as silent."""
        try:
            self._wire.count(reply, self._probed)
        except StateUnavailable as failure:
            self.drop(failure)


async def opened(wire: Wire, heard: Callable[[list[object]], None], *, probe: str, silence: float, bound: int) -> Line:
    """Connect, and return when we are let in and RESP3 is spoken. Raises `StateUnavailable`."""
    line = Line(wire, heard, probe=probe, silence=silence, bound=bound)
    try:
        async with asyncio.timeout(CONNECT_WITHIN):
            await connect(wire.address, lambda: line, deadline=time.monotonic() + CONNECT_WITHIN)
            await asyncio.shield(line.opened)
    except OSError as error:  # the timeout, and what `ssl` raises, are OSErrors too
        failure = wire.failed(error)
        line.drop(failure)
        raise failure from error
    except BaseException:
        line.drop(wire.failure("is not listened to any more"))
        raise
    finally:
        if line.opened.done() and not line.opened.cancelled():
            line.opened.exception()  # looked at: nobody else will
    return line


async def keep(
    dial: Callable[[], Awaitable[Line]],
    up: Callable[[Line], Awaitable[None]],
    down: Callable[[StateUnavailable], None],
) -> None:
    """Have a line, for ever: dial, call `up` with it, call `down` when it has ended or could not be had, and again."""
    pauses = Pauses()
    while True:
        try:
            line = await dial()
            try:
                await up(line)
                pauses.reset()
                failure = await asyncio.shield(line.lost)
            finally:
                line.drop(StateUnavailable("this connection is not listened to any more"))
        except StateUnavailable as refused:
            failure = refused
        down(failure)
        await asyncio.sleep(pauses.next())
