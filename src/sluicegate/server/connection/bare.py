"""Sockets without an event loop's machinery around them: for the many connections on which little happens.

An open stream is written to now and then, and otherwise waited on for its client to leave. A transport of the event
loop takes 1.2 KB for that; here a socket is a number, an entry in a table, and a place in one epoll. What is written
goes to the kernel at once: nothing is queued that the kernel takes.
"""

import asyncio
import os
import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, final

from sluicegate.server.connection.heap import Heap

_LINGER_NOT: Final = struct.pack("ii", 1, 0)
_READ: Final = getattr(select, "EPOLLIN", 0)
_LEFT: Final = getattr(select, "EPOLLRDHUP", 0)
_MORE: Final = getattr(select, "EPOLLOUT", 0)
_OVER: Final = getattr(select, "EPOLLHUP", 0) | getattr(select, "EPOLLERR", 0)
_PIECE: Final = 65_536
_GONE: Final = (BrokenPipeError, ConnectionResetError)


@final
class BareSockets:
    """The bare sockets of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, heap: Heap | None = None) -> None:
        self._loop: Final = loop
        self._heap: Final = heap or Heap(loop)
        self._open: Final[list[BareSocket | None]] = []  # by number: the system gives out the lowest, so they lie close
        self._epoll: Final = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            loop.add_reader(self._epoll.fileno(), self._ready)

    def take(
        self, transport: asyncio.Transport, protocol: asyncio.Protocol, *, is_read: bool = True
    ) -> asyncio.Transport:
        """Take a connection out of the event loop's hands; return what it is written to from now on.

        That is the same transport where a bare socket cannot do it: over TLS, with something still to be written, on a
        system without epoll. The protocol is told what it would be told of any transport. Where nothing `is_read`,
        what the other side still sends stays with the kernel, and only its leaving is told.
        """
        if self._epoll is None or transport.is_closing() or transport.get_write_buffer_size():
            return transport
        raw = transport.get_extra_info("socket")
        if raw is None or transport.get_extra_info("sslcontext") is not None:
            return transport
        try:
            # a number of our own for the same connection: the transport closes its own, and the connection stays
            number = os.dup(raw.fileno())
        except OSError:  # no more numbers are to be had
            return transport
        try:
            self._epoll.register(number, _READ if is_read else _LEFT)
        except OSError:
            os.close(number)
            return transport
        transport.set_protocol(_NOBODY)
        transport.abort()
        self._heap.freed()
        while len(self._open) <= number:
            self._open.append(None)
        bare = self._open[number] = BareSocket(self, protocol, number, _READ if is_read else _LEFT)
        return bare

    def stop(self) -> None:
        """Let go of the event loop. Whatever is still open is closed."""
        if self._epoll is None:
            return
        self._loop.remove_reader(self._epoll.fileno())
        for bare in list(filter(None, self._open)):
            bare.abort()
        self._epoll.close()

    def watch(self, number: int, what: int) -> None:
        """Wait for these events, and, as always, for the end."""
        if self._epoll is not None:
            self._epoll.modify(number, what)

    def forget(self, number: int, protocol: asyncio.Protocol, why: OSError | None) -> None:
        """Close a socket. Its protocol is told when the loop turns."""
        self._open[number] = None
        os.close(number)  # which takes it out of the epoll too: there is no other number for it
        self._loop.call_soon(protocol.connection_lost, why)

    def _ready(self) -> None:
        if self._epoll is None:
            return
        for number, what in self._epoll.poll(0):
            bare = self._open[number]
            if bare is not None:
                bare.ready(what)


@final
class BareSocket(asyncio.Transport):
    """One of them. It holds what the kernel did not take, and tells its protocol to pause for as long."""

    __slots__ = ("_awaited", "_failure", "_is_closing", "_number", "_pending", "_protocol", "_sockets")

    def __init__(self, sockets: BareSockets, protocol: asyncio.Protocol, number: int, awaited: int) -> None:
        self._sockets: Final = sockets
        self._protocol: Final = protocol
        self._number = number
        self._pending: bytes | None = None
        self._is_closing = False
        self._awaited = awaited
        self._failure: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Give something to the kernel, and hold what it does not take. Does nothing once the connection has ended."""
        if self._pending is not None:
            if not self._is_closing:
                self._pending += data
            return
        if self._failure is not None:
            return
        try:
            taken = os.write(self._number, data)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._fail(error)  # and nothing where it has ended before: its number is none
            return
        if taken != len(data):
            self._pending = bytes(data[taken:])
            self._await(self._awaited)
            self._protocol.pause_writing()

    def ready(self, what: int) -> None:
        """Take note of what epoll says."""
        if what & _READ & self._awaited:
            self._read()
        elif what & _OVER:
            self._end(ConnectionResetError())
        elif what & _LEFT & self._awaited:
            self._left()
        if what & _MORE and self._pending is not None:
            self._go_on()

    def _read(self) -> None:
        try:
            data = os.read(self._number, _PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._left()

    def _fail(self, error: OSError) -> None:
        """Nothing more can be written. What has come is read first: it may be the reason, and epoll leads to it."""
        if isinstance(error, _GONE) and self._awaited & _READ and self._number >= 0:
            self._failure, self._pending, self._is_closing = error, None, True
        else:
            self._end(error)

    def _left(self) -> None:
        if self._failure is not None:  # the system told of it once; what it says from then on is a plain end
            self._end(self._failure)
            return
        self._await(0)
        if not self._protocol.eof_received():
            self.close()

    def _go_on(self) -> None:
        pending = self._pending or b""
        try:
            taken = os.write(self._number, pending)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if taken < len(pending):
            self._pending = pending[taken:]
            return
        self._pending = None
        if self._is_closing:
            self.close()
            return
        self._await(self._awaited)
        self._protocol.resume_writing()

    def _await(self, what: int) -> None:
        self._awaited = what
        if self._number >= 0:
            self._sockets.watch(self._number, what if self._pending is None else what | _MORE)

    def is_closing(self) -> bool:
        """Tell whether it has ended, or will once what is held is written."""
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are held."""
        return len(self._pending or b"")

    def close(self) -> None:
        """End as soon as everything is written."""
        self._is_closing = True
        if self._pending is None and self._number >= 0:
            # closed with something unread, the kernel would reset the connection and what was written last be lost
            with suppress(OSError):
                os.read(self._number, _PIECE)
            self._end(None)

    def abort(self) -> None:
        """Break off, visibly: with a reset."""
        if self._number >= 0:
            with suppress(OSError):
                self._raw(lambda raw: raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT))
            self._end(None)

    def _raw(self, act: Callable[[socket.socket], object]) -> None:
        raw = socket.socket(fileno=self._number)
        try:
            act(raw)
        finally:
            raw.detach()  # the number stays ours

    def _end(self, why: OSError | None) -> None:
        self._is_closing = True
        number, self._number, self._pending = self._number, -1, None
        if number >= 0:
            self._sockets.forget(number, self._protocol, why)

    def can_write_eof(self) -> bool:
        """Tell whether one side alone can be shut at once."""
        return self._pending is None

    def write_eof(self) -> None:
        """Say that no more will be written. Raises `OSError` where there is nobody to say it to."""
        self._raw(lambda raw: raw.shutdown(socket.SHUT_WR))

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401, ARG002 - asyncio's
        """Return nothing: who asks has asked before."""
        return default

    def pause_reading(self) -> None:
        """Leave what comes with the kernel."""
        self._await(0)

    def resume_reading(self) -> None:
        """Read on."""
        self._await(_READ)


_NOBODY: Final = asyncio.Protocol()
