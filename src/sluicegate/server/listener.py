"""A socket that listens, the connections that came of it, and the sweep that ends what is late."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

from sluicegate.server.limits import Limits
from sluicegate.server.protocol import Connection
from sluicegate.server.shared import Answerer, Clock, Shared

Address = tuple[str, int]
"""A host and a TCP port; the empty host is every interface, port 0 one that the system picks."""

_BACKLOG: Final = 4096
_LONGEST_STEP: Final = 1.0


def bind(address: Address, *, reuse_port: bool = False) -> socket.socket:
    """Take an address, before anything else is done: one that cannot be had is known at once.

    Raises `OSError` with the address in its message.
    """
    host, port = address
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _unusable(address, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(place)
        # another program may hold the address without listening yet, and then it is this call that fails
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise _unusable(address, error) from error
    listening.setblocking(False)  # noqa: FBT003 - the standard library's
    return listening


def _unusable(address: Address, error: OSError) -> OSError:
    host, port = address
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return OSError(error.errno, f"cannot listen on {place}: {error.strerror or error}")


@final
class Listener:
    """Accepts connections and has their requests answered by `answer`. Lives on one event loop."""

    def __init__(self, answer: Answerer, limits: Limits, *, trusted: Callable[[str], bool]) -> None:
        self._shared: Final = Shared(answer, limits, trusted)
        self._step: Final = min(_LONGEST_STEP, limits.shortest / 4)
        self._sweeps: Final[list[Callable[[float], None]]] = []
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def limits(self) -> Limits:
        """The bounds of this listener."""
        return self._shared.limits

    @property
    def clock(self) -> Clock:
        """Coarse time, right to one step of the sweep."""
        return self._shared.clock

    @property
    def connections(self) -> int:
        """How many are connected."""
        return len(self._shared.connections)

    def on_sweep(self, sweep: Callable[[float], None]) -> None:
        """Call this too at each step."""
        self._sweeps.append(sweep)

    async def start(self, address: Address | socket.socket, *, reuse_port: bool = False) -> Address:
        """Listen; return the address, with the port that the system chose for port 0. Raises `OSError`."""
        listening = address if isinstance(address, socket.socket) else bind(address, reuse_port=reuse_port)
        loop = asyncio.get_running_loop()
        self._sweep()
        self._server = await loop.create_server(lambda: Connection(self._shared), sock=listening, backlog=_BACKLOG)
        host, port = listening.getsockname()[:2]
        return host, port

    async def stop(self, grace: float) -> None:
        """Stop accepting, close what is idle, wait so many seconds for requests in flight, then break off."""
        shared = self._shared
        if self._server is not None:
            self._server.close()
        shared.draining = True
        if shared.connections:
            gone = asyncio.Event()
            shared.gone = gone.set
            for connection in list(shared.connections):
                connection.drain()
            with suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), grace)
            if shared.connections:
                gone.clear()
                for connection in list(shared.connections):
                    connection.abort()
                await gone.wait()
        if shared.sockets is not None:
            shared.sockets.stop()
            shared.sockets = None
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        # first, so that a defect in one step does not end all deadlines
        self._timer = loop.call_later(self._step, self._sweep)
        now = loop.time()
        self._shared.clock.set(now)
        for connection in list(self._shared.connections):
            connection.sweep(now)
        for sweep in self._sweeps:
            sweep(now)
