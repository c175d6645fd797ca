"""Topics: their names as people write them, and their ids, which are what a webhook is sent.

An id is 32 hex digits, as RevenProx's topics are. A name that is a UUID is itself; any other name is the UUIDv5 of it
(RFC 9562, 5.5) in a namespace of its own, so that whoever knows the name can reckon the id, in any language.
"""

import functools
import re
import uuid
from typing import Final

from sluicegate.core.revocation import is_identifier

NAMESPACE: Final = uuid.UUID("2629e416-efa9-413b-9e80-4a8f1e766226")
"""The namespace of topic names. It is published, and never changes."""

# Spelt out, because `uuid.UUID` takes hyphens and braces wherever they stand: `a-b…` would be two topics to a reader
# and one to us.
_HEX: Final = "[0-9a-fA-F]"
_HYPHENATED: Final = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_UUID: Final = re.compile(rf"{_HEX}{{32}}|(?:[uU][rR][nN]:[uU][uU][iI][dD]:)?{_HYPHENATED}|\{{{_HYPHENATED}\}}")
_NO_DIGIT: Final = re.compile("[^0-9a-f]")


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
    if not is_topic(name):
        raise InvalidTopic("a topic has 1 to 256 bytes of UTF-8, and no control characters")
    if _UUID.fullmatch(name):
        return _NO_DIGIT.sub("", name.lower().removeprefix("urn:uuid:"))
    return uuid.uuid5(NAMESPACE, name).hex
