"""The listening sockets of one address: one for each worker, all on the same port.

The kernel gives each new connection to one of them (SO_REUSEPORT, socket(7)), and closing one of them resets whatever
waits in its queue. So whoever opens them keeps them open for as long as the address is served: a worker that ends,
however it ends, leaves its queue to the next one.
"""

import ctypes
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from sluicegate.server.connection.listener import Address, bind

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
# Classic BPF over the segment, which begins with the TCP header: with SYN set in the flags, take none of it (drop).
_NO_SYN: Final = (
    (0x30, 0, 0, 13),  # A = the byte of the flags (RFC 9293, 3.1)
    (0x45, 0, 1, 0x02),  # is SYN among them
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # let pass
)


def open_slot(address: Address) -> list[socket.socket]:
    """Take an address, for us alone, with the first of its sockets. Raises `OSError`, as `bind` does."""
    first = bind(address)
    # After it listens: SO_REUSEPORT from the start would let a second gateway take half of the connections of this one
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return [first]


def widen(slots: list[socket.socket], count: int) -> None:
    """Open further sockets of the same address until there are so many. Raises `OSError`.

    They do not listen: nobody shall wait at one that no worker accepts from. The worker listens when it opens.
    """
    first = slots[0]
    while len(slots) < count:
        slot = socket.socket(first.family, first.type)
        try:
            slot.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            slot.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            slot.bind(first.getsockname())
        except OSError:
            slot.close()
            raise
        slot.setblocking(False)  # noqa: FBT003 - the standard library's
        slots.append(slot)


def turn_away(slots: Iterable[socket.socket]) -> None:
    """Have the kernel drop whoever begins to connect from now on, in every process that has these sockets.

    Who is connecting already gets through. Once those are accepted nobody waits in a queue, and closing resets nobody.
    Who was dropped tries again after a second, and finds the next gateway, or is refused.
    """
    steps = b"".join(struct.pack("=HBBI", *step) for step in _NO_SYN)
    held = ctypes.create_string_buffer(steps)
    program = struct.pack("@HP", len(_NO_SYN), ctypes.addressof(held))
    for slot in slots:
        with suppress(OSError):  # a kernel without filters: then a few are reset, as everywhere else
            slot.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
