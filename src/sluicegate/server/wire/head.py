"""The head of a request: bytes in, one `Head` out, or `Malformed`. No socket is touched here.

llhttp is the strict one: it refuses bare CR and LF, folded lines, white space before a colon, control characters,
a `Content-Length` that is no number or comes twice or beside `Transfer-Encoding` (`tests/server/test_llhttp.py` holds
it to that). What it lets pass is refused here: a request line with two spaces or without a version, two `Host` fields,
codings other than `chunked`. A head is given to it only up to its empty line; bodies are counted by `body`.
"""

import re
from typing import Final, final

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from sluicegate.server.wire.expect import CONTINUE, expects_continue
from sluicegate.server.wire.fields import Fields
from sluicegate.server.wire.limits import Limits
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.repeated import unrepeated
from sluicegate.server.wire.request_line import empty_lines, start_line
from sluicegate.server.wire.target import Target, is_host

CHUNKED: Final = -1
"""Stands where the length of a body would, when the body says itself where it ends."""

# A head that waits for its rest is read anew with each piece, up to here: what a parser holds and has told of until
# then is twice the head itself, and those who send a byte a second are thousands. Beyond, reading anew would cost more.
_READ_ANEW: Final = 2048

_PARTIAL_LINE: Final = re.compile(rb"[\x20-\x7e]*\r?")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
# Where chunks end is told by what comes last, and once. `identity` is no coding any more, so it is read in two ways.
_IN_CHUNKS: Final = re.compile(
    rb"(?:(?!(?:chunked|identity)[ \t]*,)[!#$%&'*+.^_`|~0-9A-Za-z-]++[ \t]*+,[ \t]*+)*+chunked", re.IGNORECASE
)
# Fields that change how the message is read; the spellings with `_` are the same field to CGI and its heirs.
_FRAMING: Final = frozenset(
    {b"connection", b"content-length", b"expect", b"transfer-encoding", b"upgrade"}
    | {b"content_length", b"transfer_encoding", b"content.length", b"transfer.encoding"}
)
_MISSPELT: Final = frozenset(name for name in _FRAMING if b"_" in name or b"." in name)


@final
class Block(msgspec.Struct):
    """The header fields of a request, with what they say about the message. Names are in lower case.

    The clients of a connection send the same fields again and again, byte for byte (HPACK was made because of it), so
    a block is read once and serves every request that brings it. Nobody changes one.
    """

    raw: bytes
    http11: bool
    host: bytes
    fields: list[tuple[bytes, bytes]]
    by_name: dict[bytes, bytes]
    """The last value of each name; for those that come once at most."""
    length: int = 0
    """Bytes of the body, or `CHUNKED`."""
    persistent: bool = True
    """The client wants the connection to go on."""
    expects: bool = False
    """The client waits for 100 before it sends the body."""
    written: tuple[object, object, bytes] | None = None
    """For whoever writes these fields again: what it last wrote, after what two things were the same."""
    plan: object = None
    """For whoever answers: what it made of the last request with these fields."""

    def __repr__(self) -> str:
        """Show no values: tokens live there."""
        return f"<Block of {len(self.fields)} fields>"


@final
class Head(msgspec.Struct):
    """A request without its body. Like its block, it serves again when the same bytes come again."""

    method: str
    target: Target
    block: Block
    raw: bytes = b""
    plain: bool = False
    """An HTTP/1.1 request without a body, whose answer has one and leaves the connection open: most are."""
    plan: object = None
    """For whoever answers: what it made of this head. The same bytes mean the same."""
    written: tuple[object, object, bytes] | None = None
    """As in the block, with the request line."""

    def __post_init__(self) -> None:
        """See what it is."""
        block = self.block
        self.plain = block.http11 and block.persistent and not block.length and self.method != "HEAD"

    def __repr__(self) -> str:
        """Show neither query nor headers: tokens live there."""
        return f"<Head {self.method} {self.target.path!r}>"


@final
class RequestReader:
    """Reads one head after another from the bytes of one connection, however they are cut."""

    __slots__ = (
        "_empty", "_fed", "_fields", "_has_read", "_held", "_last", "_limits", "_parser", "_secured", "_small",
        "_start", "rest",
    )  # fmt: skip

    def __init__(self, limits: Limits, *, secured: bool = False) -> None:
        self._limits: Final = limits
        self._secured: Final = secured
        # a head no longer than this breaks no limit in bytes, so one comparison stands for three
        self._small: Final = min(limits.request_line, limits.field, limits.head)
        # only while a head is being read: idle connections are many, and a parser is 800 bytes
        self._fields: Fields | None = None
        self._parser: HttpRequestParser | None = None
        self._last: Head | None = None
        self._has_read = False
        self._held = b""
        self._empty = 0
        self._fed = 0
        self._start: tuple[str, Target, bool] | None = None
        self.rest = b""

    @property
    def begun(self) -> bool:
        """Tell whether part of a head has come."""
        return bool(self._held)

    @property
    def is_spare(self) -> bool:
        """Tell whether another reader would do as well: no part of a head has come, nor an empty line before one."""
        return not (self._held or self._empty)

    def is_head(self, data: bytes) -> bool:
        """Tell whether what is being read, and then this, is a HEAD: no answer to it has content (RFC 9110, 9.3.2)."""
        return (self._held + data).lstrip(b"\r\n").startswith(b"HEAD ")

    def read(self, data: bytes) -> Head | None:
        """Return the head when it is whole, and leave in `rest` what came after it; None when more must come.

        Raises `Malformed`, after which nothing more can be read from this connection.
        """
        last = self._last
        if last is None or self._held:
            return self._read(data)
        if data.startswith(last.raw):
            self.rest = data[len(last.raw) :]
            return last
        block = last.block
        line_end = data.find(b"\r\n")
        if not 0 < line_end <= self._small or not data.startswith(block.raw, line_end):
            return self._read(data)
        method, target, http11 = start_line(data[:line_end])
        if http11 != block.http11 or target.authority is not None:
            return self._read(data)
        end = line_end + len(block.raw)
        self.rest = data[end:]
        self._last = head = Head(method, target, block, data[:end])
        return head

    def _read(self, data: bytes) -> Head | None:
        searched = max(0, len(self._held) - 3)
        if self._held:
            data = self._held + data
        if data.startswith(b"\r\n"):
            place = empty_lines(data, before=self._empty)
            self._empty += place // 2
            self._last = None  # so the next head is read in full, and from there they are counted anew
            data, searched = data[place:], 0
        end = data.find(b"\r\n\r\n", searched) + 4
        if end < 4:  # noqa: PLR2004 - not found
            self._wait(data)
            return None
        if end > self._small:
            self._check_sizes(data[:end])
        line_end = data.find(b"\r\n")
        start = self._start or start_line(data[:line_end])
        fields = self._feed(data[self._fed : end])
        if not fields.complete:
            raise Malformed(400, "syntax", "A head ends before it is complete")
        pairs = fields.pairs
        # the next head is for another parser: this one may wait for a body, or for nothing more at all
        self._fields = self._parser = None
        self._held, self._empty, self._fed, self._start = b"", 0, 0, None
        self.rest = data[end:]
        method, target, http11 = start
        block = self._read_block(data[line_end:end], pairs, target, http11=http11)
        head = Head(method, target, block, data[:end])
        # not of the first: many connections bring one request and no more, and what is kept of it is 4 KB
        self._last = head if self._has_read and target.authority is None else None
        self._has_read = True
        return head

    def _read_block(self, raw: bytes, pairs: list[tuple[bytes, bytes]], target: Target, *, http11: bool) -> Block:
        if len(pairs) > self._limits.fields:
            raise _too_many()
        by_name = dict(pairs)
        if len(by_name) != len(pairs):
            pairs = unrepeated(pairs, longest=self._limits.field)
            by_name = dict(pairs)
        host = by_name.get(b"host", b"")
        if not is_host(host) and (http11 or b"host" in by_name):
            raise Malformed(400, "host", "A request must name one host")
        block = Block(raw, http11, host, pairs, by_name)
        if not (http11 and _FRAMING.isdisjoint(by_name)):
            _frame(block, self._limits)
        if target.authority is not None:
            if target.secure and not self._secured:
                raise Malformed(400, "target", "A URL of https is asked for without TLS")  # RFC 9110, 7.4
            _take_authority(block, target.authority)
        return block

    def _feed(self, data: bytes) -> Fields:
        fields, parser = self._fields, self._parser
        if fields is None or parser is None:
            fields = self._fields = Fields()
            parser = self._parser = HttpRequestParser(fields)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # at the empty line of a head that asks to upgrade, which is complete all the same
        except HttpParserError:
            raise Malformed(400, "syntax", "A head is not HTTP/1.1") from None
        return fields

    def _wait(self, data: bytes) -> None:
        """Hold what came, and refuse at once what no continuation could mend."""
        self._held = data
        if self._start is None:
            line_end = data.find(b"\r\n")
            if line_end < 0:
                if len(data.removesuffix(b"\r")) > self._limits.request_line:
                    raise Malformed(414, "request_line", "A request line is too long")
                if _PARTIAL_LINE.fullmatch(data) is None:
                    raise Malformed(400, "syntax", "A request line holds a control character")
                return
            self._check_sizes(data)
            self._start = start_line(data[:line_end])
        elif len(data) - data.rfind(b"\r\n") > self._limits.field or len(data) > self._limits.head:
            self._check_sizes(data)
        fields = self._feed(data[self._fed :])
        self._fed = len(data)
        if len(fields.pairs) > self._limits.fields:
            raise _too_many()
        if len(data) <= _READ_ANEW:
            self._fields = self._parser = self._start = None
            self._fed = 0

    def _check_sizes(self, data: bytes) -> None:
        limits = self._limits
        data = data.removesuffix(b"\r")  # half of an end, which is no part of a line
        line_end = data.find(b"\r\n")
        if line_end > limits.request_line:
            raise Malformed(414, "request_line", "A request line is too long")
        if len(data) - line_end > limits.head:
            raise Malformed(431, "header_size", "The header fields are too long together")
        if len(data) - line_end > limits.field and any(len(line) > limits.field for line in data.split(b"\r\n")[1:]):
            raise Malformed(431, "header_size", "A header field is too long")


def _take_authority(block: Block, authority: bytes) -> None:
    # RFC 9112, 3.2.2: what the target names counts, and the Host that came is replaced by it
    block.host = block.by_name[b"host"] = authority
    _replace(block, b"host", authority)


def _frame(block: Block, limits: Limits) -> None:
    """Find where the body ends and whether the connection goes on (RFC 9112, 6.3 and 9.3)."""
    by_name = block.by_name
    if not _MISSPELT.isdisjoint(by_name):
        raise Malformed(400, "framing", "A field that frames the message is misspelt")
    connection = b",".join([value for name, value in block.fields if name == b"connection"]).lower()
    options = {option.strip(b" \t") for option in connection.split(b",")}
    block.persistent = b"close" not in options and (block.http11 or b"keep-alive" in options)
    coding, length = by_name.get(b"transfer-encoding"), by_name.get(b"content-length")
    if coding is not None:
        # HTTP/1.0 knows no codings: whoever framed this did not mean what it says (RFC 9112, 6.1)
        if length is not None or not block.http11 or _IN_CHUNKS.fullmatch(coding) is None:
            raise Malformed(400, "framing", "A message is framed in a way that can be read in two")
        if b"," in coding:  # RFC 9112, 6.1
            raise Malformed(501, "coding", "A body is coded in a way that is not understood here")
        block.length = CHUNKED
    elif length is not None:
        if _LENGTH.fullmatch(length) is None:
            raise Malformed(400, "framing", "A length is no number")
        block.length = int(length)
        if length.startswith(b"0") and length != b"0":  # to some 010 is eight: what goes on is read by all alike
            _replace(block, b"content-length", b"%d" % block.length)
        if limits.body is not None and block.length > limits.body:
            raise Malformed(413, "body_size", "A request body is too long")
    if b"expect" in by_name:
        _expect(block, by_name[b"expect"])


def _expect(block: Block, expectation: bytes) -> None:
    # RFC 9110, 10.1.1: HTTP/1.0 knows no expectations, and nobody may expect 100 who has no content to send
    block.expects = block.http11 and expects_continue(expectation) and bool(block.length)
    if not block.expects:
        _replace(block, b"expect")
    elif expectation != CONTINUE:  # a server that does not take the list apart would expect something else
        _replace(block, b"expect", CONTINUE)


def _replace(block: Block, name: bytes, value: bytes | None = None) -> None:
    """Let a field go on with another value, or not at all."""
    block.fields = [field for field in block.fields if field[0] != name] + ([(name, value)] if value else [])


def _too_many() -> Malformed:
    return Malformed(431, "header_count", "There are too many header fields")
