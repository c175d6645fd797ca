"""A bare socket does what a transport does, for a number and an entry in a table."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast, final

import pytest
import uvloop

from sluicegate.server.connection.bare import BareSocket, BareSockets
from sluicegate.server.connection.heap import Heap
from sluicegate.server.connection.shared import reset

WITHIN: Final = 10
MUCH: Final = b"0123456789abcdef" * 65_536


@final
class Taken(asyncio.Protocol):
    """A server's end that goes bare with the first byte, and notes what it is told."""

    def __init__(self, sockets: BareSockets) -> None:
        self.sockets: Final = sockets
        self.transport: asyncio.Transport
        self.begun, self.left, self.lost = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.goes_on = asyncio.Event()
        self.paused = 0
        self.keeps = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert data == b"?"
        self.transport = self.sockets.take(self.transport, self)
        self.begun.set()

    def pause_writing(self) -> None:
        self.paused += 1

    def resume_writing(self) -> None:
        self.goes_on.set()

    def eof_received(self) -> bool:
        self.left.set()
        return self.keeps

    def connection_lost(self, _: Exception | None) -> None:
        assert not self.lost.is_set()
        self.lost.set()


@asynccontextmanager
async def taken(*, heap: Heap | None = None) -> AsyncIterator[tuple[Taken, socket.socket]]:
    """A bare socket, and its client's end, which blocks nobody."""
    loop = asyncio.get_running_loop()
    sockets = BareSockets(loop, heap=heap)
    protocol = Taken(sockets)
    server = await loop.create_server(lambda: protocol, "127.0.0.1", 0)
    try:
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.setblocking(False)  # noqa: FBT003 - the standard library's
            client.send(b"?")
            async with asyncio.timeout(WITHIN):
                await protocol.begun.wait()
                assert isinstance(protocol.transport, BareSocket)
                yield protocol, client
    finally:
        sockets.stop()
        server.close()
        await server.wait_closed()


def descriptors() -> set[str]:
    """The numbers that are open in this process, but for the one that lists them."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def read(client: socket.socket, size: int) -> bytes:
    """Read so many bytes, or all there are until the end."""
    data = bytearray()
    while len(data) < size and (piece := await asyncio.get_running_loop().sock_recv(client, 65_536)):
        data += piece
    return bytes(data)


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def scene(request: pytest.FixtureRequest) -> Callable[[Callable[[], Coroutine[Any, Any, None]]], None]:
    def play(acts: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(acts())

    return play


Scene = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


def test_everything_that_is_written_arrives_in_order_however_slowly_it_is_read(scene: Scene) -> None:
    async def acts() -> None:
        async with taken() as (ours, client):
            sent = bytearray()
            while not ours.paused:
                sent += MUCH
                ours.transport.write(MUCH)
            assert 0 < ours.transport.get_write_buffer_size() <= len(MUCH)  # only what the kernel did not take
            ours.transport.write(b"the last")
            sent += b"the last"
            assert not ours.goes_on.is_set()
            assert await read(client, len(sent)) == sent
            await ours.goes_on.wait()
            assert (ours.paused, ours.transport.get_write_buffer_size()) == (1, 0)

    scene(acts)


def test_the_event_loop_lets_go_of_a_connection_that_has_gone_bare(scene: Scene) -> None:
    async def acts() -> None:
        async with taken() as (ours, client):
            for _ in range(3):
                await asyncio.sleep(0)
            assert not ours.lost.is_set()
            ours.transport.write(b"still here")
            assert await read(client, 10) == b"still here"

    scene(acts)


def test_the_memory_of_what_it_took_the_place_of_goes_back_to_the_system(scene: Scene) -> None:
    async def acts() -> None:
        given = asyncio.Event()
        heap = Heap(asyncio.get_running_loop(), rush=1, after=0, give_back=given.set)
        async with taken(heap=heap), asyncio.timeout(WITHIN):
            await given.wait()

    scene(acts)


@pytest.mark.parametrize("keeps", [False, True])
def test_a_client_that_shuts_its_side_is_told_of_once(scene: Scene, *, keeps: bool) -> None:
    async def acts() -> None:
        async with taken() as (ours, client):
            ours.keeps = keeps
            client.shutdown(socket.SHUT_WR)
            await ours.left.wait()
            if not keeps:
                await ours.lost.wait()
                return
            ours.transport.write(b"your answer")
            assert await read(client, 11) == b"your answer"
            ours.transport.close()
            await ours.lost.wait()

    scene(acts)


def test_a_client_that_breaks_off_is_told_of(scene: Scene) -> None:
    async def acts() -> None:
        async with taken() as (ours, client):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            await ours.lost.wait()
            ours.transport.write(b"nobody")  # and nothing happens
            ours.transport.close()
            ours.transport.abort()
            assert ours.transport.is_closing()

    scene(acts)


@pytest.mark.parametrize("unread", [b"", b"GET /next HTTP/1.1\r\n\r\n"])
def test_closing_waits_for_what_was_written_also_with_something_unread(scene: Scene, unread: bytes) -> None:
    async def acts() -> None:
        async with taken() as (ours, client):
            client.send(unread)
            while not ours.paused:
                ours.transport.write(MUCH)
            ours.transport.write(b"the last")
            ours.transport.close()
            ours.transport.write(b"too late")
            assert ours.transport.is_closing()
            assert (await read(client, 1 << 40)).endswith(b"the last")
            await ours.lost.wait()

    scene(acts)


def test_aborting_resets(scene: Scene) -> None:
    async def acts() -> None:
        async with taken() as (ours, client):
            reset(ours.transport)
            with pytest.raises(ConnectionResetError):
                await read(client, 1)
            await ours.lost.wait()

    scene(acts)


def test_what_is_still_to_be_written_stays_with_the_event_loop(scene: Scene) -> None:
    async def acts() -> None:
        loop = asyncio.get_running_loop()
        sockets, made = BareSockets(loop), asyncio.Queue[asyncio.Transport]()

        class Writing(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.put_nowait(cast("asyncio.Transport", transport))

        server = await loop.create_server(Writing, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()):
            transport = await made.get()
            transport.write(MUCH * 16)
            assert sockets.take(transport, Writing()) is transport
            transport.abort()
            assert sockets.take(transport, Writing()) is transport
        sockets.stop()
        server.close()
        await server.wait_closed()

    scene(acts)


def test_no_descriptor_is_left_behind(scene: Scene) -> None:
    async def acts() -> None:
        open_after = []
        for _ in range(4):
            async with taken() as (ours, _):
                ours.transport.close()
                await ours.lost.wait()
            async with taken() as (ours, _):
                pass  # stopped with one open
            await ours.lost.wait()
            await asyncio.sleep(0)
            open_after.append(descriptors())
        assert open_after[1] == open_after[-1]  # what the first round leaves is the event loop's own

    scene(acts)
