"""What the parser refuses by itself, and what it lets pass: the gate relies on the first and refuses the second."""

import httptools
import pytest

START = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


class _Seen:
    def __init__(self) -> None:
        self.complete = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        pass

    def on_headers_complete(self) -> None:
        self.complete += 1


def _accepts(raw: bytes) -> bool:
    seen = _Seen()
    try:
        httptools.HttpRequestParser(seen).feed_data(raw)
    except httptools.HttpParserUpgrade:
        return seen.complete == 1
    except httptools.HttpParserError:
        return False
    return seen.complete == 1


REFUSED = {
    "bare LF after the version": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF after a field": START + b"X: b\nY: c\r\n\r\n",
    "bare LF at the end": START + b"\n",
    "bare CR in a value": START + b"X: a\rb\r\n\r\n",
    "bare CR before CRLF": START + b"X: a\r\r\n\r\n",
    "CR in the request line": b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
    "folded with a space": START + b"X: a\r\n b\r\n\r\n",
    "folded with a tab": START + b"X: a\r\n\tb\r\n\r\n",
    "folded before the first field": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "folded empty value": START + b"X:\r\n b\r\n\r\n",
    "space before the colon": START + b"X : a\r\n\r\n",
    "tab before the colon": START + b"X\t: a\r\n\r\n",
    "space in a name": START + b"X y: a\r\n\r\n",
    "no colon": START + b"X\r\n\r\n",
    "empty name": START + b": a\r\n\r\n",
    "non-ASCII name": START + b"X\x80: a\r\n\r\n",
    "tab between the parts of the request line": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "space after the version": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "lower-case HTTP": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "non-ASCII target": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 1, 1\r\n\r\n",
    "length with a sign": POST + b"Content-Length: +1\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "hexadecimal length": POST + b"Content-Length: 0x1\r\n\r\n",
    "empty length": POST + b"Content-Length:\r\n\r\n",
    "length past 64 bits": POST + b"Content-Length: 18446744073709551616\r\n\r\n",
    "length before coding": POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding before length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked, identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n",
} | {
    f"control character {code:#04x} in a value": START + b"X: a%cb\r\n\r\n" % code
    for code in [*range(9), *range(10, 32), 127]
    if code not in {10, 13}
}

LET_PASS = {
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": START + b"Host: b\r\n\r\n",
    "any Host": b"GET / HTTP/1.1\r\nHost: a b@c\r\n\r\n",
    "two spaces in the request line": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\nHost: a\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "another protocol": b"GET / RTSP/1.0\r\nHost: a\r\n\r\n",
    "LF before the request": b"\n" + START + b"\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk with GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "user in a URL": b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "coding in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "white space behind a value": START + b"X: a \t\r\n\r\n",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_llhttp_refuses(raw: bytes) -> None:
    assert not _accepts(raw)


@pytest.mark.parametrize("raw", LET_PASS.values(), ids=LET_PASS)
def test_llhttp_lets_pass_so_the_gate_must_look(raw: bytes) -> None:
    """When one of these fails, llhttp has become stricter, and a check of ours may be superfluous."""
    assert _accepts(raw)
