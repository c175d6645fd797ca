"""What a client expects before it sends content (RFC 9110, 10.1.1)."""

from typing import Final

from sluicegate.server.wire.malformed import Malformed

CONTINUE: Final = b"100-continue"
"""The one expectation that there is, in the spelling that every server knows."""


def expects_continue(value: bytes) -> bool:
    """Tell whether a client waits for 100; false for a list of nothing (RFC 9110, 5.6.1.2).

    Raises `Malformed` for any other expectation.
    """
    expected = [element for one in value.lower().split(b",") if (element := one.strip(b" \t"))]
    if expected not in ([], [CONTINUE]):
        raise Malformed(417, "expectation", "An expectation is not understood")
    return bool(expected)
