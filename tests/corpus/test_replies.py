"""Every response of the corpus, from a real upstream through a real gateway: whole, refused, or visibly broken off."""

import asyncio
import socket
from typing import Final, cast

from sluicegate.server.gateway import Gateway
from sluicegate.server.routes import Proxy, Upstream
from tests.corpus.reading import NotStrict, take_answer
from tests.corpus.replies import Reply, read
from tests.corpus.stage import performed
from tests.server.gate import ENGINE, route

_TURNS: Final = 6
_SHORT: Final = 100


class _Upstream(asyncio.Protocol):
    """Answers each request with what it is told to, and knows how many connections it has."""

    reply: Reply
    cut: int

    def __init__(self, living: set[asyncio.Protocol]) -> None:
        self._living = living

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._living.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._living.discard(self)

    def data_received(self, _: bytes) -> None:
        self._task = asyncio.get_running_loop().create_task(self._answer())

    async def _answer(self) -> None:
        raw, cut = _Upstream.reply.sent, _Upstream.cut
        for piece in (raw[:cut], raw[cut:]):
            if piece and not self._transport.is_closing():
                self._transport.write(piece)
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
        if _Upstream.reply.closes:
            self._transport.close()


class _Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set_result(None)


async def _ask(address: tuple[str, int], reply: Reply) -> str:
    """Ask once; return what came, as the data writes it."""
    transport, client = await asyncio.get_running_loop().create_connection(_Client, *address)
    transport.write(b"%b /open/a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n" % reply.method.encode())
    await asyncio.wait_for(client.ended, 10)
    received = client.received
    try:
        while (taken := take_answer(received, method=reply.method)) is not None and taken[0].status < 200:
            received = received[taken[1] :]
    except NotStrict as fault:
        return str(fault)
    if taken is None:
        return "broken"
    answer, end = taken
    if received[end:]:
        return f"more than an answer: {received[end:]!r}"
    return "502" if answer.status == 502 else f"{answer.status} {len(answer.body)}"


async def _faults(*, every_cut: bool) -> list[str]:
    living: set[asyncio.Protocol] = set()
    found = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        upstream = await asyncio.get_running_loop().create_server(lambda: _Upstream(living), sock=listening)
        gateway = Gateway(
            engine=ENGINE, routes=[route("/open/*", Proxy(Upstream(*listening.getsockname())), auth="none")]
        )
        address = await gateway.start(("127.0.0.1", 0))
        replies = list(read())
        if every_cut:
            replies = [reply for reply in replies if len(reply.sent) <= _SHORT][::5]
        for reply in replies:
            for cut in range(1, len(reply.sent)) if every_cut else (0,):
                _Upstream.reply, _Upstream.cut = reply, cut
                came = await _ask(address, reply)
                for _ in range(2 * _TURNS):
                    await asyncio.sleep(0)
                # of a response that had begun before its fault was there, no 502 can be made any more
                wanted = {reply.gets, "broken"} if cut and reply.gets == "502" else {reply.gets}
                if came not in wanted or (not reply.kept and living):
                    found.append(f"{reply.id} cut at {cut}: {came}, {len(living)} connections kept")
                if reply.kept and not cut and not living:
                    found.append(f"{reply.id}: the connection was not kept")
        await gateway.stop(0)
        upstream.close()
    return found


def test_each_response_reaches_the_client_whole_or_not_at_all() -> None:
    assert performed(_faults(every_cut=False)) == []


def test_a_response_cut_in_two_anywhere_is_the_same_response() -> None:
    assert performed(_faults(every_cut=True)) == []
