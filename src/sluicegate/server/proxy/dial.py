"""Opens a connection to a service: to each address of its name in turn, without waiting long for one that is slow.

Names are resolved anew each time, so that a service that has moved is found (RFC 8305, less its memory).
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from itertools import chain, zip_longest
from typing import Any, Final, TypeVar

from sluicegate.errors import UpstreamError
from sluicegate.server.routes import Upstream

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.Protocol)

_PARTING: Final = 1.0
"""Seconds that an upstream has to answer a closure alert."""

STAGGER: Final = 0.25
"""Seconds after which the next address is tried beside one that has not answered (RFC 8305, 8)."""


async def dial(upstream: Upstream, make: Callable[[], P]) -> P:
    """Return the protocol of a new connection, which `make` made. The caller bounds the time, by cancelling.

    Raises `UpstreamError`. Of two addresses both may connect, and one of them in vain: what `make` makes must see to it
    that it is closed when nobody uses it.
    """
    loop = asyncio.get_running_loop()
    tls = upstream.tls

    async def connect(host: str) -> P:
        _, protocol = await loop.create_connection(
            make,
            host,
            upstream.port,
            ssl=None if tls is None else tls.context,
            server_hostname=None if tls is None else tls.name,
            ssl_shutdown_timeout=None if tls is None else _PARTING,
        )
        return protocol

    try:
        if upstream.path:
            _, protocol = await loop.create_unix_connection(make, upstream.path)
            return protocol
        if upstream.is_address:
            return await connect(upstream.host)
        found = await loop.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM)
        return await first_of(connect, interleaved((family, str(place[0])) for family, _, _, _, place in found))
    except (OSError, UnicodeError) as error:
        raise _translated(error) from error


def interleaved(found: Iterable[tuple[int, str]]) -> list[str]:
    """Return addresses in an order in which a family that leads nowhere costs the time of one address (RFC 8305, 4)."""
    families: dict[int, dict[str, None]] = {}
    for family, address in found:
        families.setdefault(family, {})[address] = None
    return [address for address in chain.from_iterable(zip_longest(*families.values())) if address is not None]


async def first_of(
    connect: Callable[[str], Coroutine[Any, Any, T]], hosts: Iterable[str], *, stagger: float = STAGGER
) -> T:
    """Return what the first of these hosts to answer gives; each has so many seconds before the next is tried too.

    A certificate that is not trusted ends it: somebody sits there. Raises the `OSError` of the last that failed.
    """
    waiting, attempts = deque(hosts), set[asyncio.Task[T]]()
    failure = OSError("the host has no address")
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.get_running_loop().create_task(connect(waiting.popleft())))
            patience = stagger if waiting else None
            done, attempts = await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is None:
                    return task.result()
                if not isinstance(error, OSError) or isinstance(error, ssl.SSLCertVerificationError):
                    raise error
                failure = error
    finally:
        for task in attempts:
            task.cancel()
            task.add_done_callback(_unheard)
    raise failure


def _unheard(task: asyncio.Task[Any]) -> None:
    """Let nobody complain that a loser of the race failed after it was over."""
    if not task.cancelled():
        task.exception()


def _translated(error: OSError | UnicodeError) -> UpstreamError:
    match error:
        case ssl.SSLCertVerificationError():
            return UpstreamError(f"its certificate is not trusted: {error.verify_message}", cause="tls")
        case ssl.SSLError():
            return UpstreamError(f"TLS failed: {error.reason or 'the handshake was broken off'}", cause="tls")
        case UnicodeError():
            return UpstreamError("its host is no name that can be resolved", cause="connection")
        case _:
            return UpstreamError(error.strerror or str(error) or type(error).__name__, cause="connection")
