"""Header fields: every byte in names and values, white space, folding, repetition, sizes (RFC 9112, 5)."""

from collections.abc import Iterator
from typing import Final

from tests.corpus.case import Case, case
from tests.corpus.parts import BEARER, GET, GOT, HOST, SMUGGLED, TOKEN_BYTES, VALUE_BYTES, shown

_LINES: Final = {
    "space before the colon": b"X : y\r\n",
    "tab before the colon": b"X\t: y\r\n",
    "two spaces before the colon": b"X  : y\r\n",
    "space in a name": b"X y: z\r\n",
    "no name": b": y\r\n",
    "only a colon": b":\r\n",
    "two colons": b":: y\r\n",
    "a space for a name": b" : y\r\n",
    "no colon": b"X\r\n",
    "no colon, two words": b"X y\r\n",
    "a line of spaces": b"  \r\n",
    "a tab": b"\t\r\n",
    "folded with a space": b"X: y\r\n z\r\n",
    "folded with a tab": b"X: y\r\n\tz\r\n",
    "folded twice": b"X: y\r\n z\r\n z\r\n",
    "folded into nothing": b"X: y\r\n \r\n",
    "folded from nothing": b"X:\r\n y\r\n",
    "folded behind a bare LF": b"X: y\n z\r\n",
    "folded name": b"X\r\n : y\r\n",
    "a folded line that is a field": b"X: y\r\n Content-Length: 5\r\n",
    "bare LF": b"X: y\n",
    "bare LF before another": b"X: y\nZ: z\r\n",
    "two bare LFs": b"X: y\n\n",
    "bare CR": b"X: y\rZ: z\r\n",
    "CR before CRLF": b"X: y\r\r\n",
    "LF before CRLF": b"X: y\n\r\n",
    "LF CR": b"X: y\n\r",
    "CR at the start": b"\rX: y\r\n",
    "a CR instead of a field": b"\r\r\n",
    "NUL for a field": b"\x00\r\n",
    "a request line": b"GET / HTTP/1.1\r\n",
    "a quoted name": b'"X": y\r\n',
    "a name in brackets": b"[X]: y\r\n",
    "a BOM": b"\xef\xbb\xbfX: y\r\n",
    "next line, as EBCDIC and Latin-1 have it": b"X\x85: y\r\n",
    "a line separator of Unicode in a name": b"X\xe2\x80\xa8: y\r\n",
}
_GOOD_LINES: Final = {
    "no space behind the colon": b"X:y\r\n",
    "much space around the value": b"X: \t  y \t \r\n",
    "no value": b"X:\r\n",
    "only spaces": b"X: \t \r\n",
    "a colon in the value": b"X: y: z\r\n",
    "quotes": b'X: "a\\"b", c\r\n',
    "a lone quote": b'X: "\r\n',
    "UTF-8": b"X: \xc3\xa9\r\n",
    "a line separator of Unicode": b"X: a\xe2\x80\xa8b\r\n",
    "next line, as Latin-1 has it": b"X: a\x85b\r\n",
    "a name of a letter": b"x: y\r\n",
    "a name of digits": b"123: y\r\n",
    "a name of 200 letters": b"X" * 200 + b": y\r\n",
    "an encoded CRLF": b"X: a%0d%0aZ: b\r\n",
    "an underscore": b"X_Y: z\r\n",
    "a point": b"X.Y: z\r\n",
}

_ONCE: Final = (
    b"Host: a.test", b"Host: b.test", b"host:a.test", b"Content-Type: text/plain", b"Expect: 100-continue",
    b"If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT", b"If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
    b'If-Range: "a"', b"Range: bytes=0-1", b"Referer: http://a.test/", b"User-Agent: a", b"From: a@a.test",
    b"Max-Forwards: 5", b"Origin: http://a.test", b"Content-Range: bytes 0-4/5", b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
    b"Content-Location: /a", b"Last-Event-ID: 1", b"If-Match: *", b"If-None-Match: *", b'If-Match: "a', b"If-None-Match: a",
    b"Age: 1", b'ETag: "a"', b"Expires: Thu, 01 Jan 1970 00:00:00 GMT", b"Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT",
    b"Location: /a", b"Retry-After: 1", b"Server: a",
)  # fmt: skip
"""Of these there is one at most: servers take the first, the last, or both joined. All are here that Node.js takes the
first of, also those that only a response has (`matchKnownFields` in its lib/_http_incoming.js)."""

_OFTEN: Final = (
    b"Accept: text/html", b"Accept-Language: de", b"Accept-Encoding: gzip", b"Cache-Control: no-cache", b"Cookie: a=b",
    b"Forwarded: for=192.0.2.1", b"Via: 1.1 a", b"X-Forwarded-For: 192.0.2.1", b"Connection: close, x",
    b"Upgrade: h2c", b"Trailer: X", b"TE: trailers", b"X: y", b"Link: <a>", b"Authorization: Basic YTpi",
    b'If-Match: "a"', b'If-None-Match: W/"a", "b,c"', b"Proxy-Authorization: Basic YTpi", b"X-Request-ID: 1", b"X-Auth-User-Id: root", b"Content-Encoding: gzip",
)  # fmt: skip

_REMOVABLE: Final = (
    b"Host", b"Content-Length", b"Transfer-Encoding", b"Authorization", b"Cookie", b"Connection", b"Content-Type",
    b"X-Forwarded-For", b"X-Auth-User-Id", b"Via", b"Date", b"X", b"close", b"keep-alive", b"Expect", b"Origin",
    b"Content_Length", b"host,content-length", b",", b"", b",,host", b'"host"', b"x y", b"\x80",
)  # fmt: skip
"""What `Connection` may name: whatever it takes away, the message is framed and addressed as before."""


def _bytes() -> Iterator[Case]:
    for byte in range(256):
        one = bytes([byte])
        name = shown(one)
        in_name = byte in TOKEN_BYTES or one == b":"
        yield case(f"{name} in a name", GET + b"X" + one + b"Y: z\r\n\r\n", GOT if in_name else 400)
        if one != b":":
            yield case(f"{name} before a name", GET + one + b"X: z\r\n\r\n", GOT if byte in TOKEN_BYTES else 400)
            yield case(f"{name} behind a name", GET + b"X" + one + b": z\r\n\r\n", GOT if byte in TOKEN_BYTES else 400)
        in_value = byte in VALUE_BYTES
        yield case(f"{name} in a value", GET + b"X: y" + one + b"z\r\n\r\n", GOT if in_value else 400)
        if not in_value or byte in b" \t" or byte >= 0x80:
            yield case(f"{name} before a value", GET + b"X:" + one + b"y\r\n\r\n", GOT if in_value else 400)
            yield case(f"{name} behind a value", GET + b"X: y" + one + b"\r\n\r\n", GOT if in_value else 400)
        if one != b"\r":
            yield case(f"{name} in place of the last CR", GET + one + b"\n", 400)
        if one != b"\n":
            yield case(f"{name} in place of the last LF", GET + b"\r" + one + b"\r\n", 400)


def _lines() -> Iterator[Case]:
    after = b"Content-Length: 0\r\n\r\n"
    for name, line in _LINES.items():
        yield case(f"{name}", GET + line + after + SMUGGLED, 400)
        yield case(f"{name}, first", b"GET /open/a HTTP/1.1\r\n" + line + HOST + after + SMUGGLED, 400)
        yield case(f"{name}, last", GET + b"X: y\r\n" + line + b"\r\n" + SMUGGLED, 400)
    for name, line in _GOOD_LINES.items():
        yield case(f"{name}", GET + line + b"\r\n", GOT)
        yield case(f"{name}, first", b"GET /open/a HTTP/1.1\r\n" + line + HOST + b"\r\n", GOT)


def _repeated() -> Iterator[Case]:
    for line in _ONCE:
        single, other = line + b"\r\n", line.swapcase() + b"2\r\n"
        start = b"GET /open/a HTTP/1.1\r\n" + (b"" if single.lower().startswith(b"host") else HOST)
        yield case(f"once {shown(line)}", start + single + b"\r\n", GOT)
        yield case(f"twice {shown(line)}", start + single + single + b"\r\n", 400)
        yield case(f"twice, and different {shown(line)}", start + single + b"X: y\r\n" + other + b"\r\n", 400)
    for line in _OFTEN:
        end = "closed" if b"close" in line else "open"
        yield case(f"twice {shown(line)}", GET + line + b"\r\n" + line + b"\r\n\r\n", GOT, end=end)  # type: ignore[arg-type]
    yield case(
        "Authorization twice, the second good",
        b"GET /x HTTP/1.1\r\n" + HOST + b"Authorization: Bearer x\r\n" + BEARER + b"\r\n",
        "GET /x 0",
    )
    yield case(
        "Cookie twice, the second good",
        b"GET /x HTTP/1.1\r\n" + HOST + b"Cookie: a=b\r\nCookie: session_token=$TOKEN\r\n\r\n",
        "GET /x 0",
    )
    yield case("Cookie three times", GET + b"Cookie: a=b\r\nCookie: c=d; e=f\r\nX: y\r\nCookie: a=2\r\n\r\n", GOT)
    for name in (b"If-Match", b"If-None-Match"):
        tags, other = name + b': "a"\r\n', name + b': W/"b", "c,d"\r\n'
        yield case(f"{shown(name)} three times", GET + tags + b"X: y\r\n" + other + tags + b"\r\n", GOT)
        yield case(f"{shown(name)} twice, one of them *", GET + tags + name + b": *\r\n\r\n", 400)
        yield case(f"{shown(name)} twice, one of them empty", GET + name + b":\r\n" + tags + b"\r\n", 400)
        yield case(f"{shown(name)} twice, one tag together", GET + name + b': "a\r\n' + name + b': b"\r\n\r\n', 400)
        long = name + b': "' + b"a" * 4090 + b'"\r\n'
        yield case(f"{shown(name)} twice, too long together", GET + long + long + b"\r\n", 431)
    yield case("Cookie with a comma", GET + b"Cookie: a=b, c=d\r\n\r\n", GOT)


def _connection() -> Iterator[Case]:
    for option in _REMOVABLE:
        end = "closed" if option == b"close" else "open"
        line = b"Connection: " + option + b"\r\n"
        yield case(f"Connection: {shown(option)}", GET + line + b"\r\n", GOT, end=end)  # type: ignore[arg-type]
        body = b"POST /x HTTP/1.1\r\n" + HOST + BEARER + b"Content-Length: 5\r\n" + line + b"\r\nhello"
        yield case(f"Connection: {shown(option)} with a body", body, "POST /x 5", end=end)  # type: ignore[arg-type]


def _sizes() -> Iterator[Case]:
    # with the Host there are two fields more than the x; 100 are served
    yield case("a hundred fields", (GET, (b"X: y\r\n", 99), b"\r\n"), GOT)
    yield case("a hundred and one fields", (GET, (b"X: y\r\n", 100), b"\r\n"), 431)
    yield case("ten thousand fields", (GET, (b"X: y\r\n", 10_000), b"\r\n"), 431)
    yield case("a field of 8192 bytes", (GET, b"X: ", (b"y", 8189), b"\r\n\r\n"), GOT)
    yield case("a field of 8193 bytes", (GET, b"X: ", (b"y", 8190), b"\r\n\r\n"), 431)
    yield case("a field of 100,000 bytes", (GET, b"X: ", (b"y", 100_000), b"\r\n\r\n"), 431)
    yield case("a name of 8,193 bytes", (GET, (b"X", 8192), b": y\r\n\r\n"), 431)
    yield case("fields of 40,000 bytes together", (GET, (b"X: " + b"y" * 997 + b"\r\n", 40), b"\r\n"), 431)
    # with the end of the request line, the Host and the empty line there are 18 bytes more
    lines = (GET, (b"X: " + b"y" * 995 + b"\r\n", 32))
    yield case("fields of 32,768 bytes together", (*lines, b"X: ", (b"y", 745), b"\r\n\r\n"), GOT)
    yield case("fields of 32,769 bytes together", (*lines, b"X: ", (b"y", 746), b"\r\n\r\n"), 431)
    yield case("a value of spaces", (GET, b"X:", (b" ", 5000), b"\r\n\r\n"), GOT)


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (_bytes, _lines, _repeated, _connection, _sizes):
        yield from part()
