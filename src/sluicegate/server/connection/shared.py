"""What the connections of one listener share: bounds, coarse time, who is connected, who answers."""

import asyncio
import socket
import struct
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, Protocol, final

import msgspec

from sluicegate.adapters.forwarded import client_address
from sluicegate.server.connection.bare import BareSockets
from sluicegate.server.connection.meter import Meter, Told
from sluicegate.server.wire.limits import Limits

if TYPE_CHECKING:
    from sluicegate.server.connection.protocol import Connection
    from sluicegate.server.wire.head import Head

_UNKNOWN: Final = "unknown"  # RFC 7239, 6.2
_LINGER_NOT: Final = struct.pack("ii", 1, 0)

MOST_TURNED_AWAY: Final = 1024
"""So many of those that come past the bound are told that the house is full; the rest find the door shut."""

Answerer = Callable[["Connection", "Head"], None]
"""Answers a request, at once or later, by the connection's own methods. Reads no body: that is offered afterwards."""


@final
class Clock:
    """Coarse time, moved on by the listener's sweep: a deadline costs an addition, and no timer is made for it.

    `now` is the event loop's time; `date` is the header line that answers carry (RFC 9110, 6.6.1).
    """

    __slots__ = ("date", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self.date = b""

    def set(self, now: float) -> None:
        """Move on."""
        self.now = now
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()


@final
class Peer(msgspec.Struct, frozen=True, gc=False):
    """Who is at the other end of a connection. `trusted`: a proxy, whose word on its own clients is believed."""

    address: str
    client: str
    """The address as logs and limits know it, unless a trusted proxy names another."""
    trusted: bool
    scheme: str


class Guest(Protocol):
    """A connection, from the moment it is accepted: also one that is not ready for requests yet."""

    def drain(self, quiet: float) -> None:
        """The listener stops: end, within so many seconds, unless a request is under way."""
        ...

    def abort(self) -> None:
        """Break off."""
        ...

    def sweep(self, now: float) -> bool:
        """End if it is late; tell whether it was."""
        ...


@final
class Shared:
    """Shared by the connections of one listener; never between event loops."""

    __slots__ = ("answer", "bare", "clock", "connections", "draining", "gone", "limits", "tell", "trusted")

    def __init__(
        self, answer: Answerer, limits: Limits, trusted: Callable[[str], bool], tell: Told | None = None
    ) -> None:
        self.answer: Final = answer
        self.limits: Final = limits
        self.trusted: Final = trusted
        self.tell: Final = tell
        self.clock: Final = Clock()
        self.connections: Final[dict[Guest, None]] = {}  # a set of so many takes twice the memory
        self.bare: BareSockets | None = None
        self.draining = False
        self.gone: Callable[[], None] | None = None
        """Called when the last connection has gone."""

    @property
    def sockets(self) -> BareSockets:
        """What holds the many connections on which little happens."""
        if self.bare is None:
            self.bare = BareSockets(asyncio.get_running_loop())
        return self.bare

    def meter(self, transport: asyncio.Transport) -> Meter | None:
        """Return what follows the requests of a connection, where somebody wants to know of them."""
        return None if self.tell is None else Meter(transport, self.tell)

    def enter(self, guest: Guest) -> int:
        """Count a connection; return by how many there are too many."""
        self.connections[guest] = None
        return len(self.connections) - self.limits.connections

    def leave(self, guest: Guest) -> None:
        """Forget a connection that has ended."""
        self.connections.pop(guest, None)
        if not self.connections and self.gone is not None:
            self.gone()

    def peer(self, transport: asyncio.Transport, told: str | None = None) -> Peer:
        """Return who is at the other end: the client whose address a proxy `told` stands there itself.

        A client of whom a proxy knows no address is nobody in particular, and above all not that proxy.
        """
        name = transport.get_extra_info("peername")
        address = name[0] if isinstance(name, tuple) else ""
        if told is not None:
            address = told or _UNKNOWN
        scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        return Peer(address, client_address(address, (), self.trusted), self.trusted(address), scheme)


def half_close(transport: asyncio.Transport) -> bool:
    """Say that no more will be sent; tell whether that could be said: not to a client that has gone."""
    if transport.is_closing() or not transport.can_write_eof():
        return False
    try:
        transport.write_eof()
    except OSError:
        return False
    return True


def reset(transport: asyncio.Transport) -> None:
    """Break a connection off, so that nobody takes a truncated response for a whole one."""
    raw = transport.get_extra_info("socket")
    if raw is not None and not transport.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
