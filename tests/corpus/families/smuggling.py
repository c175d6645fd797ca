"""Requests within requests, as they were published: each where two readers part, and what hides behind it.

CL.TE, TE.CL and TE.TE (Linhart and others 2005, Kettle 2019), CL.0 (Kettle 2022), 0.CL and `Expect` (Kettle 2025), TE.0
(Medina, Cueto and Olofsson 2024), TERM.EXT and EXT.TERM (Ritter 2025), h2c (Sutherland 2020), hop-by-hop abuse
(Davison 2019), and CVEs of servers where they had the name first. `published` has what is left.
"""

from collections.abc import Iterator
from typing import Final

from tests.corpus.case import Case, case
from tests.corpus.parts import BEARER, CHUNKED, EMPTY, GET, GOT, HELLO, HOST, LENGTH, POST, POSTED, SMUGGLED, shown

_PREFIX: Final = b"GET /open/smuggled HTTP/1.1\r\nX: "
"""The start of a request that would swallow the next one's line."""

_TES: Final = (
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\tchunked", b"Transfer-Encoding:chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding:\x0bchunked", b" Transfer-Encoding: chunked", b"X: X\nTransfer-Encoding: chunked",
    b"X: X\rTransfer-Encoding: chunked", b"X: X\r\n\rTransfer-Encoding: chunked", b"Transfer-Encoding\n: chunked",
    b"Transfer-Encoding\r\n : chunked", b"Transfer-Encoding:\n chunked", b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow",
    b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: \x00chunked",
    b"Transfer-Encoding: chunked\x00", b"Transfer-Encoding: chunk", b"tRANSFER-ENCODING: chunked", b"Transfer_Encoding: chunked",
    b"Transfer Encoding: chunked", b"Transfer-Encoding: 'chunked'", b'Transfer-Encoding: "chunked"', b"Transfer-Encoding:  chunked",
    b"Transfer-Encoding: chunked;ext=1", b"Transfer-Encoding: chunked\t", b"Transfer-Encoding: Chunked", b"TRANSFER-ENCODING: CHUNKED",
    b"Content-Encoding: chunked\r\nTransfer-Encoding: identity", b"Transfer-Encoding: ch\xc3\xbcnked", b"Transfer-\xcfEncoding: chunked",
    b"\x00Transfer-Encoding: chunked", b"Foo: bar\r\n\tTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\n\tfoo",
    b"Transfer-Encoding: ,chunked", b"Transfer-Encoding: chunked,", b"Transfer-Encoding: chunked\r", b"Transfer-Encoding: chunked\xff",
    b"Transfer-\r\nEncoding: chunked", b"X\r\nTransfer-Encoding: chunked", b": X\r\nTransfer-Encoding: chunked", b"X:\rTransfer-Encoding: chunked",
    b"X:\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunkedchunked", b"Transfer-Encoding: chunked,xx", b"Transfer-Encoding: \xffchunked\xff",
    b"Transfer-Encoding: deflate\r\nTransfer-Encoding: chunked", b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    b"Transfer.Encoding: chunked", b"Transfer-Encoding\xa0: chunked", b"Transfer-Encoding: \xef\xbb\xbfchunked",
)  # fmt: skip
_CLS: Final = (
    b"Content-Length: 6", b"Content-Length : 6", b" Content-Length: 6", b"Content-Length:\x0b6", b"Content-Length: +6", b"Content-Length: 6\x00",
    b"Content-Length: 0\r\nContent-Length: 6", b"Content-Length: 6\r\nContent-Length: 0", b"Content-Length: 0, 6", b"Content-Length\x00: 6",
    b"X: y\nContent-Length: 6", b"X: y\rContent-Length: 6", b"Content_Length: 6", b"Content.Length: 6", b"Content Length: 6", b"Content-Length: 6 6",
    b"Content-Length:\r\n 6", b"X: y\r\n Content-Length: 6", b"Content-Length: 0x6", b"Content-Length: 6;", b"Content-Length: 6_", b"Content-Length: ",
    b"Content-Length\r\n: 6", b"Content-Length: 6\r\n ", b'Content-Length: "6"', b"\x00Content-Length: 6", b"Content-Length: -6", b"Content-Length: 6.0",
)  # fmt: skip


def _kettle() -> Iterator[Case]:
    """CL.TE and TE.CL, with every published way to hide the coding."""
    for coding in _TES:
        name = shown(coding)
        yield case(f"CL.TE {name}", POST + b"Content-Length: 6\r\n" + coding + b"\r\n\r\n0\r\n\r\n" + _PREFIX, 400)
        yield case(
            f"CL.TE, coding first, {name}", POST + coding + b"\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + _PREFIX, 400
        )
        inner = SMUGGLED.replace(b"\r\n\r\n", b"\r\nContent-Length: 15\r\n\r\nx=1\r\n0\r\n\r\n")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)
        yield case(f"TE.CL {name}", POST + b"Content-Length: 4\r\n" + coding + b"\r\n\r\n" + body, 400)
        yield case(f"TE.TE {name}", POST + CHUNKED + coding + b"\r\n\r\n" + HELLO + SMUGGLED, 400)
        yield case(f"TE.TE, hidden first, {name}", POST + coding + b"\r\n" + CHUNKED + b"\r\n" + HELLO + SMUGGLED, 400)


def _zero() -> Iterator[Case]:
    """CL.0, 0.CL, TE.0: one reader takes no body at all."""
    hidden = b"GET /open/smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
    size = len(hidden)
    for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"POST", b"PUT"):
        start = method + b" /open/a HTTP/1.1\r\n" + HOST
        name = method.decode()
        yield case(f"CL.0 {name}", start + b"Content-Length: %d\r\n\r\n" % size + hidden, f"{name} /open/a {size}")
        yield case(f"CL.0 {name}, kept alive", start + b"Connection: keep-alive\r\nContent-Length: %d\r\n\r\n" % size + hidden,
                   f"{name} /open/a {size}")  # fmt: skip
        yield case(
            f"TE.0 {name}", start + CHUNKED + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, hidden), f"{name} /open/a {size}"
        )
        yield case(
            f"TE.0 {name}, 0 first",
            start + CHUNKED + b"\r\n0\r\n\r\n" + hidden,
            f"{name} /open/a 0",
            "GET /open/smuggled 0",
        )
        yield case(
            f"CL 0 {name}", start + b"Content-Length: 0\r\n\r\n" + hidden, f"{name} /open/a 0", "GET /open/smuggled 0"
        )
        for length in _CLS[1:]:
            yield case(f"0.CL {name} {shown(length)}", start + length + b"\r\n\r\n" + hidden, 400)
    for length in _CLS:
        gets = ("POST /open/a 6",) if length == _CLS[0] else (400,)
        yield case(f"CL.CL {shown(length)}", POST + length + b"\r\n\r\nhello!", *gets)
        yield case(f"CL beside {shown(length)}", POST + LENGTH + length + b"\r\n\r\nhello!" + SMUGGLED, 400)
    yield case(
        "a refused path with a body",
        b"POST /open//a HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size + hidden,
        400,
    )
    yield case(
        "no token, with a body",
        b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size + hidden,
        401,
        end="open",
    )
    yield case("no token, in chunks", b"POST /x HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, hidden), 401,
               end="open")  # fmt: skip
    yield case("a static answer to a body", b"POST /hello HTTP/1.1\r\n" + HOST + BEARER + b"Content-Length: %d\r\n\r\n" % size + hidden,
               200)  # fmt: skip


def _extensions() -> Iterator[Case]:
    """Where one reader sees a line end in a chunk extension and another does not (CVE-2025-22871, CVE-2025-27520)."""
    for end in (b"\n", b"\r", b"\rX", b"\n\n", b"\nX\r\n", b"\x0b", b"\x85", b"\x00", b"\r\r\n"):
        name = shown(end)
        yield case(
            f"TERM.EXT {name}",
            POST + CHUNKED + b"\r\n2;" + end + b"xx\r\n45\r\n0\r\n\r\n" + SMUGGLED + b"0\r\n\r\n",
            400,
        )
        yield case(f"EXT.TERM {name}", POST + CHUNKED + b"\r\n45;a=" + end + b"\r\nab\r\n0\r\n\r\n" + SMUGGLED, 400)
        yield case(
            f"TERM.SPILL {name}", POST + CHUNKED + b"\r\n5\r\nhello" + end + b"2\r\nxx\r\n0\r\n\r\n" + SMUGGLED, 400
        )
        yield case(
            f"SPILL.TERM {name}", POST + CHUNKED + b"\r\n5\r\nhello\r\n" + end + b"\r\n0\r\n\r\n" + SMUGGLED, 400
        )
        yield case(f"last chunk with {name}", POST + CHUNKED + b"\r\n0;a" + end + b"b\r\n\r\n" + SMUGGLED, 400)
        yield case(f"a trailer with {name}", POST + CHUNKED + b"\r\n0\r\nX: y" + end + b"GET /open/smuggled HTTP/1.1\r\n\r\n", 400
                   if end != b"\x85" else EMPTY)  # fmt: skip


def _expect() -> Iterator[Case]:
    for value in (b"100-continue", b"100-Continue", b"100-CONTINUE", b" 100-continue ", b",100-continue", b", 100-continue", b"100-continue,",
                  b"100-continue ,\t, ", b"", b" ", b",", b" , ,\t"):  # fmt: skip
        line = b"Expect:" + value + b"\r\n"
        yield case(f"Expect:{shown(value)}", POST + line + LENGTH + b"\r\nhello", POSTED)
        yield case(f"Expect:{shown(value)} in chunks", POST + line + CHUNKED + b"\r\n" + HELLO, POSTED)
        yield case(f"Expect:{shown(value)} without a body", GET + line + b"\r\n", GOT)
        yield case(
            f"Expect:{shown(value)} in HTTP/1.0",
            b"POST /open/a HTTP/1.0\r\n" + line + LENGTH + b"\r\nhello",
            POSTED,
            end="closed",
        )
    for value in (b"y 100-continue", b"100-continue y", b"100", b"x", b"x,", b",x", b"100-continue, x", b"100-continue,100-continue", b"101-switching",
                  b"200-ok", b"100 continue", b"100_continue", b'"100-continue"', b"100-continue;q=1", b"x 100-continue", b"\xa0100-continue",
                  b",100-continue;", b";", b"100-continue;,"):  # fmt: skip
        line = b"Expect: " + value + b"\r\n"
        yield case(f"unknown Expect: {shown(value)}", POST + line + LENGTH + b"\r\nhello" + SMUGGLED, 417)
        yield case(f"unknown Expect: {shown(value)} without a body", GET + line + b"\r\n" + SMUGGLED, 417)
    for line in (b"Expect:\r\n 100-continue\r\n", b"Expect : 100-continue\r\n", b" Expect: 100-continue\r\n", b"Expect: 100-continue\x00\r\n",
                 b"Expect: 100-continue\r\nExpect: 100-continue\r\n", b"Expect: x\r\nExpect: 100-continue\r\n", b"X: y\nExpect: 100-continue\r\n"):  # fmt: skip
        yield case(f"Expect {shown(line)}", POST + line + LENGTH + b"\r\nhello" + SMUGGLED, 400)
    yield case(
        "Expect with both framings", POST + b"Expect: 100-continue\r\n" + LENGTH + CHUNKED + b"\r\n" + HELLO, 400
    )


def _upgrade() -> Iterator[Case]:
    for upgrade in (b"h2c", b"HTTP/2.0", b"TLS/1.0", b"x", b"websocketx", b"h2c, websocketx", b"connect-ip", b""):
        line = (
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: "
            + upgrade
            + b"\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
        )
        yield case(f"Upgrade: {shown(upgrade)}", GET + line + b"\r\n", GOT)
        yield case(
            f"Upgrade: {shown(upgrade)} and a request", GET + line + b"\r\n" + SMUGGLED, GOT, "GET /open/smuggled 0"
        )
        yield case(
            f"Upgrade: {shown(upgrade)} with a body",
            POST + line + LENGTH + b"\r\nhello" + SMUGGLED,
            POSTED,
            "GET /open/smuggled 0",
        )
        yield case(
            f"Upgrade: {shown(upgrade)} and the preface", GET + line + b"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", GOT, 505
        )
        yield case(f"Upgrade: {shown(upgrade)} without Connection", GET + b"Upgrade: " + upgrade + b"\r\n\r\n" + SMUGGLED, GOT,
                   "GET /open/smuggled 0")  # fmt: skip


def _websocket() -> Iterator[Case]:
    """A handshake that one reader takes for one and another does not (Emelyanov 2019): nothing behind it is a request."""
    asks = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    key, version = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"Sec-WebSocket-Version: 13\r\n"
    for fields in (b"", key, b"Sec-WebSocket-Key: x\r\n", key + b"Sec-WebSocket-Version: 777\r\n"):
        yield case(
            f"a handshake with {shown(fields[:40])} {len(fields)}", GET + asks + fields + b"\r\n" + SMUGGLED, 426
        )
        yield case(f"a POST with {shown(fields[:40])} {len(fields)}", POST + asks + fields + b"\r\n" + SMUGGLED, 400)
    yield case("a handshake with a length", GET + asks + key + version + LENGTH + b"\r\nhello" + SMUGGLED, 400)
    yield case("a handshake in chunks", GET + asks + key + version + CHUNKED + b"\r\n" + HELLO + SMUGGLED, 400)
    yield case(
        "a handshake that is answered with 200", GET + asks + key + version + b"\r\n" + SMUGGLED, GOT, end="closed"
    )


def _misc() -> Iterator[Case]:
    yield case("a second line in the target", b"GET /open/a?b=\r\nX: y HTTP/1.1\r\n" + HOST + b"\r\n", 400)
    yield case("a request line for a field", GET + b"GET /open/smuggled HTTP/1.1\r\n\r\n", 400)
    yield case("a field that is a request", GET + b"GET http://a.test/open/smuggled HTTP/1.1\r\n\r\n", 400)
    yield case("a response for a request", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + SMUGGLED, 400)
    yield case("double Host hidden by folding", b"GET /open/a HTTP/1.1\r\nHost: a.test\r\n Host: b.test\r\n\r\n", 400)
    yield case("Host behind a bare LF", b"GET /open/a HTTP/1.1\nHost: b.test\r\nHost: a.test\r\n\r\n", 400)
    yield case(
        "fields before the Host by a bare CR", b"GET /open/a HTTP/1.1\rHost: b.test\r\nHost: a.test\r\n\r\n", 400
    )
    yield case("a NUL before the request", b"\x00" + GET + b"\r\n", 400)
    yield case("a byte behind the body", POST + LENGTH + b"\r\nhelloGET /open/smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n", POSTED,
               "GET /open/smuggled 0")  # fmt: skip
    yield case("CRLF behind the body", POST + LENGTH + b"\r\nhello\r\n" + SMUGGLED, POSTED, "GET /open/smuggled 0")
    yield case("a bare LF behind the body", POST + LENGTH + b"\r\nhello\n" + SMUGGLED, POSTED, 400)
    yield case("a space behind the body", POST + LENGTH + b"\r\nhello " + SMUGGLED, POSTED, 400)
    for name in (b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization", b"Cookie", b"X-Forwarded-For"):
        line = b"Connection: close, " + name + b"\r\n"
        yield case(f"hop by hop {name.decode()}", POST + LENGTH + line + b"\r\nhello" + SMUGGLED, POSTED, end="closed")
        yield case(
            f"hop by hop {name.decode()} in chunks",
            POST + CHUNKED + line + b"\r\n" + HELLO + SMUGGLED,
            POSTED,
            end="closed",
        )
    for option in (
        b"close",
        b"Close",
        b"CLOSE",
        b"close, keep-alive",
        b"keep-alive, close",
        b"x,close",
        b",close",
        b"close ,",
        b"\tclose\t",
    ):
        yield case(
            f"a request behind Connection:{shown(option)}",
            GET + b"Connection:" + option + b"\r\n\r\n" + SMUGGLED,
            GOT,
            end="closed",
        )
    for option in (b"clos", b"closed", b"close;", b'"close"', b"close x", b"x-close", b"keep-alive", b"x"):
        yield case(
            f"a request behind Connection:{shown(option)}",
            GET + b"Connection: " + option + b"\r\n\r\n" + SMUGGLED,
            GOT,
            "GET /open/smuggled 0",
        )
    yield case("HTTP/1.0 and a request behind", b"GET /open/a HTTP/1.0\r\n\r\n" + SMUGGLED, GOT, end="closed")
    for trailer in (
        b"Content-Length: 50",
        b"Transfer-Encoding: identity",
        b"Host: b.test",
        b"Authorization: Bearer x",
        b"X-Auth-User-Id: root",
    ):
        for announced in (
            b"",
            b"Trailer: " + trailer.partition(b":")[0] + b"\r\n",
            b"TE: trailers\r\nConnection: TE\r\n",
        ):
            raw = POST + announced + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n" + SMUGGLED
            yield case(f"trailer merge {shown(announced[:8])} {shown(trailer)}", raw, POSTED, "GET /open/smuggled 0")


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (_kettle, _zero, _extensions, _expect, _upgrade, _websocket, _misc):
        yield from part()
