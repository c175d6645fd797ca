"""Where the body ends: `Content-Length` and `Transfer-Encoding` in every state, alone, twice and together."""

from collections.abc import Iterator
from typing import Final

from tests.corpus.case import Case, case
from tests.corpus.parts import CHUNKED, EMPTY, GET, GOT, HELLO, HOST, LENGTH, POST, POSTED, SMUGGLED, shown

_BODY: Final = b"hello"

_LENGTHS: Final = (b"5", b"05", b"0000000005", b" 5", b"5 ", b"\t5\t", b"   5   ")
_NO_LENGTHS: Final = (
    b"", b" ", b"+5", b"-5", b"--5", b"- 5", b"+ 5", b"5+", b"5-", b"5,5", b"5, 5", b"5,", b",5", b", 5", b"5,6", b"6,5",
    b"5;5", b"5;", b"5 5", b"5\t5", b"0 5", b"0x5", b"0X5", b"x5", b"5x", b"a", b"5a", b"a5", b"0b101", b"0o5", b"5h",
    b"5.0", b"5.", b".5", b"5e0", b"1e1", b"5E0", b"5_0", b"_5", b"5_", b'"5"', b"'5'", b"(5)", b"5()", b"#5", b"5%20",
    b"%35", b"\\5", b"5\\r\\n", b"NaN", b"nan", b"inf", b"Infinity", b"null", b"None", b"true", b"chunked",
    b"\xb2", b"\xd9\xa5", b"\xef\xbc\x95", b"5\xa0", b"\xa05", b"5\xc2\xa0", b"\xe2\x80\x8b5", b"\xef\xbb\xbf5",
    b"5\x0b", b"\x0b5", b"5\x0c", b"\x0c5", b"5\x00", b"\x005", b"5\x1f", b"5\x7f", b"5\x85", b"5\r", b"\r5", b"5\n",
    b"5\r\n 5", b"\r\n 5", b"5\r\n ", b"5\n 5", b"1000000000000000000", b"9223372036854775807",
    b"9223372036854775808", b"9223372036854775813", b"18446744073709551615", b"18446744073709551616",
    b"18446744073709551621", b"4294967301 ,", b"99999999999999999999999999999999", b"-18446744073709551611",
    b"0" * 30 + b"5", b"-0", b"+0", b"00x5", b"5 HTTP/1.1", b"5: 5",
)  # fmt: skip
_TOO_LONG: Final = (b"1000001", b"4294967296", b"4294967301", b"2147483648", b"999999999999999999", b"0999999999999999")

_CODINGS: Final = (b"chunked", b"Chunked", b"CHUNKED", b"cHuNkEd", b" chunked", b"chunked ")
_NO_CODINGS: Final = (
    b"chunked\t", b"", b" ", b"xchunked", b"chunkedx", b"chunke", b"hunked", b"chunk", b"x", b"cow", b"0", b"5", b"null", b"none",
    b"identity", b"Identity", b"gzip", b"x-gzip", b"deflate", b"compress", b"br", b"trailers", b"chunked-foo",
    b"chunked, gzip", b"chunked,chunked", b"chunked, chunked", b"chunked, identity",
    b"identity, chunked", b"chunked, cow", b"chunked, trailers", b",chunked", b", chunked", b"chunked,",
    b"chunked, ", b",", b",,chunked", b"chunked;", b"chunked;q=1", b"chunked; q=0", b";chunked", b'"chunked"',
    b"'chunked'", b'"chunked', b"[chunked]", b"(chunked)", b"chunked()", b"<chunked>", b"chunked=1", b"=chunked",
    b": chunked", b"chunked:", b"chunked\\", b"\\chunked", b"%63hunked", b"chun%6bed", b"chunked chunked", b"chunked x",
    b"x chunked", b"chun ked", b"chunked\tx", b"chunked\x00", b"\x00chunked", b"ch\x00unked", b"\x01chunked",
    b"chunked\x01", b"\x0bchunked", b"chunked\x0b", b"\x0cchunked", b"chunked\x0c", b"\x1fchunked", b"chunked\x1f",
    b"chunked\x7f", b"\x7fchunked", b"\x85chunked", b"chunked\x85", b"\xa0chunked", b"chunked\xa0", b"\xffchunked",
    b"chunked\xff", b"chun\xe2\x84\xaaed", b"\xef\xbb\xbfchunked", b"\xe2\x80\x8bchunked", b"chunked\xe2\x80\x8b",
    b"chunked\r", b"\rchunked", b"chunked\n", b"\nchunked", b"\r\n chunked", b"\r\n\tchunked", b"chunked\r\n ",
    b"identity\r\n chunked", b"x\r\n chunked", b"chunked\r\n x", b"\r\n\r\n chunked", b"chunked\n x", b"\n chunked",
)  # fmt: skip

# Whole, in chunks, and in a way that is not understood here (RFC 9112, 6.1); and what differs from that by one slip.
_OTHER_CODINGS: Final = (
    b"gzip, chunked", b"gzip,chunked", b"gzip ,\t chunked", b"GZIP, Chunked", b"cow, chunked", b"deflate, gzip, chunked",
    b"xchunked, chunked", b"chunkedx,chunked", b"identityx, chunked",
)  # fmt: skip
_NO_OTHER_CODINGS: Final = (
    b"gzip, chunked, chunked", b"chunked, gzip, chunked", b"gzip, chunked ,chunked", b"gzip, Chunked, chunked",
    b"gzip, identity, chunked", b"Identity ,chunked", b"gzip,, chunked", b",gzip, chunked", b"gzip, chunked,",
    b"gzip, chunked, gzip", b"gzip, chunked;q=1", b"gzip;q=1, chunked", b"gzip chunked", b"gzip; chunked", b'"gzip", chunked',
    b"gzip, xchunked", b"gzip, chunkedx", b"g\x0bzip, chunked", b"gzip,\x0bchunked", b"gzip\xff, chunked", b"gzip, chunked\t",
    b"gzip,\r\n chunked", b"gzip,\n chunked",
)  # fmt: skip

_MISSPELT: Final = (
    b"%b ", b"%b\t", b" %b", b"\t%b", b"\x00%b", b"%b\x00", b"\x0b%b", b"%b\x0b", b"%b\x0c", b"%b\r", b"\r%b", b"%b\x7f",
    b"\x80%b", b"%b\xa0", b"\xef\xbb\xbf%b", b"%b\xe2\x80\x8b", b'"%b"', b"(%b)", b"%b,", b"%b;", b"%b=", b"%b/", b"/%b",
    b"%b\\", b"@%b", b"[%b]", b"{%b}", b"x y %b",
)  # fmt: skip


def _alone() -> Iterator[Case]:
    for value in _LENGTHS:
        yield case(f"length {shown(value)}", POST + b"Content-Length:%b\r\n\r\nhello" % value, POSTED)
    for value in _NO_LENGTHS:
        yield case(f"no length {shown(value)}", POST + b"Content-Length: %b\r\n\r\nhello" % value, 400)
    for value in _TOO_LONG:
        yield case(f"length {shown(value)}", POST + b"Content-Length: %b\r\n\r\nhello" % value, 413)
    for value in _CODINGS:
        yield case(f"coding {shown(value)}", POST + b"Transfer-Encoding:%b\r\n\r\n" % value + HELLO, POSTED)
    for value in _OTHER_CODINGS:
        yield case(f"coding {shown(value)}", POST + b"Transfer-Encoding: %b\r\n\r\n" % value + HELLO + SMUGGLED, 501)
        older = b"POST /open/a HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: %b\r\n\r\n" % value
        yield case(f"coding {shown(value)} in HTTP/1.0", older + HELLO + SMUGGLED, 400)
    for value in (*_NO_CODINGS, *_NO_OTHER_CODINGS):
        yield case(f"no coding {shown(value)}", POST + b"Transfer-Encoding: %b\r\n\r\n" % value + HELLO, 400)


def _together() -> Iterator[Case]:
    """Both, in either order, well formed or not: RFC 9112, 6.1 and 6.3 let a server refuse it, so it is refused."""
    lengths = (b"5", b"0", b"05", b"15", b"+5", b"5, 5", b"0x5", b"", b"-1")
    codings = (
        b"chunked",
        b"Chunked",
        b"identity",
        b"xchunked",
        b"gzip, chunked",
        b"chunked, identity",
        b"",
        b"\x0bchunked",
    )
    for length in lengths:
        for coding in codings:
            first, second = b"Content-Length: %b\r\n" % length, b"Transfer-Encoding: %b\r\n" % coding
            name = f"{shown(length)} with {shown(coding)}"
            yield case(f"length {name}", POST + first + second + b"\r\n" + HELLO + SMUGGLED, 400)
            yield case(f"coding first, {name}", POST + second + first + b"\r\n" + HELLO + SMUGGLED, 400)
    for between in (b"X: y\r\n", b"X: y\r\n" * 30, b"Connection: close\r\n", b"Connection: Content-Length\r\n"):
        name = shown(between[:20])
        yield case(f"both around {name}", POST + LENGTH + between + CHUNKED + b"\r\n" + HELLO, 400)
        yield case(f"both, coding first, around {name}", POST + CHUNKED + between + LENGTH + b"\r\n" + HELLO, 400)


def _twice() -> Iterator[Case]:
    lines = {"5": b"Content-Length: 5\r\n", "6": b"Content-Length: 6\r\n", "0": b"Content-Length: 0\r\n",
             "lower": b"content-length: 5\r\n", "bad": b"Content-Length: x\r\n"}  # fmt: skip
    for one, first in lines.items():
        for other, second in lines.items():
            yield case(f"lengths {one} and {other}", POST + first + second + b"\r\nhello" + SMUGGLED, 400)
    yield case("length three times", POST + LENGTH * 3 + b"\r\nhello", 400)
    codings = {name: b"Transfer-Encoding: %b\r\n" % name.encode() for name in ("chunked", "identity", "gzip", "x", "")}
    codings["lower"] = b"transfer-encoding: chunked\r\n"
    for one, first in codings.items():
        for other, second in codings.items():
            yield case(f"codings {one} and {other}", POST + first + second + b"\r\n" + HELLO + SMUGGLED, 400)


def _named() -> Iterator[Case]:
    """The names, in every other spelling."""
    for name, rest in ((b"Content-Length", b": 5\r\n\r\nhello"), (b"Transfer-Encoding", b": chunked\r\n\r\n" + HELLO)):
        for spelling in (name.lower(), name.upper(), name.swapcase()):
            yield case(f"spelt {shown(spelling)}", POST + spelling + rest, POSTED)
        for pattern in _MISSPELT:
            spelling = pattern % name
            yield case(f"misspelt {shown(spelling)}", POST + spelling + rest + SMUGGLED, 400)
            if not spelling.startswith((b" ", b"\t")):
                yield case(
                    f"misspelt beside the other {shown(spelling)}", POST + LENGTH + spelling + rest + SMUGGLED, 400
                )
        for joint in (b"_", b".", b" ", b"\x00", b"\x80"):
            spelling = name.replace(b"-", joint)
            yield case(f"misspelt {shown(spelling)}", POST + spelling + rest + SMUGGLED, 400)
        for other in (b"X-" + name, name + b"-X", name[:-1], name.replace(b"-", b"--"), name.replace(b"-", b"")):
            yield case(
                f"another name {shown(other)}", POST + other + rest.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", EMPTY
            )


def _by_method() -> Iterator[Case]:
    for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PUT", b"PATCH", b"QUERY", b"PROPFIND", b"POST"):
        start = method + b" /open/a HTTP/1.1\r\n" + HOST
        name = method.decode()
        yield case(f"{name} with a length", start + LENGTH + b"\r\nhello", f"{name} /open/a 5")
        yield case(f"{name} with length 0", start + b"Content-Length: 0\r\n\r\n", f"{name} /open/a 0")
        yield case(f"{name} in chunks", start + CHUNKED + b"\r\n" + HELLO, f"{name} /open/a 5")
        yield case(f"{name} in no chunks", start + CHUNKED + b"\r\n0\r\n\r\n", f"{name} /open/a 0")
        yield case(f"{name} with neither", start + b"\r\n", f"{name} /open/a 0")
        yield case(f"{name} with both", start + LENGTH + CHUNKED + b"\r\n" + HELLO, 400)


def _older() -> Iterator[Case]:
    """RFC 9112, 6.1: HTTP/1.0 knows no transfer codings, so one that names one was framed by somebody else."""
    older = b"POST /open/a HTTP/1.0\r\n"
    keep = b"Connection: keep-alive\r\n"
    for fields, name in ((b"", "bare"), (HOST, "with Host"), (HOST + keep, "kept alive")):
        yield case(f"HTTP/1.0 {name} in chunks", older + fields + CHUNKED + b"\r\n" + HELLO, 400)
        yield case(f"HTTP/1.0 {name} with both", older + fields + LENGTH + CHUNKED + b"\r\n" + HELLO, 400)
        end: str = "open" if fields.endswith(keep) else "closed"
        for length, gets in ((LENGTH + b"\r\nhello", POSTED), (b"\r\n", EMPTY)):
            yield Case(f"HTTP/1.0 {name} {shown(length[:8])}", ((older + fields + length).decode(),), (gets,), end)  # type: ignore[arg-type]
    yield case("HTTP/1.0 with identity", older + b"Transfer-Encoding: identity\r\n\r\nhello", 400)


def _unfinished() -> Iterator[Case]:
    for name, raw in {
        "a shorter body": POST + LENGTH + b"\r\nhell",
        "no body": POST + LENGTH + b"\r\n",
        "no last chunk": POST + CHUNKED + b"\r\n5\r\nhello\r\n",
        "no end of the chunk": POST + CHUNKED + b"\r\n5\r\nhello",
        "no end of the trailers": POST + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n",
        "half an end of the trailers": POST + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r",
        "a chunk cut short": POST + CHUNKED + b"\r\n5\r\nhel",
        "half a size": POST + CHUNKED + b"\r\n5",
        "half a head": POST + LENGTH,
        "half a line": b"POST /open/a HT",
        "a CR": GET + b"\r",
        "nothing but empty lines": b"\r\n\r\n",
    }.items():
        yield case(f"unfinished: {name}", raw, end="waits")
    yield case("a longer body is the next request", POST + LENGTH + b"\r\nhello!" + SMUGGLED, POSTED, 501)
    yield case("a body that looks like a request", POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
               f"POST /open/a {len(SMUGGLED)}")  # fmt: skip
    yield case("no length, so no body", POST + b"\r\n" + SMUGGLED, EMPTY, "GET /open/smuggled 0")
    yield case("no length, so what follows is no request", POST + b"\r\nhello\r\n\r\n", EMPTY, 400)
    yield case("GET without a body", GET + b"\r\n", GOT)


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (_alone, _together, _twice, _named, _by_method, _older, _unfinished):
        yield from part()
