"""Idle clients go from a worker that retires to its successor: the connections themselves, so that nobody notices.

Closing an idle connection is safe only as long as no request is on its way, and nobody can know that. A descriptor
that is passed on (SCM_RIGHTS, unix(7)) takes with it what has come and was not read. What follows is decided under the
new settings, from the very next request.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from sluicegate.server.connection.listener import Listener
from sluicegate.server.connection.protocol import Connection

_AT_ONCE: Final = 128


async def hand_over(listener: Listener, heir: socket.socket) -> None:
    """Give what is idle to the other side of `heir`. What cannot be given, or is not taken, stays."""
    heir.setblocking(False)  # noqa: FBT003 - the standard library's
    idle = listener.idle()
    for start in range(0, len(idle), _AT_ONCE):
        # let go only now: a request that has come meanwhile is served here
        held = [given for connection in idle[start : start + _AT_ONCE] if (given := release(connection)) is not None]
        try:
            await _send(heir, [one.fileno() for one in held])
        except OSError:  # the successor has gone
            for one in held:
                await _adopt(listener, one)
            return
        for one in held:
            one.close()
        await asyncio.sleep(0)  # others are served meanwhile


def inherit(listener: Listener, source: socket.socket) -> None:
    """Take the clients that come from the other side, until it is closed. On the running event loop."""
    loop = asyncio.get_running_loop()
    source.setblocking(False)  # noqa: FBT003 - the standard library's
    adopting: set[asyncio.Task[None]] = set()

    def take() -> None:
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(source, 1, _AT_ONCE)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                loop.remove_reader(source)
                source.close()
                return
            for descriptor in descriptors:
                connected = socket.socket(fileno=descriptor)
                if listener.is_secure:  # from before there was a certificate: it comes back as the settings want it
                    connected.close()
                    continue
                connected.setblocking(False)  # noqa: FBT003 - the standard library's
                task = loop.create_task(_adopt(listener, connected))
                adopting.add(task)
                task.add_done_callback(adopting.discard)

    loop.add_reader(source, take)


def release(connection: Connection) -> socket.socket | None:
    """Let go of an idle client without a word to it, and return its connection; None where we hold part of it.

    That is so under TLS, where there is something still to be sent, where a proxy has said who the client is, and where
    no descriptor is to be had.
    """
    transport = connection.transport
    raw = transport.get_extra_info("socket")
    if not connection.is_idle or raw is None or transport.is_closing() or transport.get_write_buffer_size():
        return None
    if connection.peer.scheme != "http" or connection.told is not None:
        return None
    try:
        number = os.dup(raw.fileno())
    except OSError:
        return None
    held = socket.socket(fileno=number)
    transport.abort()  # closes our descriptor; the connection lives on with the other
    return held


async def _adopt(listener: Listener, connected: socket.socket) -> None:
    with suppress(OSError):  # it has gone meanwhile
        await listener.adopt(connected)


async def _send(heir: socket.socket, descriptors: Sequence[int]) -> None:
    """Send descriptors, waiting for room. Raises `OSError`."""
    if not descriptors:
        return
    loop = asyncio.get_running_loop()
    while True:
        try:
            socket.send_fds(heir, [b"+"], list(descriptors))
        except BlockingIOError:
            has_room = asyncio.Event()
            loop.add_writer(heir, has_room.set)
            try:
                await has_room.wait()
            finally:
                loop.remove_writer(heir)
        else:
            return
