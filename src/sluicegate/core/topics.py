"""Topics: their names as people write them, and their ids, which are what a webhook is sent.

An id is 32 hex digits, as RevenProx's topics are. A name that is a UUID is itself; any other name is the UUIDv5 of it
(RFC 9562, 5.5) in a namespace of its own, so that whoever knows the name can reckon the id, in any language.
"""

import functools
import re
import uuid
from collections.abc import Iterable
from typing import Final

import msgspec

from sluicegate.core.decision import Identity
from sluicegate.core.placeholders import PLACEHOLDER, value_of
from sluicegate.core.revocation import is_identifier

NAMESPACE: Final = uuid.UUID("2629e416-efa9-413b-9e80-4a8f1e766226")
"""The namespace of topic names. It is published, and never changes."""

EVENTS_PREFIX: Final = "sluicegate:events:"
"""What the names of everything begin with that nodes share about events, apart from whatever revokes a token."""

# Spelt out, because `uuid.UUID` takes hyphens and braces wherever they stand: `a-b…` would be two topics to a reader
# and one to us.
_HEX: Final = "[0-9a-fA-F]"
_HYPHENATED: Final = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_UUID: Final = re.compile(rf"{_HEX}{{32}}|(?:[uU][rR][nN]:[uU][uU][iI][dD]:)?{_HYPHENATED}|\{{{_HYPHENATED}\}}")
_NO_DIGIT: Final = re.compile("[^0-9a-f]")
_PLAIN: Final = re.compile("[0-9a-f]{32}")


class InvalidTopic(ValueError):  # noqa: N818 - names what is invalid
    """This text names no topic. The message does not repeat it."""


def is_topic(name: str) -> bool:
    """Tell whether `name` may name a topic: 1 to 256 bytes of UTF-8, no control characters or lone surrogates."""
    return is_identifier(name)


# Few topics have most of the requests, and a SHA-1 for each of them would be for nothing.
@functools.lru_cache(maxsize=4096)
def topic_id(name: str) -> str:
    """Return the id of a topic: 32 hex digits, lower case.

    A UUID in any of its usual spellings (with hyphens or without, in braces, as a URN, in either case) is itself.
    Raises `InvalidTopic` for what can name no topic.
    """
    one = canonical(name)
    return one if _PLAIN.fullmatch(one) else uuid.uuid5(NAMESPACE, name).hex


def canonical(name: str) -> str:
    """Return the one name under which a topic's events are kept: UUIDs have several spellings, other names one.

    A name and the id made of it are two topics: whoever may read the one need not be let into the other.
    Raises `InvalidTopic` for what can name no topic.
    """
    if not is_topic(name):
        raise InvalidTopic("a topic has 1 to 256 bytes of UTF-8, and no control characters")
    return _NO_DIGIT.sub("", name.lower().removeprefix("urn:uuid:")) if _UUID.fullmatch(name) else name


class InvalidPattern(ValueError):  # noqa: N818 - names what is invalid
    """This text is no topic pattern; the message says why, and what would be one."""


class Pattern(msgspec.Struct, frozen=True):
    """Topics that an identity may read or write: `public-*`, `user-{http.auth.user.id}-*`, `news`.

    `*` stands for one or more characters, at most once. A pattern must not be readable in two ways, or `alice` could
    read what is meant for `alice-bob`: the text that parts a placeholder from what follows it occurs neither in the
    placeholder's value nor, beside a placeholder, in what `*` stands for. So of `user-alice-bob-x` the owner is
    `alice-bob`, whoever asks.
    """

    head: tuple[str, ...]
    """Literal, name, literal, … up to the `*`, or all of it."""
    tail: tuple[str, ...] | None
    """The same after the `*`; None where there is none."""

    def matches(self, topic: str, identity: Identity | None) -> bool:
        """Tell whether this identity, None for an anonymous caller, may have this topic."""
        tail = self.tail
        if tail is None:
            name = _filled(self.head, identity)
            return name is not None and topic == _spelt(name)
        # varying on both sides, neither value may hold what parts it from the middle
        apart = (self.head[-1], tail[0]) if len(self.head) > 1 and len(tail) > 1 else ("", "")
        before, after = _filled(self.head, identity, apart=apart[0]), _filled(tail, identity, first=apart[1])
        if before is None or after is None or len(topic) <= len(before) + len(after):
            return False
        rest = topic[len(before) : len(topic) - len(after)]
        beside = (self.head[-1:] if len(self.head) > 1 else ()) + (tail[:1] if len(tail) > 1 else ())
        return topic.startswith(before) and topic.endswith(after) and not any(text in rest for text in beside)


@functools.lru_cache(maxsize=1024)
def pattern(text: str) -> Pattern:
    """Read a topic pattern. Raises `InvalidPattern`."""
    if not is_topic(text):
        raise InvalidPattern("it has 1 to 256 bytes of UTF-8, and no control characters")
    head, star, tail = text.partition("*")
    if "*" in tail:
        raise InvalidPattern("it has more than one *; write one pattern for each kind of topic")
    parts = tuple(PLACEHOLDER.split(head))
    after = tuple(PLACEHOLDER.split(tail)) if star else None
    between = [*parts[2:-1:2], *(after or ())[2:-1:2]]
    if star and len(parts) > 1:
        between.append(parts[-1])
    if after is not None and len(after) > 1:
        between.append(after[0])
    if "" in between:
        raise InvalidPattern(
            "a placeholder touches another or the *, so where its value ends could not be told; part them with a "
            "character that no value holds"
        )
    return Pattern(parts, after)


def is_allowed(patterns: Iterable[str], topic: str | None, identity: Identity | None) -> bool:
    """Tell whether one of these patterns gives an identity this topic. No topic: none does."""
    try:
        one = canonical(topic or "")
    except InvalidTopic:
        return False
    return any(pattern(text).matches(one, identity) for text in patterns)


def _filled(parts: tuple[str, ...], identity: Identity | None, *, apart: str = "", first: str = "") -> str | None:
    """Put values in; None where one is empty, or holds what parts it from the next thing that varies.

    `apart` parts the last of them from that, `first` the first of them from what comes before.
    """
    filled = list(parts)
    for place in range(1, len(parts), 2):
        value = value_of(identity, parts[place])
        ends = parts[place + 1] if place + 2 < len(parts) else apart
        begins = first if place == 1 else ""
        if not value or (ends and ends in value) or (begins and begins in value):
            return None
        filled[place] = value
    return "".join(filled)


def _spelt(name: str) -> str:
    """Return a name as topics are kept; a pattern may spell a UUID in any way too."""
    try:
        return canonical(name)
    except InvalidTopic:
        return name
