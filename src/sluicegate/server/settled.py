"""What remains of a request whose answer may last for hours: all that the end of the answer needs to know of it."""

import functools

from sluicegate.server.head import Block, Head
from sluicegate.server.target import Target

_NOWHERE = Target(b"/", b"", b"/")


def settled(head: Head) -> Head:
    """Return what remains: the same few objects for all of them, and not a header of any."""
    return _remains(head.method, http11=head.block.http11, persistent=head.block.persistent)


@functools.lru_cache(maxsize=128)
def _remains(method: str, *, http11: bool, persistent: bool) -> Head:
    return Head(method, _NOWHERE, Block(b"", http11, b"", [], {}, persistent=persistent))
