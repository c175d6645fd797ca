"""What is wrong with one value, before anyone knows in which file and line it stands."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

_SHOWN_CHARACTERS: Final = 60
_TYPES: Final = (
    # bool before int and datetime before date: each is a subclass of the other
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a float"),
    (str, "a string"),
    (list | tuple, "an array"),
    (Mapping, "a table"),
    (dt.datetime, "a date-time"),
    (dt.date, "a date"),
    (dt.time, "a time"),
)
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters and lone surrogates: they split a log line, a header or a store key."""


class Flaw(ValueError):  # noqa: N818 - "flaw" is what becomes a `Fault` once its place is known
    """A value that cannot be served: what is wrong with it, and what would be right."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class Filled(str):
    """A string in which placeholders were replaced. Its own text is never repeated to anybody.

    `origin` is the string as the operator wrote it, with the placeholders; `whole` says that it was one placeholder
    and nothing else, so that an integer or a list may come from it.
    """

    __slots__ = ("origin", "whole")

    origin: str
    whole: bool

    @classmethod
    def of(cls, text: str, origin: str, *, whole: bool) -> "Filled":
        """Return `text`, which came from `origin`."""
        filled = cls(text)
        filled.origin = origin
        filled.whole = whole
        return filled


def found(value: object) -> str:
    """Name the type of a value, the way TOML does: `an integer`, `a table`."""
    for kind, name in _TYPES:
        if isinstance(value, kind):
            return name
    return f"a {type(value).__name__}"


def shown(text: str) -> str:
    """Quote a value for a fault. What came through a placeholder is named by it: it may be a secret gone astray."""
    if isinstance(text, Filled):
        return f"the text of {quoted(text.origin)}"
    return quoted(text)


def quoted(text: str) -> str:
    """Quote a text, bounded in length and with whatever a terminal would obey escaped."""
    clipped = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    inner = repr(clipped)[1:-1].replace("\\'", "'").replace('"', '\\"')
    return f'"{inner}"'


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, or None."""
    by_folded = {fold(candidate): candidate for candidate in known}
    matches = get_close_matches(fold(name), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def fold(name: str) -> str:
    """Return the one spelling to which servers behind us may fold a name: `X-User.Id` and `x_user_id` are one."""
    return re.sub("[^A-Za-z0-9]", "-", name).lower()


def listed(names: Iterable[str]) -> str:
    """Join names for a sentence: `a, b, c`."""
    return ", ".join(names)
