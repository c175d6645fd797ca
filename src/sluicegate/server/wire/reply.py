"""The head of an upstream's response: bytes in, one `Reply` out, or `Malformed`, which the client sees as 502.

An upstream is not an attacker, but it may be the tool of one: what it lets through into its headers must not become
a second response. So a head passes only when all of it is in the grammar of RFC 9112, without what that forgives:
one expression says so, and llhttp agrees with it in the tests. Lines that pass go on as they came.
"""

import copy
import re
from typing import Final, final

import msgspec

from sluicegate.adapters.forwarded import HOP_BY_HOP
from sluicegate.server.wire.body import Body, Chunked, Counted, UntilClose
from sluicegate.server.wire.head import Block
from sluicegate.server.wire.malformed import Malformed

_LONGEST_HEAD: Final = 65_536
_LONGEST_LENGTH: Final = 18
_MOST_INTERIM: Final = 16
_CONTINUE, _SWITCHING = 100, 101
_LONGEST_KNOWN: Final = 2048  # of which each connection keeps one

_DROPPED: Final = HOP_BY_HOP | {b"x-request-id"}
_SINGLE: Final = frozenset({b"content-length", b"transfer-encoding"})
_READ: Final = _SINGLE | {b"date", b"access-control-allow-origin"}
# RFC 9110, 7.6.1: what is meant for every recipient is never a connection option. Whoever gets a response without such
# a field takes it for another one: of another form or length, good for everybody and for ever, or open to every page;
# and caches do. Those of these names that are still to come mostly begin as the ones do that are there.
_CLIENTS: Final = frozenset(
    b"accept-ranges age allow alt-svc authentication-info cache-control clear-site-data date etag expires "
    b"last-modified link location origin-agent-cluster permissions-policy pragma referrer-policy refresh repr-digest "
    b"retry-after set-cookie strict-transport-security timing-allow-origin vary via warning www-authenticate "
    b"x-content-type-options x-frame-options x-xss-protection".split()
)
_CLIENTS_PREFIXES: Final = (b"access-control-", b"content-", b"cross-origin-", b"sec-")

_TEXT: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
_HEAD: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: "
    + _TEXT
    + rb")?\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:"
    + _TEXT
    + rb"\r\n)*+\r\n"
)
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_VERSION: Final = b"HTTP/1."
# The fields that are read here; of a head in lower case, which is cheaper than an expression that ignores case.
_FIELDS: Final = re.compile(rb"\n(" + b"|".join(sorted(_DROPPED | _READ)) + rb"):[ \t]*+([^\r]*+)")


@final
class Reply(msgspec.Struct):
    """A response without its body. `lines` are the status line and the header lines that pass on."""

    status: int
    lines: bytes
    fields: dict[bytes, bytes]
    """Some of the fields, name and value in lower case."""
    body: Body | None
    """None where no body follows."""
    persistent: bool
    """The upstream keeps the connection open, and nothing of this response can come on it any more."""

    def for_client(self, *, chunked: bool, cors: bytes, date: bytes) -> list[bytes]:
        """Return its lines as the client gets them, with ours where the upstream's say nothing."""
        lines = [self.lines]
        if chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        if cors and b"access-control-allow-origin" not in self.fields:
            lines.append(cors)
        if b"date" not in self.fields:
            lines.append(date)
        return lines


@final
class ReplyReader:
    """Reads the heads of the responses on one connection to an upstream.

    What a service says of small answers is often the same for a second, byte for byte: such a head is read once.
    """

    __slots__ = ("_held", "_known", "rest")

    def __init__(self) -> None:
        self._held = b""
        self._known: tuple[bytes, str, Reply] | None = None
        self.rest = b""

    @property
    def begun(self) -> bool:
        """Tell whether part of a head has come."""
        return bool(self._held)

    def read(self, data: bytes, *, method: str) -> Reply | None:
        """Return the head of the response to a request with this method, and leave in `rest` what came after it.

        None when more must come. Raises `Malformed`.
        """
        known, seen = self._known, len(self._held)
        if seen:
            data = self._held + data
        elif known is not None and data.startswith(known[0]) and method == known[1]:
            self.rest = data[len(known[0]) :]
            reply = known[2]
            return Reply(reply.status, reply.lines, reply.fields, _afresh(reply.body), reply.persistent)
        # a head that comes in crumbs is matched once, and not at each of them
        matched = _HEAD.match(data) if not seen or b"\r\n\r\n" in data[max(0, seen - 3) :] else None
        if matched is None:
            _check_beginning(data, seen)
            self._held = data
            return None
        end = matched.end()
        self._held = b""
        self.rest = data[end:]
        reply = _read(data[: end - 2], int(matched[2]), method, http11=matched[1] == b"1")
        plain = end <= _LONGEST_KNOWN and (reply.body is None or isinstance(reply.body, Counted))
        self._known = (data[:end], method, copy.copy(reply)) if plain else None  # whoever gets it may empty it
        return reply


def _check_beginning(data: bytes, seen: int) -> None:
    """Refuse at once what no continuation could mend, of which so many bytes were seen before.

    Else a service that ends its lines in a bare LF would be waited for until its time is over.
    """
    if b"\r\n\r\n" in data[max(0, seen - 3) :] or len(data) > _LONGEST_HEAD:
        raise _bad("The head of a response is not HTTP/1.1, or too long")
    if _BARE_LF.search(data, max(0, seen - 1)) is not None or not _VERSION.startswith(data[: len(_VERSION)]):
        raise _bad("A response does not begin as one of HTTP/1.1 does")


def _read(head: bytes, status: int, method: str, *, http11: bool) -> Reply:
    if len(head) > _LONGEST_HEAD:
        raise _bad("The head of a response is too long")
    fields: dict[bytes, bytes] = {}
    kept: list[bytes] = []
    place = 0
    for found in _FIELDS.finditer(head.lower()):
        name, value = found.groups()
        if name in fields:
            if name in _SINGLE:
                raise _bad("A response says twice how long it is")
            value = fields[name] + b"," + value
        fields[name] = value.rstrip()
        if name in _DROPPED:
            kept.append(head[place : found.start() + 1])
            place = found.end() + 2
    lines = b"".join((*kept, head[place:])) if kept else head
    persistent = http11
    connection = fields.get(b"connection")
    if connection is not None and connection != b"keep-alive":
        options = {option.strip(b" \t") for option in connection.split(b",")} - {b""}
        persistent = b"close" not in options and (http11 or b"keep-alive" in options)
        lines = _without(lines, {option for option in options - _CLIENTS if not option.startswith(_CLIENTS_PREFIXES)})
    elif connection is not None:
        persistent = True
    lines = _decimal(lines, fields)
    body = _body(status, fields, method, http11=http11)
    persistent = persistent and not _may_come_late(status, fields, method)
    if status < 200 or status == 204:  # noqa: PLR2004 - RFC 9110, 8.6: these carry no length
        lines = _without(lines, {b"content-length"})
    if lines[12:13] == b"\r":  # RFC 9112, 4: the space is there even where the reason is not
        lines = lines[:12] + b" " + lines[12:]
    return Reply(status, lines if http11 else b"HTTP/1.1" + lines[8:], fields, body, persistent)


def interim(reply: Reply, client: Block, *, count: int) -> bytes:
    """Return an interim response as this client gets it, the so manyth to one request; empty where it gets none.

    Raises `Malformed` for one that nobody asked for: a switch, or more than anybody needs.
    """
    if reply.status == _SWITCHING or count > _MOST_INTERIM:
        raise _bad("An interim response that nobody asked for")
    # HTTP/1.0 has no interim responses, and a 100 is for whoever waits for one
    is_for_it = client.http11 and (reply.status != _CONTINUE or client.expects)
    return reply.lines + b"\r\n" if is_for_it else b""


def _afresh(body: Body | None) -> Body | None:
    """Return a body as long as this one, of which nothing has come."""
    return Counted(body.length) if isinstance(body, Counted) else None


def _without(lines: bytes, names: set[bytes]) -> bytes:
    """Return the lines less the fields with these names, which are in lower case."""
    start, *rest = lines.split(b"\r\n")
    return b"\r\n".join([start, *[line for line in rest if line.partition(b":")[0].lower() not in names]])


def _decimal(lines: bytes, fields: dict[bytes, bytes]) -> bytes:
    """Return the lines with a length that does not begin with 0, which some take for octal."""
    length = fields.get(b"content-length", b"")
    if length[:1] != b"0" or length == b"0" or not length.isdigit():
        return lines
    fields[b"content-length"] = length = length.lstrip(b"0") or b"0"
    return b"%bContent-Length: %b\r\n" % (_without(lines, {b"content-length"}), length)


def _body(status: int, fields: dict[bytes, bytes], method: str, *, http11: bool) -> Body | None:
    """Find where the body ends (RFC 9112, 6.3)."""
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    # codings other than chunked were not offered to it (no TE is sent), and HTTP/1.0 knows none
    if coding is not None and (length is not None or not http11 or coding != b"chunked"):
        raise _bad("A response is framed in a way that can be read in two")
    if length is not None and not (length.isdigit() and len(length) <= _LONGEST_LENGTH):
        raise _bad("The length of a response is no number")
    if method == "HEAD" or status < 200 or status in {204, 304}:  # noqa: PLR2004 - interim responses
        return None
    if length is not None:
        return Counted(int(length)) if length != b"0" else None
    return UntilClose() if coding is None else Chunked()


def _may_come_late(status: int, fields: dict[bytes, bytes], method: str) -> bool:
    """Tell whether content may come that must not: what an upstream sends to HEAD, or behind a length with 204 or 304.

    It would be read as the answer to whoever gets the connection next.
    """
    length = fields.get(b"content-length")
    if status in {204, 304}:
        return length not in {None, b"0"} or b"transfer-encoding" in fields
    return method == "HEAD" and length != b"0"


def _bad(message: str) -> Malformed:
    return Malformed(502, "upstream", message)
