"""A socket that listens, the connections that came of it, and the sweep that ends what is late."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final, final

from sluicegate.server.connection.arrival import Arrival
from sluicegate.server.connection.certificate import Certificate
from sluicegate.server.connection.meter import Told
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.connection.shared import Answerer, Clock, Guest, Shared
from sluicegate.server.connection.tls import TlsLink
from sluicegate.server.wire.limits import Limits

Address = tuple[str, int]
"""A host and a TCP port; the empty host is every interface, port 0 one that the system picks."""

_BACKLOG: Final = 4096
_LONGEST_STEP: Final = 1.0
_TENDED: Final = 0.25
_ENDED_AT_ONCE: Final = 100  # some milliseconds, in which nobody else is served
_STILL: Final = 3.0  # steps without a sweep, after which the machine or the process was held up
_TURNS: Final = 5  # of the loop, until what the kernel had accepted when accepting ended is a connection here


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
    """Accepts connections and has their requests answered by `answer`. Lives on one event loop.

    With a `certificate`, connections speak TLS, and its files are looked at in the sweep. `announces` tells whether a
    peer is a proxy that announces its clients (PROXY protocol); None is nobody. `tell` is told of each request.
    """

    def __init__(
        self,
        answer: Answerer,
        limits: Limits,
        *,
        trusted: Callable[[str], bool],
        certificate: Certificate | None = None,
        announces: Callable[[str], bool] | None = None,
        tell: Told | None = None,
    ) -> None:
        self._shared: Final = Shared(answer, limits, trusted, tell)
        self._certificate: Final = certificate
        self._announces: Final = announces
        self._step: Final = min(_LONGEST_STEP, limits.shortest / 4)
        self._sweeps: Final[list[Callable[[float], None]]] = []
        self._servers: Final[list[asyncio.Server]] = []
        self._tended: Final[list[Callable[[float], None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tending: asyncio.TimerHandle | None = None
        self._swept = 0.0
        self._quiet = 0.0
        if certificate is not None:
            self.on_sweep(certificate.look)

    @property
    def limits(self) -> Limits:
        """The bounds of this listener."""
        return self._shared.limits

    @property
    def clock(self) -> Clock:
        """Coarse time, right to one step of the sweep."""
        return self._shared.clock

    @property
    def is_secure(self) -> bool:
        """Tell whether clients speak TLS."""
        return self._certificate is not None

    @property
    def connections(self) -> int:
        """How many are connected."""
        return len(self._shared.connections)

    def on_sweep(self, sweep: Callable[[float], None]) -> None:
        """Call this too at each step."""
        self._sweeps.append(sweep)

    def on_tend(self, tend: Callable[[float], None]) -> None:
        """Call this with the event loop's time four times a second, for what a step of the sweep is too long."""
        self._tended.append(tend)

    async def start(self, address: Address | socket.socket, *, reuse_port: bool = False) -> Address:
        """Listen; return the address, with the port that the system chose for port 0. Raises `OSError`."""
        listening = address if isinstance(address, socket.socket) else bind(address, reuse_port=reuse_port)
        await self.serve([listening])
        host, port = listening.getsockname()[:2]
        return host, port

    async def serve(self, listening: Iterable[socket.socket]) -> None:
        """Accept from these sockets, which are ours from here on. Raises `OSError`."""
        self._sweep()
        if self._tended:
            self._tend()
        for one in listening:
            await self._accept_from(one)

    async def _accept_from(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._protocol, sock=listening, backlog=_BACKLOG))

    def _protocol(self) -> asyncio.Protocol:
        """Make what meets a client that has just come."""
        if self._announces is None:
            return self._inner(None)
        return Arrival(self._shared, self._inner, self._announces, speaks_http=self._certificate is None)

    def _inner(self, told: str | None) -> asyncio.Protocol:
        """Make what speaks with a client."""
        connection = Connection(self._shared, told)
        certificate = self._certificate
        return connection if certificate is None else TlsLink(self._shared, certificate.context, connection)

    async def adopt(self, connected: socket.socket) -> None:
        """Go on with a client that was let in elsewhere, and is between two requests."""
        await asyncio.get_running_loop().connect_accepted_socket(lambda: Connection(self._shared), connected)

    def idle(self) -> list[Connection]:
        """Return the connections on which nothing is under way."""
        return [guest for guest in self._shared.connections if isinstance(guest, Connection) and guest.is_idle]

    async def shut(self) -> None:
        """Stop accepting. What was accepted before is served."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def stop(self, grace: float, *, quiet: float = 0) -> bool:
        """Stop accepting, close what is idle, wait so many seconds for requests in flight, then break off.

        With `quiet`, what is idle is closed only so many seconds later, and a request that comes before is served: it
        may have been on its way when we stopped. Tells whether nothing had to be broken off.
        """
        shared = self._shared
        await self.shut()
        shared.draining = True
        in_good_order = True
        if shared.connections:
            gone = asyncio.Event()
            shared.gone = gone.set
            self._quiet = quiet
            self._end_late()
            with suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), grace)
            if shared.connections:
                in_good_order = False
                gone.clear()
                for connection in list(shared.connections):
                    connection.abort()
                await gone.wait()
        if shared.bare is not None:
            shared.bare.stop()
            shared.bare = None
        for timer in filter(None, (self._timer, self._tending)):
            timer.cancel()
        return in_good_order

    def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        self._tending = loop.call_later(_TENDED, self._tend)
        for tend in self._tended:
            tend(loop.time())

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        # first, so that a defect in one step does not end all deadlines
        self._timer = loop.call_later(self._step, self._sweep)
        now = loop.time()
        has_stood_still, self._swept = now - self._swept > _STILL * self._step, now
        if has_stood_still:
            # timers come before reading: whoever has sent something meanwhile is not late, we are
            self._shared.clock.set(now)
        else:
            self._end_late()
        for sweep in self._sweeps:
            sweep(now)

    def _end_late(self) -> None:
        """End what is late; while we stop, what is idle is late soon."""
        self._shared.clock.set(asyncio.get_running_loop().time())
        self._end_some(iter(list(self._shared.connections)))

    def _end_some(self, guests: Iterator[Guest]) -> None:
        """End some of those that are late, and more when the loop has turned: they may be thousands in one second."""
        shared, ended = self._shared, 0
        for guest in guests:
            if guest not in shared.connections:
                continue
            if shared.draining:
                guest.drain(self._quiet)
            ended += guest.sweep(shared.clock.now)
            if ended == _ENDED_AT_ONCE:
                asyncio.get_running_loop().call_soon(self._end_some, guests)
                return
