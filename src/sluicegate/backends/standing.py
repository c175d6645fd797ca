"""Which entries stand: what every store that answers from memory has in common."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sluicegate.core.flow import Hits
from sluicegate.core.revocation import Entry
from sluicegate.errors import InvalidSelector

NONE: Final[Hits] = MappingProxyType({})
"""The answer to nearly every question: one object, so that it costs nothing to give."""


def stands(entry: Entry | None, now: float) -> bool:
    """Tell whether an entry revokes at `now`, seconds since the epoch: its last moment is the one before it ends."""
    # "not ended" rather than "still to end": an end that is no number never comes
    return entry is not None and (entry.expires_at is None or not entry.expires_at <= now)


def standing(entries: Mapping[str, Entry], keys: tuple[str, ...], now: float) -> Hits:
    """Return those of `keys` that stand, with their values, in the order asked."""
    found = {key: entry.value for key in keys if (entry := entries.get(key)) is not None and stands(entry, now)}
    return found or NONE


def is_storable(text: str) -> bool:
    """Tell whether `text` has a UTF-8 form; a lone surrogate has none, so no two layers would agree on it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_storable(key: str, value: str) -> None:
    """Raise `InvalidSelector` for what cannot be written down."""
    if not (is_storable(key) and is_storable(value)):
        raise InvalidSelector("this key or value holds half a character (a lone surrogate) and cannot be stored")
