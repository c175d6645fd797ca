"""How many more hops a request may take (RFC 9110, 7.6.2). Counted for OPTIONS alone, which asks one server of many."""

from collections.abc import Mapping
from typing import Final

from sluicegate.server.wire.malformed import Malformed

MAX_FORWARDS: Final = b"max-forwards"

# What is more goes on as this: it is the greatest that every reader behind us can be trusted to hold.
_MOST: Final = 2**31 - 1
_MOST_DIGITS: Final = 10


def hops_left(by_name: Mapping[bytes, bytes]) -> int | None:
    """Return how many hops a request may still take; None where it does not say.

    Raises `Malformed` for what is no number. It could be counted down by nobody: left out, the request would go on
    without a bound, and as it came, with one that is another to each reader (`+5`, `5, 5`, `0x5`).
    """
    value = by_name.get(MAX_FORWARDS)
    if value is None:
        return None
    if not value.isdigit():
        raise Malformed(400, "max_forwards", "How many hops a request may take is no number")
    digits = value.lstrip(b"0") or b"0"
    return _MOST + 1 if len(digits) > _MOST_DIGITS else min(int(digits), _MOST + 1)
