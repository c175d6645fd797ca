"""The fields of a head, as llhttp tells of them."""

from typing import final


@final
class Fields:
    """What llhttp calls with the fields of a head. It does not hold the parser, which holds it: no cycle."""

    __slots__ = ("complete", "pairs")

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field. llhttp leaves white space behind a value; it is no part of it (RFC 9110, 5.5)."""
        self.pairs.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        """Take note of the empty line."""
        self.complete = True
