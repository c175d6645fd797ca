"""Calls over HTTP/1.1 from an event loop: pooled connections, each call with one end for everything.

A general client costs four times what all of a cold verification does here: httpx2 was measured to take 570 µs of
processor time for a call that takes 40 µs here.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final, cast, final

from sluicegate.backends.http.call import Origin, Reading, Silence, Target, Trust, failure_of, request_of, target_of
from sluicegate.core.flow import Call, Reply
from sluicegate.errors import FetchFailed

MOST_CONNECTIONS: Final = 256
"""To one origin. More calls at a time wait for one to end, within their own time."""

MOST_WAITING: Final = 10 * MOST_CONNECTIONS
KEPT_IDLE: Final = 30.0
"""Seconds; a server closes its own side when it likes, and that costs nothing but a new connection."""


class _Unanswered(Exception):  # noqa: N818 - says what happened; never leaves this module
    """A connection kept from an earlier call closed without a byte: the server let it go, and the call may go again."""


@final
class _Connection(asyncio.Protocol):
    """One connection, with at most one call on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Final = loop
        self._transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._silence: Silence | None = None
        self._is_used = False
        self.is_open = False
        self.idle_since = 0.0

    def ask(self, request: bytes, max_bytes: int) -> asyncio.Future[Reply]:
        """Send a request; the answer comes to the future."""
        self._reading, self._answer = Reading(max_bytes), self._loop.create_future()
        if self._transport is None or not self.is_open:
            gone = _Unanswered() if self._is_used else FetchFailed("connection", "closed as soon as it was open")
            self._answer.set_exception(gone)
        else:
            self._transport.write(request)
        return self._answer

    @property
    def is_good(self) -> bool:
        """Tell whether an idle connection may be asked."""
        return self.is_open and bool(self._silence)

    def rest(self) -> bool:
        """End a call; tell whether the connection can carry another."""
        reading, self._reading, self._answer = self._reading, None, None
        if not (self.is_open and reading is not None and reading.keeps_open):
            self.abort()
            return False
        self._is_used, self.idle_since = True, self._loop.time()
        return True

    def abort(self) -> None:
        """Close at once: a call that was given up leaves an answer behind, which must be nobody's."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport, self.is_open = cast("asyncio.Transport", transport), True
        self._silence = Silence(transport.get_extra_info("socket").fileno())

    def data_received(self, data: bytes) -> None:
        """Read on. What comes unasked closes the connection."""
        reading, answer = self._reading, self._answer
        if reading is None or answer is None or answer.done():
            if reading is not None:
                reading.keeps_open = False
            self.abort()
            return
        try:
            if reading.feed(data):
                answer.set_result(reading.reply)
        except FetchFailed as failed:
            answer.set_exception(failed)
            self.abort()

    def eof_received(self) -> None:
        """Let the transport close: nobody half-closes towards a client and answers later."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End the call that is on it."""
        self.is_open = False
        reading, answer = self._reading, self._answer
        if reading is None or answer is None or answer.done():
            return
        if self._is_used and not reading.has_begun:
            answer.set_exception(_Unanswered())
        elif isinstance(exc, OSError):
            answer.set_exception(failure_of(exc))
        else:
            try:
                reading.end()
                answer.set_result(reading.reply)
            except FetchFailed as failed:
                answer.set_exception(failed)


@final
class _Pool:
    """The connections to one origin."""

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._idle: Final[deque[_Connection]] = deque()
        self._waiting: Final[deque[asyncio.Future[_Connection | None]]] = deque()
        self._taken = 0

    async def take(self, now: float) -> _Connection | None:
        """Return an idle connection, or None: leave to make one. Waits for its turn."""
        if self._taken >= self._most:
            if len(self._waiting) >= MOST_WAITING:
                raise FetchFailed("refused", f"{len(self._waiting)} calls are waiting for a connection")
            turn: asyncio.Future[_Connection | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                return await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self.give(turn.result())  # its turn came in the moment in which it left
                elif turn in self._waiting:
                    self._waiting.remove(turn)
                raise
        self._taken += 1
        while self._idle and now - self._idle[0].idle_since > KEPT_IDLE:
            self._idle.popleft().abort()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_good:
                return connection
            connection.abort()
        return None

    def give(self, connection: _Connection | None) -> None:
        """Give a connection back, or the leave to have one, to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        self._taken -= 1
        if connection is not None:
            self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().abort()


@final
class _Pools:
    """The connections of one event loop, by whom they lead to and what may be reached."""

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._pools: Final[dict[tuple[Origin, str], _Pool]] = {}
        self.end: Final = self._until_the_loop_ends()

    def of(self, key: tuple[Origin, str]) -> _Pool:
        """Return the pool of this origin."""
        return self._pools.get(key) or self._pools.setdefault(key, _Pool(self._most))

    def close(self) -> None:
        """Close what is idle."""
        for pool in self._pools.values():
            pool.close()

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        # a loop that is shut down closes every asynchronous generator that was begun in it (`shutdown_asyncgens`):
        # nothing else would tell us, and sockets would be left behind
        try:
            yield
        finally:
            self.close()


@final
class LoopFetcher:
    """Fetches for event loops. Each has connections of its own, which are closed with it."""

    def __init__(self, trust: Trust | None = None, *, most_connections: int = MOST_CONNECTIONS) -> None:
        self._trust: Final = trust or Trust()
        self._most: Final = most_connections
        self._loops: Final[dict[asyncio.AbstractEventLoop, _Pools]] = {}

    async def fetch(self, call: Call) -> Reply:
        """Make one call. Raises `FetchFailed`."""
        target = target_of(call.url)
        request = request_of(call, target)
        try:
            async with asyncio.timeout(call.timeout) as time_limit:
                return await self._exchange(call, target, request, time_limit.when() or 0.0)
        except TimeoutError:
            raise FetchFailed("timeout", f"no whole answer within {call.timeout:g} s") from None

    def close(self) -> None:
        """Have every idle connection closed; a call that is on its way closes its own. From any thread."""
        while self._loops:
            loop, pools = self._loops.popitem()
            with suppress(RuntimeError):  # a loop that is closed has closed them
                loop.call_soon_threadsafe(pools.close)

    async def _begun(self, loop: asyncio.AbstractEventLoop) -> _Pools:
        for ended in [other for other in self._loops if other.is_closed()]:
            self._loops.pop(ended, None)
        pools = self._loops[loop] = _Pools(self._most)
        await anext(pools.end)
        return pools

    async def _exchange(self, call: Call, target: Target, request: bytes, ends: float) -> Reply:
        loop = asyncio.get_running_loop()
        # what one kind of call may reach, another may not, and a connection is not asked where it leads
        pools = self._loops.get(loop) or await self._begun(loop)
        pool = pools.of((target.origin, call.reach))
        while True:
            connection = await pool.take(loop.time())
            try:
                if connection is None:
                    connection = await self._connect(call, target, ends)
                return await connection.ask(request, call.max_bytes)
            except _Unanswered:
                continue  # ends with the first new connection, which is never "used"
            finally:
                pool.give(connection if connection is not None and connection.rest() else None)

    async def _connect(self, call: Call, target: Target, ends: float) -> _Connection:
        loop = asyncio.get_running_loop()
        origin = target.origin
        context = self._trust.context(origin)
        try:
            found = await loop.getaddrinfo(origin.host, origin.port, type=1, flags=0)
            addresses = self._trust.allowed(call, (str(entry[4][0]) for entry in found))
        except (OSError, UnicodeError) as error:
            raise failure_of(error) from None
        failed = FetchFailed("connection", "no connection")
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            now = loop.time()
            try:
                # an address that swallows everything must leave time for the next one
                async with asyncio.timeout_at(now + (ends - now) / left if left > 1 else None):
                    _, connection = await loop.create_connection(
                        lambda: _Connection(loop),
                        address,
                        origin.port,
                        ssl=context,
                        server_hostname=origin.host if context else None,
                    )
                    return connection
            except OSError as error:
                failed = failure_of(error)
        raise failed
