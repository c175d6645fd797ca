"""Request lines: methods, versions, white space, every byte in every part (RFC 9112, 2.2, 2.3 and 3)."""

from collections.abc import Iterator
from typing import Final

from tests.corpus.case import Case, case
from tests.corpus.parts import GET, GOT, HOST, SMUGGLED, TOKEN_BYTES, shown

_REST: Final = b"\r\n" + HOST + b"\r\n"

_KNOWN: Final = (
    "ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY OPTIONS PATCH POST "
    "PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
)
_METHODS: Final = _KNOWN.split()
_NO_METHODS: Final = (
    b"get", b"Get", b"gET", b"GETT", b"GE", b"G", b"XGET", b"GET_", b"GET-", b"GET.", b"GET!", b"-GET", b"'GET'", b"FOO", b"BREW",
    b"PRI", b"DEBUG", b"TRACK", b"M-SEARCH", b"BASELINE-CONTROL", b"VERSION-CONTROL", b"UPDATEREDIRECTREF", b"ANNOUNCE", b"DESCRIBE",
    b"SETUP", b"PLAY", b"SOURCE", b"FLUSH", b"123", b"$", b"|", b"A" * 100,
)  # fmt: skip
_VERSIONS: Final = (
    b"HTTP/0.9",
    b"HTTP/1.2",
    b"HTTP/1.9",
    b"HTTP/0.0",
    b"HTTP/2.0",
    b"HTTP/2.1",
    b"HTTP/3.0",
    b"HTTP/9.9",
    b"HTTP/0.1",
)
_NO_VERSIONS: Final = (
    b"", b"HTTP", b"HTTP/", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/11", b"HTTP/1,1", b"HTTP/1-1", b"HTTP/1.10", b"HTTP/1.01",
    b"HTTP/01.1", b"HTTP/10.1", b"HTTP/1.1.1", b"HTTP/1.1a", b"HTTP/a.1", b"HTTP/1.a", b"HTTP/-1.1", b"HTTP/+1.1", b"HTTP/1.+1",
    b"HTTP/0x1.1", b"http/1.1", b"Http/1.1", b"hTTP/1.1", b"HTTPS/1.1", b"HTP/1.1", b"HTTP1.1", b"HTTP /1.1", b"HTTP/ 1.1",
    b"HTTP/1 .1", b"HTTP/1. 1", b"HTTP\\1.1", b"HTTP//1.1", b"/1.1", b"1.1", b"RTSP/1.0", b"ICE/1.0", b"SIP/2.0", b"SHTTP/1.1",
    b"XHTTP/1.1", b"HTTP/1.1 HTTP/1.1", b"HTTP/1.1,HTTP/1.1", b"HTTP/1.1;", b"HTTP/1.1\x00", b"\x00HTTP/1.1", b"HTTP/1\x001",
    b"HTTP/1.1\x0b", b"HTTP/1.1\xa0", b"HTTP/\xd9\xa1.\xd9\xa1", b"HTTP/\xef\xbc\x91.1", b"HTTP/1.1\t", b"HTTP/1.1 ", b"HTTP/1.1  ",
    b"HTTP/1.1\r", b"HTTP/1.1 \r", b"HTTP/h.h",
)  # fmt: skip
_SPACES: Final = (
    b"", b"  ", b"   ", b"\t", b" \t", b"\t ", b"\x0b", b"\x0c", b"\r", b"\x00", b"\xa0", b"\x85", b"\x1c", b"\x1f", b"\n", b"\r\n",
    b" \r", b"\r ", b"\xc2\xa0", b"\xe2\x80\x83", b"+", b"%20", b"_",
)  # fmt: skip
_BEFORE: Final = (
    b" ", b"\t", b"  ", b"\n", b"\r", b"\n\n", b"\r\r\n", b"\n\r\n", b"\r\n ", b"\r\n\t", b" \r\n", b"\r\n\n", b"\r\n\r", b"\x00", b"\x00\r\n",
    b"\x0b", b"\x0c", b"\x1a", b"\xef\xbb\xbf", b"\xff\xfe", b"\x7f", b"\x80", b"\xa0", b"X\r\n", b"0\r\n\r\n", b"--\r\n", b"PRI ", b";", b",",
)  # fmt: skip


def _methods() -> Iterator[Case]:
    for method in _METHODS:
        yield case(f"method {method}", method.encode() + b" /open/a HTTP/1.1" + _REST, f"{method} /open/a 0")
    for unknown in _NO_METHODS:
        yield case(f"unknown method {shown(unknown[:20])}", unknown + b" /open/a HTTP/1.1" + _REST + SMUGGLED, 501)
    yield case("method TRACE", b"TRACE /open/a HTTP/1.1" + _REST, 405)
    yield case(
        "method TRACE with a body", b"TRACE /open/a HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", 405
    )
    yield case("no method", b" /open/a HTTP/1.1" + _REST, 400)
    for byte in range(256):
        one = bytes([byte])
        if one not in (b" ", b"\r"):  # which are cases of their own
            gets = 501 if byte in TOKEN_BYTES else 400
            yield case(
                f"{shown(one)} in a method", b"G" + one + b"T /open/a HTTP/1.1" + _REST, gets if one != b"E" else GOT
            )
            yield case(f"{shown(one)} before a method", one + b"GET /open/a HTTP/1.1" + _REST, gets)


def _versions() -> Iterator[Case]:
    for version in _VERSIONS:
        yield case(f"version {shown(version)}", b"GET /open/a " + version + _REST, 505)
    for version in _NO_VERSIONS:
        yield case(f"no version {shown(version)}", b"GET /open/a " + version + _REST + SMUGGLED, 400)
    for byte in range(256):
        one = bytes([byte])
        if byte not in b"\r\n":
            yield case(f"{shown(one)} behind the version", b"GET /open/a HTTP/1.1" + one + _REST, 400)
        if byte not in b"0123456789":
            yield case(f"{shown(one)} in the version", b"GET /open/a HTTP/1." + one + _REST, 400)
    yield case("the simple request of HTTP/0.9", b"GET /open/a\r\n", 400)
    yield case("the simple request of HTTP/0.9, with fields", b"GET /open/a" + _REST, 400)
    yield case("the simple request of HTTP/0.9, with a bare LF", b"GET /open/a\n", 400)
    yield case("HTTP/1.0", b"GET /open/a HTTP/1.0" + _REST, GOT, end="closed")
    yield case("HTTP/1.0, kept alive", b"GET /open/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", GOT)


def _spaces() -> Iterator[Case]:
    for space in _SPACES:
        name = shown(space)
        yield case(f"{name} behind the method", b"GET" + space + b"/open/a HTTP/1.1" + _REST + SMUGGLED, 400)
        yield case(f"{name} behind the target", b"GET /open/a" + space + b"HTTP/1.1" + _REST + SMUGGLED, 400)
        yield case(f"{name} everywhere", b"GET" + space + b"/open/a" + space + b"HTTP/1.1" + _REST + SMUGGLED, 400)
    for before in _BEFORE:
        gets = 501 if before in {b";", b","} else 400
        yield case(f"{shown(before)} before the line", before + GET + b"\r\n" + SMUGGLED, 400 if gets == 501 else gets)
    for count in (1, 2, 3, 8, 16):
        yield case(f"{count} empty lines before the line", b"\r\n" * count + GET + b"\r\n", GOT)
        yield case(f"{count} empty lines between", GET + b"\r\n" + b"\r\n" * count + GET + b"\r\n", GOT, GOT)
    for count in (17, 1000):
        yield case(f"{count} empty lines before the line", ((b"\r\n", count), GET, b"\r\n"), 400)
        yield case(f"{count} empty lines between", (GET, b"\r\n", (b"\r\n", count), GET, b"\r\n"), GOT, 400)
        yield case(f"{count} empty lines, and a byte more", ((b"\r\n", count), b"\r"), 400)
    yield case("empty lines without end", ((b"\r\n", 30_000),), 400)
    yield case("16 empty lines before each of two", ((b"\r\n", 16), GET, (b"\r\n", 17), GET, b"\r\n"), GOT, GOT)
    yield case("a bare LF behind the line", b"GET /open/a HTTP/1.1\n" + HOST + b"\r\n", 400)
    yield case("bare LFs everywhere", b"GET /open/a HTTP/1.1\nHost: a.test\n\n", 400)
    yield case("a bare CR behind the line", b"GET /open/a HTTP/1.1\r" + HOST + b"\r\n", 400)
    yield case("bare CRs everywhere", b"GET /open/a HTTP/1.1\rHost: a.test\r\r", 400)
    yield case("two CRLFs behind the line", b"GET /open/a HTTP/1.1\r\n\r\n" + HOST + b"\r\n", 400)
    yield case("CR CR LF behind the line", b"GET /open/a HTTP/1.1\r\r\n" + HOST + b"\r\n", 400)
    yield case("a folded line", b"GET /open/a\r\n HTTP/1.1" + _REST, 400)


def _other() -> Iterator[Case]:
    yield case(
        "a line of 8192 bytes",
        (b"GET /open/", (b"a", 8192 - 19), b" HTTP/1.1", _REST),
        "GET /open/" + "a" * (8192 - 19) + " 0",
    )
    yield case("a line of 8193 bytes", (b"GET /open/", (b"a", 8193 - 19), b" HTTP/1.1", _REST), 414)
    yield case("a line of 100,000 bytes", (b"GET /open/", (b"a", 100_000), b" HTTP/1.1", _REST), 414)
    yield case("a line without end", (b"GET /open/", (b"a", 100_000)), 414)
    yield case("a method of 9,000 bytes", ((b"G", 9000), b" /open/a HTTP/1.1", _REST), 414)
    yield case("a query of 9,000 bytes", (b"GET /open/a?", (b"a", 9000), b" HTTP/1.1", _REST), 414)
    for name, raw in {
        "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        "the hello of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40, 400),
        "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
        "SMTP": (b"EHLO a.test\r\n", 400),
        "Redis": (b"*1\r\n$4\r\nPING\r\n", 400),
        "Redis inline": (b"PING\r\n", 400),
        "memcached": (b"get a\r\n", 400),
        "FTP": (b"USER a\r\n", 400),
        "PROXY protocol": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + GET + b"\r\n", 400),
        "PROXY protocol 2": (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + b"\x00" * 12 + GET + b"\r\n", 400),
        "a response": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400),
        "JSON": (b'{"a":1}\r\n\r\n', 400),
        "NULs": (b"\x00" * 64, 400),
        "0xff": (b"\xff" * 64, 400),
        "RTSP": (b"DESCRIBE rtsp://a.test RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400),
        "SOCKS 5": (b"\x05\x01\x00", 400),
    }.items():
        yield case(name, raw[0], raw[1])


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (_methods, _versions, _spaces, _other):
        yield from part()
