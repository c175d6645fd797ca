"""Fields that came more than once: which of them a request may not have, and which go on as one (RFC 9110, 5.3)."""

import re
from typing import Final

from sluicegate.server.wire.malformed import Malformed

# Of these there is one at most: of two, Node.js takes the first, gunicorn both, and nginx neither.
# Some stand in responses only; but a request that has two of them is another one to each of the three all the same.
# `Authorization` is not here: each token in it is judged, and none of two travels on. Nor is `Proxy-Authorization`, of
# which none does.
_SINGLE: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"expect", b"origin", b"content-type", b"content-range"}
    | {b"content-location", b"date", b"from", b"if-modified-since", b"if-range", b"if-unmodified-since"}
    | {b"last-event-id", b"max-forwards", b"range", b"referer", b"user-agent"}
    | {b"age", b"etag", b"expires", b"last-modified", b"location", b"retry-after", b"server"}
)
# These are lists, so a client may write them on several lines (RFC 9110, 13.1.1 and 13.1.2); but nginx refuses two.
_LISTS: Final = frozenset({b"if-match", b"if-none-match"})
_TAG: Final = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"'
_TAGS: Final = re.compile(_TAG + rb"(?:[ \t]*+,[ \t]*+" + _TAG + rb")*+")


def unrepeated(fields: list[tuple[bytes, bytes]], *, longest: int) -> list[tuple[bytes, bytes]]:
    """Return the fields with each list of entity tags on one line, of at most so many bytes.

    Raises `Malformed` for two that may come once.
    """
    seen: set[bytes] = set()
    again: set[bytes] = set()
    for name, _ in fields:
        if name in seen:
            again.add(name)
        seen.add(name)
    if not _SINGLE.isdisjoint(again):
        raise _twice()
    for name in again & _LISTS:
        fields = _joined(fields, name, longest)
    return fields


def _joined(fields: list[tuple[bytes, bytes]], name: bytes, longest: int) -> list[tuple[bytes, bytes]]:
    lines = [value for other, value in fields if other == name]
    # Only what is a list by itself is a part of one: `*` beside a tag has no meaning, and two halves of a tag would
    # become one that nobody wrote.
    if any(_TAGS.fullmatch(line) is None for line in lines):
        raise _twice()
    value = b", ".join(lines)
    if len(name) + 2 + len(value) > longest:  # as it goes on
        raise Malformed(431, "header_size", "A header field is too long")
    return [field for field in fields if field[0] != name] + [(name, value)]


def _twice() -> Malformed:
    return Malformed(400, "duplicate", "A header field that may come once came twice")
