"""What remains of a request whose answer may last for hours: all that the end of the answer needs to know of it."""

import functools

from sluicegate.server.head import Block, Head
from sluicegate.server.target import Target

_NOWHERE = Target(b"/", b"", b"/")


def settled(head: Head) -> Head:
    """Return what remains: the same few objects for all of them, and not a header of any."""
    block = head.block
    return _remains(head.method, http11=block.http11, persistent=block.persistent, expects=block.expects)


@functools.lru_cache(maxsize=256)
def _remains(method: str, *, http11: bool, persistent: bool, expects: bool) -> Head:
    remains = Head(method, _NOWHERE, Block(b"", http11, b"", [], {}, persistent=persistent, expects=expects))
    remains.plain = False  # it may have a body, of whose length nothing is kept
    return remains
