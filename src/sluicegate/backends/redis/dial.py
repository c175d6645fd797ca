"""How an event loop connects to one Redis or Valkey: every address of its name in turn, within one deadline."""

import asyncio
import socket
import time
from collections.abc import Callable

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.socket import Place, prepared


async def connect(address: Address, made: Callable[[], asyncio.Protocol], *, deadline: float) -> None:
    """Connect a protocol, over TLS where the address says so.

    `deadline` is a reading of `time.monotonic`, by which the addresses share what time is left; whoever calls bounds
    the whole. Raises `OSError`.
    """
    name = None if address.tls is None else address.certificate_name
    plain = await _dialled(address, deadline)
    try:
        loop = asyncio.get_running_loop()
        await loop.create_connection(made, sock=plain, ssl=address.tls, server_hostname=name)
    except BaseException:
        plain.close()
        raise


async def _dialled(address: Address, deadline: float) -> socket.socket:
    if address.path:
        return await _dial_one(socket.AF_UNIX, address.path)
    loop = asyncio.get_running_loop()
    places = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    for number, (family, *_, place) in enumerate(places, start=1):
        # each address gets its share of what is left: one that swallows packets must not hide the next
        share = (deadline - time.monotonic()) / (len(places) - number + 1)
        try:
            async with asyncio.timeout(share):
                return await _dial_one(family, place)
        except OSError:
            if number == len(places):
                raise
    raise ConnectionError(f"{address.host} has no address")


async def _dial_one(family: int, place: Place) -> socket.socket:
    made = prepared(family)
    made.setblocking(False)  # noqa: FBT003 - its name in the standard library
    try:
        await asyncio.get_running_loop().sock_connect(made, place)
    except BaseException:
        made.close()
        raise
    return made
