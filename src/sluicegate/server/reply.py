"""The head of an upstream's response: bytes in, one `Reply` out, or `Malformed`, which the client sees as 502.

An upstream is not an attacker, but it may be the tool of one: what it lets through into its headers must not become
a second response. llhttp is the strict one here too.
"""

import re
from typing import Final, final

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from sluicegate.adapters.forwarded import HOP_BY_HOP
from sluicegate.server.body import Body, Chunked, Counted, UntilClose
from sluicegate.server.head import Fields
from sluicegate.server.malformed import Malformed

_LONGEST_HEAD: Final = 65_536
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_LONGEST_LENGTH: Final = 18
_DROPPED: Final = HOP_BY_HOP | {b"x-request-id"}
_PLAIN: Final = frozenset({b"keep-alive", b"close"})
# Its length and its cookies are not the upstream's to hide from the client.
_CLIENTS: Final = frozenset({b"content-length", b"content-type", b"set-cookie", b"date", b"location"})


@final
class Reply(msgspec.Struct):
    """A response without its body. `lines` are the status line and the header lines that pass on."""

    status: int
    lines: bytes
    fields: dict[bytes, bytes]
    body: Body | None
    """None where no body follows."""
    persistent: bool
    """The upstream keeps the connection open."""


@final
class ReplyReader:
    """Reads the heads of the responses on one connection to an upstream."""

    __slots__ = ("_held", "rest")

    def __init__(self) -> None:
        self._held = b""
        self.rest = b""

    @property
    def begun(self) -> bool:
        """Tell whether part of a head has come."""
        return bool(self._held)

    def read(self, data: bytes, *, method: str) -> Reply | None:
        """Return the head of the response to a request with this method, and leave in `rest` what came after it.

        None when more must come. Raises `Malformed`.
        """
        if self._held:
            data = self._held + data
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:  # noqa: PLR2004 - not found
            if len(data) > _LONGEST_HEAD:
                raise _bad("The head of a response is too long")
            self._held = data
            return None
        self._held = b""
        self.rest = data[end:]
        return _read(data[:end] if self.rest else data, method)


def _read(data: bytes, method: str) -> Reply:
    start = _STATUS_LINE.match(data)
    if start is None:
        raise _bad("A response begins with no status line")
    seen = Fields()
    try:
        HttpResponseParser(seen).feed_data(data)
    except HttpParserUpgrade:
        pass  # at the end of the head; refused below
    except HttpParserError:
        raise _bad("The head of a response is not HTTP/1.1") from None
    if not seen.complete or len(data) > _LONGEST_HEAD:
        raise _bad("The head of a response ends before it is complete, or is too long")
    http11, status, pairs = start[1] == b"1", int(start[2]), seen.pairs
    fields = dict(pairs)
    persistent, dropped = http11, _DROPPED
    connection = fields.get(b"connection")
    if connection is not None:
        if len(fields) == len(pairs) and connection.lower() in _PLAIN:
            persistent = connection.lower() == b"keep-alive"
        else:
            options = _options(pairs)
            persistent = b"close" not in options and (http11 or b"keep-alive" in options)
            dropped = _DROPPED | (options - _CLIENTS)
    body = _body(status, fields, method, http11=http11)
    if status < 200 or status == 204:  # noqa: PLR2004 - RFC 9110, 8.6: these carry no length
        dropped |= {b"content-length"}
    end = start.end()
    line = data[:end] if http11 else b"HTTP/1.1" + data[8:end]
    if dropped.isdisjoint(fields):
        return Reply(status, line + data[end:-2], fields, body, persistent)
    # one line is one field, for folded lines are refused: so the lines go on as they came
    lines = data[end:-4].split(b"\r\n")
    kept = [line, *[whole + b"\r\n" for whole, (name, _) in zip(lines, pairs, strict=True) if name not in dropped]]
    return Reply(status, b"".join(kept), fields, body, persistent)


def _options(pairs: list[tuple[bytes, bytes]]) -> set[bytes]:
    values = b",".join([value for name, value in pairs if name == b"connection"])
    return {option.strip(b" \t") for option in values.lower().split(b",")}


def _body(status: int, fields: dict[bytes, bytes], method: str, *, http11: bool) -> Body | None:
    """Find where the body ends (RFC 9112, 6.3)."""
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    # codings other than chunked were not offered to it (no TE is sent), and HTTP/1.0 knows none
    if coding is not None and (length is not None or not http11 or coding.lower() != b"chunked"):
        raise _bad("A response is framed in a way that can be read in two")
    if length is not None and not (length.isdigit() and len(length) <= _LONGEST_LENGTH):
        raise _bad("The length of a response is no number")
    if method == "HEAD" or status < 200 or status in {204, 304}:  # noqa: PLR2004 - interim responses
        return None
    if coding is not None:
        return Chunked()
    if length is not None:
        return Counted(int(length)) if length != b"0" else None
    return UntilClose()


def _bad(message: str) -> Malformed:
    return Malformed(502, "upstream", message)
