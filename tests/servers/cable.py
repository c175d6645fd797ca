"""A cable to a server, which a test may cut, silence or mend: TCP over loopback, through a thread of its own."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, final

from tests.servers.ports import LOOPBACK

_LINGER_NOT: Final = struct.pack("ii", 1, 0)
_PIECE: Final = 65536


@final
class Cable:
    """Carries connections to a server's port."""

    host = LOOPBACK

    def __init__(self, port: int) -> None:
        self.port = 0
        self.to = port  # may be laid to another server before anybody connects
        self._loop: asyncio.AbstractEventLoop
        self._over: Final = asyncio.Event()
        self._open: Final[dict[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._flows: Final = asyncio.Event()
        self._is_whole = True
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._thread: Final = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._ready: Final = threading.Event()
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def connections(self) -> int:
        """How many connections it carries."""
        return len(self._open)

    def empty(self) -> None:
        """Wait until it carries none."""
        deadline = time.monotonic() + 10
        while self._open:
            assert time.monotonic() < deadline
            self._do(asyncio.sleep(0.001))

    def cut(self) -> None:
        """Break every connection off (RST), and refuse new ones until it is mended."""
        self._is_whole = False
        self._do(self._break())

    def snap(self) -> None:
        """Break every connection off, and carry new ones at once."""
        self._do(self._break())

    def silence(self) -> None:
        """Carry nothing any more, and say nothing of it: neither bytes nor ends; new connections are accepted."""
        self._loop.call_soon_threadsafe(self._flows.clear)
        self._do(asyncio.sleep(0))

    def mend(self) -> None:
        """Carry everything again, what was held back included."""
        self._is_whole = True
        self._loop.call_soon_threadsafe(self._flows.set)
        self._do(asyncio.sleep(0))

    def close(self) -> None:
        """End all."""
        self._do(self._break())
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _do(self, work: Any) -> None:  # noqa: ANN401 - any coroutine
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._flows.set()
        server = await asyncio.start_server(self._carry, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _break(self) -> None:
        for near, far in list(self._open.items()):
            for end in (near, far):
                taken = end.get_extra_info("socket")
                if taken is not None and taken.family != socket.AF_UNIX:
                    with suppress(OSError):
                        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                end.transport.abort()
        self._open.clear()
        await asyncio.sleep(0)

    async def _carry(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not self._is_whole:
            near.transport.abort()
            return
        try:
            await self._flows.wait()
            answers, far = await asyncio.open_connection(LOOPBACK, self.to)
        except OSError:
            near.transport.abort()
            return
        self._open[near] = far
        try:
            await asyncio.gather(self._pump(reader, far), self._pump(answers, near))
        finally:
            self._open.pop(near, None)
            near.transport.abort()
            far.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                await self._flows.wait()
                writer.write(piece)
                await writer.drain()
            await self._flows.wait()
            if writer.can_write_eof():
                writer.write_eof()


@contextmanager
def cable(port: int) -> Iterator[Cable]:
    """Lay a cable to a port of this machine for the block."""
    laid = Cable(port)
    try:
        yield laid
    finally:
        laid.close()
