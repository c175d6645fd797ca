"""What other servers were broken by, and their projects published since, where no other family has it.

CVEs by their numbers, what the HTTP Garden found (Kallus and others, 2023 to 2025), the lists of Go, llhttp and aiohttp,
and fields that one reader sees and another does not (Kettle 2025).
"""

from collections.abc import Iterator

from tests.corpus.case import Case, case
from tests.corpus.parts import CHUNKED, GET, HELLO, HOST, LENGTH, POST, POSTED, SMUGGLED, shown


def _lengths() -> Iterator[Case]:
    # HAProxy, CVE-2021-40346: the length of a name in eight bits, so that what is left of it is another name
    for name in (b"Content-Length", b"Transfer-Encoding", b"Host"):
        for size in (256, 512, 4096):
            long = (name + b"0").ljust(size + len(name), b"a")
            raw = POST + long + b":\r\n" + LENGTH + b"\r\nhello" + SMUGGLED
            yield case(f"{name.decode()} and {size} letters", raw, POSTED, "GET /open/smuggled 0")
    # HAProxy, CVE-2023-40225; WEBrick: an empty length before or behind a whole one
    for lines in (b"Content-Length:\r\n" + LENGTH, LENGTH + b"Content-Length: \r\n", b"Content-Length:\r\n" * 2):
        yield case(f"empty lengths {shown(lines)}", POST + lines + b"\r\nhello" + SMUGGLED, 400)
    # HAProxy, CVE-2023-25725; Mongoose: a field without a name ends the head, to some
    for line in (b":\r\n", b": x\r\n", b":\r\n:\r\n", b"\r:\r\n", b" :\r\n"):
        yield case(f"nameless {shown(line)} before a length", POST + line + LENGTH + b"\r\nhello" + SMUGGLED, 400)
        yield case(f"nameless {shown(line)} behind a length", POST + LENGTH + line + b"\r\nhello" + SMUGGLED, 400)
    # OpenLiteSpeed: a length that begins with 0 is octal, to some; what goes on does not
    for length, size in ((b"010", 10), (b"08", 8), (b"0011", 11), (b"00", 0), (b"000", 0)):
        body = b"x" * size
        yield case(f"length {shown(length)} is decimal", POST + b"Content-Length: %b\r\n\r\n" % length + body + SMUGGLED,
                   f"POST /open/a {size}", "GET /open/smuggled 0")  # fmt: skip


def _ends() -> Iterator[Case]:
    # Undertow, CVE-2025-12543 and its kind: CRs for an empty line
    for end in (
        b"\r\r\r",
        b"\r\n\r\r",
        b"\r\r\n\r\n",
        b"\n\r\n\r",
        b"\r\n\rX",
        b"\r\n\rZGET /evil: HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        raw = GET.removesuffix(b"\r\n") + end + SMUGGLED
        yield case(f"a head that ends in {shown(end)}", raw, 400)
    # Akamai, ATS, Node.js: a CR in the white space around an extension, and what it hides
    for size in (b"5\r\r;a", b"5\r;a", b"5;\r\ra", b"5;a=b\r\r", b"5 \r;a", b"2\r\r;a\r\n02", b"5;a\r=b", b"5;a=\rb"):
        yield case(
            f"CR in the extension {shown(size)}",
            POST + CHUNKED + b"\r\n" + size + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
            400,
        )
    yield case("a last chunk that begins behind a CR", POST + CHUNKED + b"\r\n1\r0\n" + SMUGGLED, 400)
    yield case("bad bytes for chunks", POST + CHUNKED + b"\r\nZ\r\nZZ\r\nZZZ\r\n\r\n" + SMUGGLED, 400)
    yield case("an empty size for the last", POST + CHUNKED + b"\r\n\r\n\r\n" + SMUGGLED, 400)
    # Puma, CVE-2023-40175: any two bytes for the end of the trailers
    for trailer in (b"X:GET /open/smuggled HTTP/1.1", b"X:\tGET /open/smuggled HTTP/1.1", b"X:"):
        raw = POST + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n"
        yield case(f"a trailer {shown(trailer)}", raw + SMUGGLED, POSTED, "GET /open/smuggled 0")
    # OpenBSD's httpd: a byte behind a body in chunks
    for byte in (b"\x00", b"\n", b" ", b"\xff"):
        yield case(f"{shown(byte)} behind chunks", POST + CHUNKED + b"\r\n" + HELLO + byte + SMUGGLED, POSTED, 400)
    yield case("a letter behind chunks", POST + CHUNKED + b"\r\n" + HELLO + b"X" + SMUGGLED, POSTED, 501)
    # Go, CVE-2023-39326; Node.js, CVE-2024-22019; Puma, CVE-2024-21647: extensions that weigh more than the content
    heavy = (POST + CHUNKED + b"\r\n", (b"1;" + b"a" * 900 + b"\r\nx\r\n", 17), b"0\r\n\r\n")
    yield case("extensions of 15,000 bytes together", heavy, "POST /open/a 17")
    heavier = (POST + CHUNKED + b"\r\n", (b"1;" + b"a" * 900 + b"\r\nx\r\n", 1000), b"0\r\n\r\n")
    yield case("extensions of 900,000 bytes together", heavier, 400)


def _lines() -> Iterator[Case]:
    # Go's and aiohttp's own lists
    for line in (b"GET ../../../../etc/passwd HTTP/1.1", b"GET  HTTP/1.1", b"GET ! HTTP/1.1", b"NOTIFY * HTTP/1.1", b'G=":<>(e),[T];?" /get HTTP/1.1',
                 b"\x00 / HTTP/............0596.7407.", b"GET / HTTP/4294967295.255", b"GET / HTTP/1.32", b"GET / HTTP/\r\r1.1", b"GET /\nHTTP/1.1",
                 b"GET //user@host/is/actually/a/path/ HTTP/1.1", b"PUT /music ICE/1.0", b"GET /music IHTTP/1.0", b"GET /a:b/\xce\xb4 HTTP/1.1"):  # fmt: skip
        yield case(f"a line {shown(line)}", line + b"\r\n" + HOST + b"\r\n" + SMUGGLED, 400)
    for host in (
        b"a.test\x00.b.test",
        b"\xffa.test\xff",
        b"0.0.0.0=5000",
        b"[]%20%48%54%54%50",
        b"a.test\\b.test",
        b"a.test:80@b.test",
        b"a.test;b",
    ):
        yield case(f"a Host {shown(host)}", b"GET /open/a HTTP/1.1\r\nHost: " + host + b"\r\n\r\n" + SMUGGLED, 400)


def _masked() -> Iterator[Case]:
    """Visible to one reader and hidden from another (Kettle 2025): whoever hides a field is not served."""
    for name, value in (
        (b"Content-Length", b"5"),
        (b"Host", b"b.test"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Expect", b"100-continue"),
    ):
        body = HELLO if name == b"Transfer-Encoding" else b"hello"
        for mask in (b"\n%b: %b", b"\r%b: %b", b"X: y\n%b: %b", b"X: y\n\n%b: %b", b"X: y\r%b: %b", b"X: y\x00%b: %b", b"X: y\r\n %b: %b", b"X: y\r\n\t%b: %b",
                     b"X\r\n%b: %b", b"%b\r\n: %b", b"%b:\n %b", b"%b:\r\n\t%b", b"%b\x01: %b", b"%b\xad: %b", b"\x1f%b: %b", b"%b : %b", b"%b\t: %b", b"%b\x0c: %b"):  # fmt: skip
            raw = b"POST /open/a HTTP/1.1\r\n" + (b"" if name == b"Host" else HOST) + mask % (name, value) + b"\r\n\r\n"
            yield case(f"masked {shown(mask % (name, value))}", raw + body + SMUGGLED, 400)
            yield case(f"masked {shown(mask % (name, value))} first",
                       b"POST /open/a HTTP/1.1\r\n" + mask % (name, value) + b"\r\n" + HOST + b"\r\n" + body + SMUGGLED, 400)  # fmt: skip


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (_lengths, _ends, _lines, _masked):
        yield from part()
