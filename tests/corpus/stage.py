"""One event loop with everything on it: the gateway, an upstream that keeps what it is sent, and the client.

Real sockets all the same. On one loop, the client knows when the gateway has read what it wrote, so that bytes which
are cut in two arrive in two.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, Final, TypeVar, cast, final

import uvloop

from sluicegate.server.gateway import Gateway
from sluicegate.server.routes import Proxy, Upstream
from sluicegate.server.wire.limits import Limits
from tests.corpus.case import Case, Get
from tests.corpus.reading import Answered, NotStrict, Sent, take_answer, take_request
from tests.server.gate import ENGINE, HELLO, TOKEN, route

T = TypeVar("T")

LIMITS: Final = Limits(body=1_000_000)
_MOST_TURNS: Final = 100_000
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_ANSWER_TO_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


@final
class Recorder:
    """The upstream: keeps every request, and answers it when it is whole."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.faults: list[str] = []
        self.unfinished: set[asyncio.Protocol] = set()


class _Record(asyncio.Protocol):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._recorder.unfinished.discard(self)

    def data_received(self, data: bytes) -> None:
        self._held += data
        try:
            while self._held and (taken := take_request(self._held)) is not None:
                sent, end = taken
                self._held = self._held[end:]
                self._recorder.sent.append(sent)
                self._transport.write(_ANSWER_TO_HEAD if sent.method == "HEAD" else _ANSWER)
        except NotStrict as fault:
            self._recorder.faults.append(str(fault))
            self._transport.abort()
            return
        if self._held:
            self._recorder.unfinished.add(self)
        else:
            self._recorder.unfinished.discard(self)


class _Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set_result(None)


@final
class Result:
    """What became of one connection: the answers, and what reached the upstream."""

    def __init__(self, gets: tuple[Get, ...], sent: tuple[Sent, ...], faults: tuple[str, ...]) -> None:
        self.gets = gets
        self.sent = sent
        self.faults = faults


@final
class Stage:
    """Plays cases, one after another."""

    def __init__(self, address: tuple[str, int], gateway: Gateway, recorder: Recorder) -> None:
        self._address = address
        self._gateway = gateway
        self._recorder = recorder

    async def play(self, *pieces: bytes) -> Result:
        """Send these bytes in so many writes, then no more; return what became of them."""
        recorder = self._recorder
        recorder.sent, recorder.faults = [], []
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(_Client, *self._address)
        for piece in pieces:
            if not client.transport.is_closing():  # it may be refused before it is whole
                client.transport.write(piece)
                await _turn()
        if not client.transport.is_closing():
            with contextlib.suppress(OSError):  # likewise, and just now
                client.transport.write_eof()
        await asyncio.wait_for(client.ended, 10)
        await _turn()
        await self._quiet()
        return self._result(client.received, asks_head=b"HEAD " in b"".join(pieces))

    async def _quiet(self) -> None:
        """Wait until the gateway has seen that the client has gone, and the upstream that nothing more comes."""
        for _ in range(_MOST_TURNS):
            if not self._gateway.connections and not self._recorder.unfinished:
                return
            await asyncio.sleep(0)
        raise AssertionError("something is left of a connection that has ended")

    def _result(self, received: bytes, *, asks_head: bool) -> Result:
        """Match answers and requests by the id that the gateway gave to both."""
        recorder = self._recorder
        faults = list(recorder.faults)
        by_id = {dict(sent.fields).get("x-request-id", ""): sent for sent in recorder.sent}
        gets: list[Get] = []
        try:
            for answer in _answers(received, recorder.sent, asks_head=asks_head):
                sent = by_id.pop(answer.fields.get("x-request-id", ""), None)
                gets.append(answer.status if sent is None else str(sent))
                if sent is not None and answer.status != 200:
                    faults.append(f"{sent} was answered with {answer.status}")
        except NotStrict as fault:
            faults.append(str(fault))
        faults += [f"{sent} reached the upstream, and nobody was told" for sent in by_id.values()]
        return Result(tuple(gets), tuple(recorder.sent), tuple(faults))


def _answers(received: bytes, sent: Sequence[Sent], *, asks_head: bool) -> list[Answered]:
    """Read the answers. Those to HEAD have no body: which these are, the ids say, but for one that is refused."""
    heads = {dict(one.fields)["x-request-id"] for one in sent if one.method == "HEAD"}
    answers = []
    while received:
        taken = take_answer(received, method="HEAD")
        if taken is not None and taken[0].fields.get("x-request-id") not in heads:
            bare, taken = taken, take_answer(received, method="GET")
            if taken is None and asks_head and bare[1] == len(received):
                taken = bare
        if taken is None:
            raise NotStrict(f"half an answer: {received!r}")
        answers.append(taken[0])
        received = received[taken[1] :]
    return answers


async def _turn() -> None:
    """Let everybody read what was written. Where this is too little, two writes become one, and nothing else."""
    for _ in range(4):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def stage(*, limits: Limits = LIMITS) -> AsyncIterator[Stage]:
    """Set it up, until the block ends."""
    loop = asyncio.get_running_loop()
    recorder = Recorder()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        upstream = await loop.create_server(lambda: _Record(recorder), sock=listening)
        proxy = Proxy(Upstream(*listening.getsockname()))
        routes = (
            route("/hello", HELLO),
            route("/admin", proxy, scopes=("admin",)),
            route("/open/*", proxy, auth="none"),
            route("/*", proxy),
        )
        gateway = Gateway(engine=ENGINE, routes=routes, limits=limits)
        address = await gateway.start(("127.0.0.1", 0))
        try:
            yield Stage(address, gateway, recorder)
        finally:
            await gateway.stop(0)
            upstream.close()


def performed(play: Coroutine[Any, Any, T]) -> T:
    """Run a play to its end on the loop that the gateway serves with."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(play)


def judged(case: Case, result: Result, *, then: tuple[Get, ...] = ()) -> str:
    """Return how a result differs from what the case says; empty where it does not."""
    wanted = tuple(get.replace("$TOKEN", TOKEN) if isinstance(get, str) else get for get in case.gets) + then
    if result.gets == wanted and not result.faults:
        return ""
    return f"{case.id}: {_short(wanted)} wanted, {_short(result.gets)} got {'; '.join(result.faults)}"


def _short(gets: tuple[Get, ...]) -> str:
    return repr([get if isinstance(get, int) else get[:60] for get in gets[:5]])
