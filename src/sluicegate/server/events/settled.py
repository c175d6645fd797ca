"""What remains of a request whose answer may last for hours: all that the end of the answer needs to know of it."""

import functools

from sluicegate.server.wire.head import Block, Head
from sluicegate.server.wire.target import Target
from sluicegate.server.wire.trailers import wants_trailers

_NOWHERE = Target(b"/", b"", b"/")


def settled(head: Head) -> Head:
    """Return what remains: the same few objects for all of them, and not a header of any."""
    block = head.block
    te = b"trailers" if wants_trailers(block) else b""
    return _remains(head.method, te, http11=block.http11, persistent=block.persistent, expects=block.expects)


@functools.lru_cache(maxsize=256)
def _remains(method: str, te: bytes, *, http11: bool, persistent: bool, expects: bool) -> Head:
    by_name = {b"te": te} if te else {}
    remains = Head(method, _NOWHERE, Block(b"", http11, b"", [], by_name, persistent=persistent, expects=expects))
    remains.plain = False  # it may have a body, of whose length nothing is kept
    return remains
