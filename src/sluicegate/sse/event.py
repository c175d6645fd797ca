"""The wire format of an event stream: text in, bytes out (WHATWG HTML, 9.2.5 and 9.2.6). Pure.

What a publisher says is one event or none: a line break in the data begins a further `data` line and never a field of
its own, and where a line break or NUL can mean nothing honest (`event`, `id`), it is refused.
"""

import re
from typing import Final

_LINE_END: Final = re.compile("\r\n|\n|\r")
_BREAKS: Final = re.compile("[\r\n\0]")

LONGEST_NAME: Final = 256
"""Characters of an event's name."""

RESERVED: Final = frozenset({"auth", "gap"})
"""Names of what the hub itself says on a stream: nobody may publish in its voice."""


class InvalidEvent(ValueError):  # noqa: N818 - names what is invalid
    """This cannot be sent as one event. The message does not repeat any of it."""


def encode(data: str, *, event: str = "", event_id: str = "", retry: int | None = None) -> bytes:
    """Write one event, with the empty line that dispatches it.

    An empty `event` is the usual kind, `message`; an empty `event_id` leaves the reader's last id as it is. `retry` is
    in milliseconds. Raises `InvalidEvent`.
    """
    if "\0" in data:
        raise InvalidEvent("data holds a NUL")
    _check(event, "event")
    _check(event_id, "id")
    head = f"id: {event_id}\n" if event_id else ""
    if event:
        head += f"event: {event}\n"
    if retry is not None:
        head += f"retry: {retry:d}\n"
    # readers end a line at CR LF, CR and LF alike, so each of the three is an end here; the space keeps one that begins
    # a line of the data, for a reader takes one away
    if "\r" in data:
        data = _LINE_END.sub("\n", data)
    text = f"{head}data: " + data.replace("\n", "\ndata: ") + "\n\n"
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidEvent("an event holds half a character (a lone surrogate)") from None


def comment(text: str) -> bytes:
    """Write a comment, which readers skip. Raises `InvalidEvent` for one of several lines."""
    _check(text, "comment")
    return f": {text}\n\n".encode()


def retry(milliseconds: int) -> bytes:
    """Tell a reader how long to wait before it reconnects. No event is dispatched by it."""
    return b"retry: %d\n\n" % milliseconds


def chunk(data: bytes) -> bytes:
    """Wrap what is not empty as one chunk (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def unwrapped(wrapped: bytes) -> bytes:
    """Return what stands in one chunk: for the few readers that speak HTTP/1.0."""
    return wrapped[wrapped.index(b"\n") + 1 : -2]


def text_of(data: bytes) -> str:
    """Read UTF-8, strictly. Raises `InvalidEvent`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidEvent("data is not UTF-8") from None


def published_name(name: str) -> str:
    """Return a name that a publisher may give an event. Raises `InvalidEvent`."""
    _check(name, "event")
    if len(name) > LONGEST_NAME:
        raise InvalidEvent(f"an event's name has at most {LONGEST_NAME} characters")
    if name in RESERVED:
        raise InvalidEvent(f"an event may not be named like one of the hub's own: {' or '.join(sorted(RESERVED))}")
    return name


def _check(text: str, field: str) -> None:
    if _BREAKS.search(text):
        raise InvalidEvent(f"{field} holds a line break or NUL")
