"""Durations and sizes, with their units, and moments, with their offset."""

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final

from sluicegate.settings.flaw import Filled, Flaw, found, shown
from sluicegate.settings.kinds import Kind, as_line

# Go's units, as the Caddy plugin's own files have them, and Caddy's `d`.
_SECONDS: Final[Mapping[str, Decimal]] = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),  # the micro sign
    "μs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_TERM: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(ns|us|µs|μs|ms|s|m|h|d)")
_BYTES: Final[Mapping[str, int]] = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_SIZE: Final = re.compile(r"([0-9]{1,12}) ?(|B|KB|MB|GB|KiB|MiB|GiB)")
_MOST_BYTES: Final = 2**53


def duration(least: str, most: str, *, example: str) -> Kind:
    """Return the kind of a duration between two others, both allowed. It is read into seconds."""
    low, high = _exact(least), _exact(most)

    def read(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise Flaw("is a bare number where a duration belongs", f'write it with its unit: "{example}"')
        text = as_line(value, f'"{example}"')
        if re.fullmatch(r"[0-9.]+", text) and text != "0":
            raise Flaw("is a duration without a unit", f'write its unit too: "{example}"')
        given = _exact(text)
        if given is None:
            raise Flaw(f"is {shown(text)}, which is no duration", f'write it so: "{example}", "1s", "1m30s", "2h"')
        if low is not None and high is not None and not low <= given <= high:
            raise Flaw(f"is {shown(text)}, which is out of range", f'give "{least}" to "{most}"')
        return float(given)

    return Kind(read, {"title": f"duration, {least} to {most}", "type": "string"})


def seconds(text: str) -> float | None:
    """Read a duration in Go's syntax (`50ms`, `1m30s`, `2h`), or in days (`7d`); None when it is none."""
    exact = _exact(text)
    return None if exact is None else float(exact)


def _exact(text: str) -> Decimal | None:
    # decimal: ten terms of a tenth of a second are one second
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if digits == "0":
        return Decimal(0)
    total, position = Decimal(0), 0
    while position < len(digits):
        term = _TERM.match(digits, position)
        if term is None:
            return None
        total += Decimal(term[1]) * _SECONDS[term[2]]
        position = term.end()
    return sign * total if digits else None


def _read_size(value: object) -> int | None:
    example = '"10MiB"'
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str):
        text = as_line(value, example)
        if text == "unlimited":
            return None
        match = _SIZE.fullmatch(text)
        # a number in quotes is a slip, but the whole text of a placeholder has no other form
        if match is None or (not match[2] and not isinstance(value, Filled)):
            raise Flaw(f"is {shown(text)}, which is no size", 'write "unlimited", a number of bytes, "10MiB" or "10MB"')
        size = int(match[1]) * _BYTES[match[2]]
    else:
        raise Flaw(f"is {found(value)} where a size belongs", 'write "unlimited", a number of bytes, "10MiB" or "10MB"')
    if not 0 <= size <= _MOST_BYTES:
        raise Flaw("is out of range", f'give 0 to {_MOST_BYTES}, or "unlimited"')
    return size


Size = Annotated[
    int | None,
    Kind(
        _read_size,
        {
            "title": 'bytes, "10MiB", "10MB" or "unlimited"',
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}],
        },
    ),
]
"""Bytes; None is unlimited."""


def _read_moment(value: object) -> float | None:
    example = "2027-01-31T12:00:00Z"
    if value == "" and not isinstance(value, Filled):
        return None
    moment = value
    if isinstance(value, str):
        text = as_line(value, f'"{example}"')
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            raise Flaw(f"is {shown(text)}, which is no moment", f"write date, time and offset: {example}") from None
    if not isinstance(moment, dt.datetime):
        raise Flaw(f"is {found(value)} where a moment belongs", f"write date, time and offset: {example}")
    if moment.tzinfo is None:
        # whose midnight it is would depend on the machine
        raise Flaw("is a moment without an offset", f"write it so: {example}, or +02:00 in place of Z")
    return moment.timestamp()


Moment = Annotated[
    float | None, Kind(_read_moment, {"title": "moment: 2027-01-31T12:00:00Z (RFC 3339)", "type": "string"})
]
"""Seconds since the epoch; None where none is written."""
