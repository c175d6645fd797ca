"""Inside a chunked body: sizes, extensions, line ends, trailers (RFC 9112, 7.1)."""

from collections.abc import Iterator
from typing import Final

from tests.corpus.case import Case, case
from tests.corpus.parts import CHUNKED, POST, POSTED, SMUGGLED, TOKEN_BYTES, VALUE_BYTES, shown

_HEAD: Final = POST + CHUNKED + b"\r\n"
_LAST: Final = b"0\r\n\r\n"

_SIZES: Final = (
    b"5", b"05", b"0005", b"000000000000005", b"5;a", b"5;a=b", b'5;a="b"', b'5;a="b;c"', b'5;a="b\\"c"', b'5;a=""',
    b"5;a=b;c=d", b"5;a;b;c", b"5 ;a", b"5\t;a", b"5; a", b"5;a =b", b"5;a= b", b"5 ; a = b", b"5;!#$%&'*+-.^_`|~=1",
    b'5;a="\x80\xff"', b'5;a="\t "', b"5;chunked", b"5;Content-Length=0", b"5;" + b"a" * 500, b"5" + b";a=b" * 100,
)  # fmt: skip
_NO_SIZES: Final = (
    b"", b" ", b"-5", b"+5", b"0x5", b"0X5", b"x5", b"5x", b"5h", b"g", b"G5", b"5_0", b"_5", b"5_", b"0_5", b"5 ", b" 5",
    b"5\t", b"\t5", b"5 5", b"5,5", b"5,", b",5", b"5.0", b"5.", b"5h;a", b"%35", b'"5"', b"'5'", b"(5)", b"#5",
    b"5\x00", b"\x005", b"5\x0b", b"\x0b5", b"5\x0c", b"5\x7f", b"5\x80", b"5\xa0", b"\xd9\xa5", b"\xef\xbc\x95", b"\xb2",
    b"5;", b"5;;a", b"5;a;", b"5;=b", b"5;a=", b'5;a="b', b'5;a=b"', b'5;a="b"c', b"5;a b", b"5;a=b c", b"5; ", b"5 a",
    b"5:a", b"5/a", b"5;a\x00", b"5;\x00", b"5;a=\x01", b"5;a\x0b", b"5;a\x7f", b"5;a\x80", b'5;a="\x00"', b'5;a="\x0b"',
    b"5;a\nb", b"5;\n", b"5;a=\nb", b'5;a="\nb"', b"5;a\rb", b"5;\r", b"5\r", b"\r5", b"5\r\r", b'5;a="\rb"', b"5;a\n\r",
    b"0000000000000005", b"10000000000000005", b"ffffffffffffffff", b"FFFFFFFFFFFFFFFF", b"7fffffffffffffff",
    b"8000000000000005", b"100000000000000000000000000000005", b"fffffffffffffffb", b"-fffffffffffffffb",
    b"5;" + b"a" * 2000, b"5" + b";a=b" * 1000, b"NaN", b"five", b"chunked", b"GET / HTTP/1.1",
)  # fmt: skip
_TOO_LONG: Final = (b"f4241", b"fffffffffffffff", b"100000000", b"80000000", b"ffffffff")

_ENDS: Final = {
    "bare LF behind a size": b"5\nhello\r\n0\r\n\r\n",
    "bare CR behind a size": b"5\rhello\r\n0\r\n\r\n",
    "CR CR LF behind a size": b"5\r\r\nhello\r\n0\r\n\r\n",
    "LF CR behind a size": b"5\n\rhello\r\n0\r\n\r\n",
    "nothing behind a size": b"5hello\r\n0\r\n\r\n",
    "two CRLFs behind a size": b"5\r\n\r\nhello\r\n0\r\n\r\n",
    "bare LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "bare CR behind the data": b"5\r\nhello\r0\r\n\r\n",
    "nothing behind the data": b"5\r\nhello0\r\n\r\n",
    "two bytes in place of a CRLF": b"5\r\nhelloXX0\r\n\r\n",
    "LF CR behind the data": b"5\r\nhello\n\r0\r\n\r\n",
    "two CRLFs behind the data": b"5\r\nhello\r\n\r\n0\r\n\r\n",
    "a byte more than the size": b"5\r\nhello!\r\n0\r\n\r\n",
    "a byte less than the size": b"6\r\nhello\r\n0\r\n\r\n",
    "CRLF before the first size": b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "space before the first size": b" 5\r\nhello\r\n0\r\n\r\n",
    "bare LF behind the last size": b"5\r\nhello\r\n0\n\r\n",
    "bare LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "bare LFs at the end": b"5\r\nhello\r\n0\n\n",
    "bare CR at the end": b"5\r\nhello\r\n0\r\n\rX",
    "bare CR behind the last size": b"5\r\nhello\r\n0\r\r\n",
    "a byte before the end": b"5\r\nhello\r\n0\r\nX\r\n\r\n",
    "a last size of -0": b"5\r\nhello\r\n-0\r\n\r\n",
    "a last size of +0": b"5\r\nhello\r\n+0\r\n\r\n",
    "a last size of 0x0": b"5\r\nhello\r\n0x0\r\n\r\n",
    "a last size with a space": b"5\r\nhello\r\n0 \r\n\r\n",
    "a last size with an underscore": b"5\r\nhello\r\n0_0\r\n\r\n",
    "a last size of sixteen zeros": b"5\r\nhello\r\n0000000000000000\r\n\r\n",
    "only bare LFs": b"5\nhello\n0\n\n",
}

_TRAILERS: Final = (
    b"X: y\r\n", b"X:y\r\n", b"X:\r\n", b"X: y\r\nZ: z\r\n", b"X: \x80\xff\r\n", b"Content-Length: 5\r\n",
    b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Host: b.test\r\n",
    b"Authorization: Bearer x\r\n", b"Cookie: session_token=x\r\n", b"Content-Type: text/plain\r\n", b"Trailer: X\r\n",
    b"X-Auth-User-Id: root\r\n", b"X_Auth_User_Id: root\r\n", b"X-Forwarded-For: 192.0.2.1\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"Upgrade: websocket\r\n", b"Set-Cookie: a=b\r\n", b"X: y\r\n" * 50,
)  # fmt: skip
_NO_TRAILERS: Final = (
    b"X : y\r\n", b"X\t: y\r\n", b" X: y\r\n", b"\tX: y\r\n", b"X\r\n", b": y\r\n", b":\r\n", b"X: y\n", b"X: y\r", b"X: y\r\r\n",
    b"X: y\r\n z\r\n", b"X: y\r\n\tz\r\n", b"X: y\x00\r\n", b"X: \x01\r\n", b"X: \x0b\r\n", b"X: \x7f\r\n", b"X\x00: y\r\n",
    b"X y: z\r\n", b"X\x80: y\r\n", b"X(: y\r\n", b"GET / HTTP/1.1\r\n", b"GET /open/smuggled HTTP/1.1\r\nHost: a.test\r\n",
    b"X: y\nZ: z\r\n", b"0\r\n", b"5\r\nhello\r\n", b"\x00\r\n", b" \r\n", b"\t\r\n", b"X: y\rZ: z\r\n",
)  # fmt: skip


def _sizes() -> Iterator[Case]:
    for size in _SIZES:
        yield case(f"size {shown(size[:60])}", _HEAD + size + b"\r\nhello\r\n" + _LAST, POSTED)
    for size in _NO_SIZES:
        name = shown(size[:40]) + (f" of {len(size)} bytes" if len(size) > 40 else "")
        yield case(f"no size {name}", _HEAD + size + b"\r\nhello\r\n" + _LAST + SMUGGLED, 400)
        yield case(
            f"no size {name} behind a good chunk", _HEAD + b"3\r\nabc\r\n" + size + b"\r\nhello\r\n" + _LAST, 400
        )
    for size in _TOO_LONG:
        yield case(f"size {shown(size)}", _HEAD + size + b"\r\nhello\r\n" + _LAST, 413)
    for size in (b"0", b"00", b"000000000000000", b"0;a", b'0;a="b"', b"0 ;a"):
        yield case(f"last size {shown(size)}", _HEAD + b"5\r\nhello\r\n" + size + b"\r\n\r\n", POSTED)


def _bytes() -> Iterator[Case]:
    """Every byte in the places where a reader might stop, or go on."""
    for byte in range(256):
        one = bytes([byte])
        name = shown(one)
        if byte not in b"0123456789abcdefABCDEF;":
            yield case(f"{name} behind a size", _HEAD + b"5" + one + b"\r\nhello\r\n" + _LAST + SMUGGLED, 400)
        good = byte in TOKEN_BYTES or byte in b";="
        if byte not in b";=":  # where they stand alone they are cases of their own
            gets = (POSTED,) if good else (400,)
            yield case(f"{name} in an extension", _HEAD + b"5;a" + one + b"b\r\nhello\r\n" + _LAST, *gets)
        if byte not in b'"\\':
            gets = (POSTED,) if byte in VALUE_BYTES else (400,)
            yield case(f"{name} in a quoted extension", _HEAD + b'5;a="' + one + b'"\r\nhello\r\n' + _LAST, *gets)
        if byte != 13:
            yield case(f"{name} in place of CR", _HEAD + b"5\r\nhello" + one + b"\n" + _LAST + SMUGGLED, 400)
        if byte != 10:
            yield case(f"{name} in place of LF", _HEAD + b"5\r\nhello\r" + one + _LAST + SMUGGLED, 400)


def _shapes() -> Iterator[Case]:
    for name, body in _ENDS.items():
        yield case(name, _HEAD + body + SMUGGLED, 400)
    for trailers in _TRAILERS:
        yield case(
            f"trailers {shown(trailers[:40])} {len(trailers)}",
            _HEAD + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n",
            POSTED,
        )
    for trailers in _NO_TRAILERS:
        yield case(
            f"no trailers {shown(trailers)}", _HEAD + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n" + SMUGGLED, 400
        )
    yield case("a hundred chunks of a byte", (_HEAD, (b"1\r\na\r\n", 100), _LAST), "POST /open/a 100")
    inside = b"0\r\n\r\nGET /open/smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
    yield case("a chunk that holds an end and a request", _HEAD + b"%x\r\n%b\r\n" % (len(inside), inside) + _LAST,
               f"POST /open/a {len(inside)}")  # fmt: skip
    yield case(
        "sizes in both cases",
        _HEAD + b"A\r\n" + b"a" * 10 + b"\r\na\r\n" + b"b" * 10 + b"\r\n" + _LAST,
        "POST /open/a 20",
    )
    yield case("a request behind the end", _HEAD + b"5\r\nhello\r\n" + _LAST + SMUGGLED, POSTED, "GET /open/smuggled 0")
    yield case(
        "CRLF behind the end", _HEAD + b"5\r\nhello\r\n" + _LAST + b"\r\n" + SMUGGLED, POSTED, "GET /open/smuggled 0"
    )


def _bounds() -> Iterator[Case]:
    """Trailers are bounded as header fields are: so many servers make the one of the other."""
    begun = _HEAD + b"5\r\nhello\r\n0\r\n"
    for name, trailers, gets in (
        ("a hundred trailers", ((b"X: y\r\n", 100),), POSTED),
        ("a hundred and one trailers", ((b"X: y\r\n", 101),), 431),
        ("a hundred and one trailers without a value", ((b"X:\r\n", 101),), 431),
        ("four thousand trailers that grow on their way", ((b"a:\r\n", 4000),), 431),
        ("trailers that never end", ((b"a:\r\n", 4000),), 431),
        ("a trailer of 8192 bytes", (b"X: ", (b"y", 8189), b"\r\n"), POSTED),
        ("a trailer of 8193 bytes", (b"X: ", (b"y", 8190), b"\r\n"), 431),
        ("a trailer of 8193 bytes, most of them spaces", (b"X:", (b" ", 8191), b"\r\n"), 431),
        ("a trailer of 100,000 bytes", (b"X: ", (b"y", 100_000), b"\r\n"), 431),
        ("a trailer whose name has 8193 bytes", ((b"X", 8192), b":\r\n"), 431),
        ("a trailer without a colon of 100,000 bytes", ((b"X", 100_000), b"\r\n"), 431),
        ("trailers of 9500 bytes", ((b"X: " + b"y" * 90 + b"\r\n", 100),), POSTED),
        ("trailers of 32,768 bytes", ((b"X: " + b"y" * 1019 + b"\r\n", 32),), POSTED),
        ("trailers of 32,769 bytes", (b"X: y", (b"y", 1019), b"\r\n", (b"X: " + b"y" * 1019 + b"\r\n", 31)), 431),
        ("trailers of 32,768 bytes, which would be 32,800", ((b"X:" + b"y" * 1020 + b"\r\n", 32),), 431),
        ("trailers of 40,000 bytes of spaces", ((b"X:" + b" " * 996 + b"\r\n", 40),), 431),
    ):
        end = () if "never" in name else (b"\r\n" + (SMUGGLED if gets == 431 else b""),)
        yield case(name, (begun, *trailers, *end), gets)
    yield case("a trailer without an end", (begun, b"X: ", (b"y", 100_000)), 431)


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (_sizes, _bytes, _shapes, _bounds):
        yield from part()
