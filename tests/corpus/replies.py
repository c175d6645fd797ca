"""What upstreams may answer, as data: raw responses, and what the client must get of each.

A line of JSON each. `gets` is the status and the length of the body that reach the client, or 502, or `broken`: the
response had begun, and the client is cut off so that it takes no part for the whole. `kept` tells whether the
connection to the upstream may carry another request. `closes`: the upstream closes behind these bytes.
"""

from collections.abc import Iterator
from typing import Final, final

import msgspec

from tests.corpus.case import DATA
from tests.corpus.parts import TOKEN_BYTES, VALUE_BYTES, shown

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_TWO: Final = b"Content-Length: 2\r\n"
_END: Final = b"\r\nok"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_CHUNKS: Final = b"\r\n2\r\nok\r\n0\r\n\r\n"
_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"


@final
class Reply(msgspec.Struct, frozen=True):
    """One response to one request."""

    id: str
    raw: str
    gets: str
    kept: bool
    closes: bool = False
    method: str = "GET"

    @property
    def sent(self) -> bytes:
        """The bytes that the upstream sends."""
        return self.raw.encode("latin-1")


def _good(
    name: str, raw: bytes, gets: str = "200 2", *, kept: bool = True, closes: bool = False, to: str = "GET"
) -> Reply:
    return Reply(name, raw.decode("latin-1"), gets, kept, closes, to)


def _bad(name: str, raw: bytes, gets: str = "502", *, closes: bool = False, to: str = "GET") -> Reply:
    return Reply(name, raw.decode("latin-1"), gets, kept=False, closes=closes, method=to)


_STATUS_LINES: Final = (
    b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK", b" HTTP/1.1 200 OK", b"HTTP/1.1 200\tOK", b"HTTP/1.1 2 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK",
    b"HTTP/1.1 000 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 600 OK", b"HTTP/1.1 999 OK", b"HTTP/1.1 -200 OK", b"HTTP/1.1 +200 OK", b"HTTP/1.1 2e2 OK",
    b"HTTP/1.1 0x200 OK", b"HTTP/1.1 two OK", b"HTTP/1.1 OK", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/2.0 200 OK", b"HTTP/2 200", b"HTTP/1.2 200 OK", b"HTTP/0.9 200 OK",
    b"HTTP/3.0 200 OK", b"http/1.1 200 OK", b"Http/1.1 200 OK", b"HTTP/11 200 OK", b"HTTP/1.10 200 OK", b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\x01K",
    b"HTTP/1.1 200 O\x7fK", b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\nK", b"ICY 200 OK", b"200 OK", b"hello", b"", b"\r\nHTTP/1.1 200 OK", b"\nHTTP/1.1 200 OK",
    b"\x00HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r", b"HTTP/1.1 200 OK\n", b"HTTP/1.1 200OK", b"HTTP/1.1 200;OK", b"GET / HTTP/1.1", b"HTTP/1.1\xa0200 OK",
)  # fmt: skip
_FIELDS: Final = (
    b"X : y\r\n", b"X\t: y\r\n", b" X: y\r\n", b"\tX: y\r\n", b"X: y\r\n z\r\n", b"X: y\r\n\tz\r\n", b"X: y\n", b"X: y\nZ: z\r\n", b"X: y\rZ: z\r\n", b"X: y\r\r\n",
    b"X\r\n", b": y\r\n", b":\r\n", b"X y: z\r\n", b"X: y\x00\r\n", b"\x00\r\n", b"X: y\n\n", b"Set-Cookie: a=b\nSet-Cookie: c=d\r\n",
    b"Location: /\r\nX\r\n", b"X: y\r\n \r\n", b"\r\x00\r\n", b"\xef\xbb\xbfX: y\r\n",
)  # fmt: skip
_FRAMINGS: Final = (
    _TWO + _TWO, _TWO + b"Content-Length: 3\r\n", b"Content-Length: 2, 2\r\n", b"Content-Length: +2\r\n", b"Content-Length: -2\r\n", b"Content-Length: 0x2\r\n",
    b"Content-Length: 2_\r\n", b"Content-Length: 2a\r\n", b"Content-Length:\r\n", b"Content-Length: 2 2\r\n", b"Content-Length: 2.0\r\n", b'Content-Length: "2"\r\n',
    b"Content-Length: \xb2\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length: 2,\r\n", b"Content-Length: 2;\r\n", _TWO + _CHUNKED, _CHUNKED + _TWO,
    _CHUNKED + _CHUNKED, b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, gzip\r\n", b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding: chunked, chunked\r\n", b"Transfer-Encoding:\r\n",
    b"Transfer-Encoding: chunked;a=b\r\n", b'Transfer-Encoding: "chunked"\r\n', b"Transfer-Encoding: chunked,\r\n", b"Transfer-Encoding: ,chunked\r\n", b"Transfer-Encoding: gzip\r\n",
    _TWO + b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: \x0bchunked\r\n",
)  # fmt: skip
_CHUNK_BODIES: Final = (
    b"\r\n", b"-2\r\nok\r\n", b"+2\r\nok\r\n", b"0x2\r\nok\r\n", b"2_\r\nok\r\n", b"2 \r\nok\r\n", b" 2\r\nok\r\n", b"g\r\n", b"2\nok\r\n", b"2\r\nok\n", b"2\r\nokX\r\n", b"2\r\no\r\n0\r\n",
    b"2;\r\nok\r\n", b"2;a\nb\r\nok\r\n", b"2;\x00\r\nok\r\n", b"10000000000000002\r\nok\r\n", b"ffffffffffffffffff\r\n", b"2\r\nok\r\n0\n\n", b"2\r\nok\r\n0\r\n\n",
    b"2\r\nok\r\n0\r\nX : y\r\n\r\n", b"2\r\nok\r\n0\r\n X: y\r\n\r\n", b"2\r\nok\r\n0\r\nX: y\n\r\n", b"2\r\nok\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n",
)  # fmt: skip


def _heads() -> Iterator[Reply]:
    for line in _STATUS_LINES:
        yield _bad(f"status line {shown(line)}", line + b"\r\n" + _TWO + _END, closes=True)
    for field in _FIELDS:
        yield _bad(f"field {shown(field)}", _OK + field + _TWO + _END, closes=True)
        yield _bad(f"last field {shown(field)}", _OK + _TWO + field + _END, closes=True)
    for byte in range(256):
        one = bytes([byte])
        if one != b":":
            name = _OK + b"X" + one + b"Y: z\r\n" + _TWO + _END
            yield (
                _good(f"{shown(one)} in a name", name) if byte in TOKEN_BYTES else _bad(f"{shown(one)} in a name", name)
            )
        value = _OK + b"X: y" + one + b"z\r\n" + _TWO + _END
        yield (
            _good(f"{shown(one)} in a value", value) if byte in VALUE_BYTES else _bad(f"{shown(one)} in a value", value)
        )
    yield _bad("a head without end", _OK + b"X: " + b"y" * 70_000)
    yield _bad("a head cut short", _OK + b"X: y", closes=True)
    yield _bad("nothing", b"", closes=True)
    yield _good("no reason", b"HTTP/1.1 200 \r\n" + _TWO + _END)
    yield _good("no reason and no space", b"HTTP/1.1 200\r\n" + _TWO + _END)
    yield _good("a status of its own", b"HTTP/1.1 299 X\r\n" + _TWO + _END, "299 2")
    for status in (200, 201, 206, 301, 400, 401, 404, 429, 500, 503, 599):
        yield _good(f"status {status}", b"HTTP/1.1 %d X\r\n" % status + _TWO + _END, f"{status} 2")


def _bodies() -> Iterator[Reply]:
    for framing in _FRAMINGS:
        yield _bad(f"framing {shown(framing)}", _OK + framing + _CHUNKS, closes=True)
        yield _bad(f"framing {shown(framing)} to HEAD", _OK + framing + b"\r\n", closes=True, to="HEAD")
    for chunks in _CHUNK_BODIES:
        yield _bad(f"chunks {shown(chunks)}", _OK + _CHUNKED + b"\r\n" + chunks + b"0\r\n\r\n", closes=True)
        begun = _OK + _CHUNKED + b"\r\n" + b"2\r\nok\r\n" + chunks + b"0\r\n\r\n"
        yield _bad(f"chunks {shown(chunks)} behind a good one", begun, closes=True)
    yield _bad("chunked from HTTP/1.0", b"HTTP/1.0 200 OK\r\n" + _CHUNKED + _CHUNKS, closes=True)
    yield _good("a length", _OK + _TWO + _END)
    for length in (b"02", b"002", b"000000000000000002"):
        yield _good(f"a length of {shown(length)}", _OK + b"Content-Length: " + length + b"\r\n" + _END)
    for length in (b"00", b"0000"):
        yield _good(f"a length of {shown(length)}", _OK + b"Content-Length: " + length + b"\r\n\r\n", "200 0")
        yield _good(
            f"a length of {shown(length)} to HEAD", _OK + b"Content-Length: " + length + b"\r\n\r\n", "200 0", to="HEAD"
        )
    yield _good("chunks", _OK + _CHUNKED + _CHUNKS)
    heavy = _OK + _CHUNKED + b"\r\n" + (b"1;" + b"a" * 900 + b"\r\nx\r\n") * 20 + b"0\r\n\r\n"
    yield _bad("extensions of 18,000 bytes together", heavy)
    yield _good("chunks with an extension and trailers", _OK + _CHUNKED + b"\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n")
    end = _OK + _CHUNKED + b"\r\n2\r\nok\r\n0\r\n"
    yield _good("a trailer of 16,000 bytes", end + b"X: " + b"y" * 15_997 + b"\r\n\r\n")
    yield _good("a thousand trailers", end + b"X: y\r\n" * 1000 + b"\r\n")
    yield _bad("a trailer of 20,000 bytes", end + b"X: " + b"y" * 19_997 + b"\r\n\r\n")
    yield _bad("a thousand and one trailers", end + b"X: y\r\n" * 1001 + b"\r\n")
    yield _good("until the end", _OK + _END, kept=False, closes=True)
    yield _good("until the end, from HTTP/1.0", b"HTTP/1.0 200 OK\r\n" + _END, kept=False, closes=True)
    yield _good("a length from HTTP/1.0", b"HTTP/1.0 200 OK\r\n" + _TWO + _END, kept=False)
    yield _good("a length from HTTP/1.0, kept alive", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + _TWO + _END)
    yield _good("closing", _OK + b"Connection: close\r\n" + _TWO + _END, kept=False)
    yield _good("closing, among others", _OK + b"Connection: x, Close\r\n" + _TWO + _END, kept=False)
    for value in (b"", b" ", b",", b"keep-alive,", b",x,", b" , "):
        yield _good(f"Connection:{shown(value)}", _OK + b"Connection:" + value + b"\r\nX: y\r\n" + _TWO + _END)
        yield _good(f"Connection:{shown(value)} last", _OK + _TWO + b"Connection:" + value + b"\r\n" + _END)
    yield _bad("a body cut short", _OK + b"Content-Length: 3\r\n" + _END, "broken", closes=True)
    yield _bad("chunks cut short", _OK + _CHUNKED + b"\r\n2\r\nok\r\n", "broken", closes=True)
    yield _bad("a last chunk cut short", _OK + _CHUNKED + b"\r\n2\r\nok\r\n0\r\n", "broken", closes=True)
    for method, raw, gets, kept in (
        # content may still come to HEAD, and behind a length with 304: the next answer must not stand behind it
        ("HEAD", _OK + _TWO + b"\r\n", "200 0", False), ("HEAD", _OK + _CHUNKED + b"\r\n", "200 0", False),
        ("HEAD", _OK + b"\r\n", "200 0", False), ("HEAD", _OK + b"Content-Length: 0\r\n\r\n", "200 0", True),
        ("GET", b"HTTP/1.1 204 X\r\n\r\n", "204 0", True),
        ("GET", b"HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n", "204 0", True),
        ("GET", b"HTTP/1.1 204 X\r\nContent-Length: 2\r\n\r\n", "204 0", False),
        ("GET", b"HTTP/1.1 304 X\r\nContent-Length: 2\r\n\r\n", "304 0", False),
        ("GET", b"HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n", "304 0", False),
        ("GET", b"HTTP/1.1 304 X\r\n\r\n", "304 0", True), ("GET", _OK + b"Content-Length: 0\r\n\r\n", "200 0", True),
    ):  # fmt: skip
        yield _good(f"to {method}: {shown(raw)}", raw, gets, kept=kept, to=method)
        # RFC 9112, 6.3: nothing belongs to it, so what follows is nobody's
        yield _good(f"to {method}, and more: {shown(raw)}", raw + b"ok", gets, kept=False, to=method)
    yield _good("a second response", _OK + _TWO + _END + _OK + _TWO + _END, kept=False)
    yield _good("a second response behind chunks", _OK + _CHUNKED + _CHUNKS + _OK + _TWO + _END, kept=False)
    yield _good("a byte too many", _OK + _TWO + _END + b"X", kept=False)
    yield _good("CRLF too many", _OK + _TWO + _END + b"\r\n", kept=False)


def _interim() -> Iterator[Reply]:
    for status in (100, 102, 103, 199):
        yield _good(f"behind {status}", b"HTTP/1.1 %d X\r\n\r\n" % status + _OK + _TWO + _END)
    yield _good("behind 16 hints", _HINTS * 16 + _OK + _TWO + _END)
    yield _bad("behind 17 hints", _HINTS * 17 + _OK + _TWO + _END)
    yield _bad("behind a thousand hints", _HINTS * 1000 + _OK + _TWO + _END)
    yield _bad("a hint, and no more", _HINTS, closes=True)
    yield _bad(
        "101 that nobody asked for", b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + _OK + _TWO + _END
    )
    yield _bad("a hint with both framings", b"HTTP/1.1 103 X\r\n" + _TWO + _CHUNKED + b"\r\n" + _OK + _TWO + _END)
    yield _bad("a hint with a bare LF", b"HTTP/1.1 103 X\nX: y\r\n\r\n" + _OK + _TWO + _END)


def replies() -> Iterator[Reply]:
    """Yield them all."""
    for part in (_heads, _bodies, _interim):
        yield from part()


def read() -> Iterator[Reply]:
    """Read the data."""
    for line in (DATA / "replies.jsonl").read_text("ascii").splitlines():
        yield msgspec.json.decode(line, type=Reply)
