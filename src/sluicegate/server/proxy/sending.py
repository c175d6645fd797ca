"""The body of a request on its way up: framed for the upstream, and kept while it is short and may be sent again."""

from collections.abc import Sequence
from typing import Final, final

from sluicegate.server.proxy.pool import Link
from sluicegate.server.wire.trailers import last_chunk

_MOST_KEPT: Final = 65_536
_DROP: Final = 256
_TRICKLE: Final = 2  # pieces as short as that

IDEMPOTENT: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PROPFIND", "PUT", "QUERY", "REPORT", "SEARCH"})
"""Methods of which to send one twice is to send it once (RFC 9110, 9.2.2)."""


@final
class Sending:
    """The body of one request. Where its length is not known it goes up in chunks of our own.

    `again`: what was sent is kept, up to 64 KiB, to be repeated on another connection. `managed` are the folded names
    of headers that the client may not set.
    """

    __slots__ = ("_chunked", "_drops", "_kept", "_managed", "_size", "_trailers")

    def __init__(self, *, chunked: bool, again: bool, managed: frozenset[bytes]) -> None:
        self._managed: Final = managed
        self._trailers: Sequence[bytes] = ()
        self._chunked: Final = chunked
        self._kept: list[bytes] | None = [] if again else None
        self._size = 0
        self._drops = 0

    @property
    def is_kept(self) -> bool:
        """Tell whether all that was sent can be sent again."""
        return self._kept is not None

    def piece(self, link: Link, data: bytes) -> bool:
        """Send a piece; tell, once, that the body only trickles."""
        if self._kept is not None:
            self._kept.append(data)
            self._size += len(data)
            if self._size > _MOST_KEPT:
                self._kept = None
        self._write(link, data)
        self._drops += len(data) < _DROP
        return len(data) < _DROP and self._drops == _TRICKLE

    def end(self, link: Link, trailers: Sequence[bytes] = ()) -> None:
        """Say that it was whole; `trailers` are the field lines that the client sent behind it."""
        if self._chunked:
            self._trailers = trailers or self._trailers
            link.transport.write(last_chunk(self._trailers, self._managed))

    def repeat(self, link: Link) -> None:
        """Send again what was sent so far."""
        for data in self._kept or ():
            self._write(link, data)

    def _write(self, link: Link, data: bytes) -> None:
        if self._chunked:
            link.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            link.transport.write(data)


def is_repeatable(method: str, sending: Sending | None) -> bool:
    """Tell whether a request with this method and this body, if any, may be sent twice, and can be."""
    return method in IDEMPOTENT and (sending is None or sending.is_kept)
