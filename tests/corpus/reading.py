"""What a gateway may send to an upstream, and what a server may answer, read as strictly as RFC 9112 lets anybody.

Written anew and not taken from the package: it judges what the package writes.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final, final

import msgspec

_LINE: Final = re.compile(rb"([A-Z]+) (\*|/[!-~]*) HTTP/1\.1")
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\t -~]*")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)")
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]*")  # one that begins with 0 is octal to some
_NO_TRAILERS: Final = frozenset(
    b"authorization connection cookie expect forwarded host proxy-authorization set-cookie te trailer "
    b"transfer-encoding upgrade x-real-ip x-request-id".split()
)
_SIZE: Final = re.compile(rb"[1-9a-f][0-9a-f]*|0")


class NotStrict(AssertionError):  # noqa: N818 - names what came
    """Bytes that a strict sender does not send."""


@final
class Sent(msgspec.Struct, frozen=True):
    """One request as it reached the upstream."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    raw: bytes

    def __str__(self) -> str:
        """Write it as cases do."""
        return f"{self.method} {self.target} {len(self.body)}"

    @property
    def digest(self) -> str:
        """The SHA-256 of the body."""
        return hashlib.sha256(self.body).hexdigest()


@final
class Answered(msgspec.Struct, frozen=True):
    """One response."""

    status: int
    fields: Mapping[str, str]
    body: bytes


def take_request(data: bytes) -> tuple[Sent, int] | None:
    """Read one request; return it with its length, or None when it is not whole. Raises `NotStrict`."""
    head, line_end, _ = data.partition(b"\r\n\r\n")
    if not line_end:
        return None
    line, *rest = head.split(b"\r\n")
    matched = _LINE.fullmatch(line)
    if matched is None:
        raise NotStrict(f"no request line: {line!r}")
    fields = _fields(rest)
    if [name for name, _ in fields].count(b"host") != 1:
        raise NotStrict(f"not one Host: {head!r}")
    start = len(head) + 4
    whole = _body(fields, data, start)
    if whole is None:
        return None
    body, end = whole
    if any(name == b"expect" and value != b"100-continue" for name, value in fields):
        raise NotStrict(f"an expectation in a form that not every server knows: {head!r}")
    # RFC 9110, 10.1.1; who sends chunks may yet send none
    if (b"expect", b"100-continue") in fields and not body and (b"transfer-encoding", b"chunked") not in fields:
        raise NotStrict("an expectation without content")
    written = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)
    return Sent(matched[1].decode(), matched[2].decode(), written, body, data[:end]), end


def take_answer(data: bytes, *, method: str) -> tuple[Answered, int] | None:
    """Read one response to a request with this method; return it with its length, or None. Raises `NotStrict`."""
    head, line_end, _ = data.partition(b"\r\n\r\n")
    if not line_end:
        return None
    line, *rest = head.split(b"\r\n")
    matched = _STATUS.fullmatch(line)
    if matched is None:
        raise NotStrict(f"no status line: {line!r}")
    fields = _fields(rest)
    status, start = int(matched[1]), len(head) + 4
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in fields}
    if method == "HEAD" or status < 200 or status in {204, 304}:
        return Answered(status, named, b""), start
    whole = _body(fields, data, start)
    return None if whole is None else (Answered(status, named, whole[0]), whole[1])


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    fields = []
    for line in lines:
        matched = _FIELD.fullmatch(line)
        if matched is None:
            raise NotStrict(f"no field: {line!r}")
        fields.append((matched[1].lower(), matched[2].strip(b" \t")))
    return fields


def _body(fields: list[tuple[bytes, bytes]], data: bytes, start: int) -> tuple[bytes, int] | None:
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise NotStrict(f"framed twice: {lengths} {codings}")
    if codings:
        if codings != [b"chunked"]:
            raise NotStrict(f"coded: {codings}")
        return _chunks(data, start)
    size = 0
    if lengths:
        if _LENGTH.fullmatch(lengths[0]) is None:
            raise NotStrict(f"a length: {lengths}")
        size = int(lengths[0])
    end = start + size
    return (data[start:end], end) if len(data) >= end else None


def _chunks(data: bytes, place: int) -> tuple[bytes, int] | None:
    body = b""
    while True:
        line_end = data.find(b"\r\n", place)
        if line_end < 0:
            return None
        if _SIZE.fullmatch(data[place:line_end]) is None:
            raise NotStrict(f"a chunk's size: {data[place:line_end]!r}")
        size = int(data[place:line_end], 16)
        begin = line_end + 2
        if size == 0:
            end = _end_of_trailers(data, begin)
            return None if end is None else (body, end)
        place = begin + size + 2
        if len(data) < place:
            return None
        if data[place - 2 : place] != b"\r\n":
            raise NotStrict("a chunk's end")
        body += data[begin : begin + size]


def _end_of_trailers(data: bytes, place: int) -> int | None:
    """Return where the trailers end; None where they do not yet. Servers put them among the headers, so look twice."""
    if data.startswith(b"\r\n", place):
        return place + 2
    end = data.find(b"\r\n\r\n", place)
    if end < 0:
        return None
    lines = data[place:end].split(b"\r\n")
    if any(b": " not in line for line in lines):
        raise NotStrict(f"a trailer that could be a request line to who skips its name: {lines!r}")
    for name, _ in _fields(lines):
        if name in _NO_TRAILERS or name.replace(b"_", b"-").startswith((b"x-auth-", b"x-forwarded", b"content-")):
            raise NotStrict(f"a trailer that others take for a header: {name!r}")
    return end + 4
