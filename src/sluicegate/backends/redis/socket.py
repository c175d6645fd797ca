"""A blocking connection to one Redis or Valkey: a socket, and a deadline that holds for every wait on it."""

import select
import socket
import time
from typing import Final, final

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.wire import MAX_REPLY_BYTES, SCALARS, Replies, Reply, Wire

Place = str | tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
"""What a socket of its family connects to: a path, or what `getaddrinfo` gives."""

_CHUNK: Final = 65536

# A peer that vanished without a word is found while the connection rests, and not by the next question.
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


def prepared(family: int) -> socket.socket:
    """Return a socket that is not connected yet."""
    made = socket.socket(family, socket.SOCK_STREAM)
    if family != socket.AF_UNIX:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


@final
class Connection:
    """One connection that was let in. Requests and replies alternate; whoever has it asks alone.

    Deadlines are readings of `time.monotonic`. Every method raises `OSError` (`TimeoutError` for a deadline that has
    passed, `ConnectionError` when the server hung up) or `StateUnavailable`, and the connection is of no use after
    that: a late reply must never be read as the answer to the next question (CVE-2023-28858).
    """

    def __init__(self, wire: Wire, deadline: float, *, kinds: bytes = SCALARS, bound: int = MAX_REPLY_BYTES) -> None:
        self._wire: Final = wire
        self._replies: Final = Replies(wire, kinds=kinds, bound=bound)
        self.is_spent = False
        self._socket: Final = _connected(wire.address, deadline)
        try:
            wire.admitted(self.exchange(wire.greeting, wire.greeting_replies, deadline))
        except BaseException:
            self.close()
            raise
        self._poll: Final = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def exchange(self, request: bytes, count: int, deadline: float) -> list[Reply]:
        """Send commands and return their replies, once all are there."""
        rest = memoryview(request)
        while rest:
            self._socket.settimeout(_left(deadline))
            rest = rest[self._socket.send(rest) :]
        replies: list[Reply] = []
        while len(replies) < count:
            self._socket.settimeout(_left(deadline))
            data = self._socket.recv(_CHUNK)
            if not data:
                raise ConnectionResetError("the server closed the connection")
            replies += self._replies.feed(data)
        if len(replies) > count:
            raise self._wire.failure("answered what was not asked")
        self.is_spent = any(self._wire.ends(reply) for reply in replies)
        return replies

    def is_quiet(self) -> bool:
        """Tell whether it may be asked: not ended by the server, and nothing there that nobody asked for."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """Close it on our side. After a fork this does not end the parent's connection."""
        self._socket.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connected(address: Address, deadline: float) -> socket.socket:
    plain = _dialled(address, deadline)
    if address.tls is None:
        return plain
    try:
        plain.settimeout(_left(deadline))
        return address.tls.wrap_socket(plain, server_hostname=address.certificate_name)
    except BaseException:
        plain.close()
        raise


def _dialled(address: Address, deadline: float) -> socket.socket:
    if address.path:
        return _dial(socket.AF_UNIX, address.path, deadline)
    places = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    for number, (family, *_, place) in enumerate(places, start=1):
        # each address gets its share of what is left: one that swallows packets must not hide the next
        share = time.monotonic() + _left(deadline) / (len(places) - number + 1)
        try:
            return _dial(family, place, share)
        except OSError:
            if number == len(places):
                raise
    raise ConnectionError(f"{address.host} has no address")


def _dial(family: int, place: Place, deadline: float) -> socket.socket:
    made = prepared(family)
    try:
        made.settimeout(_left(deadline))
        made.connect(place)
    except BaseException:
        made.close()
        raise
    return made
