"""The cases by which h1spec tells servers apart, each in its two or three forms."""

from typing import Final

import pytest

from tests.conformance.scene import Scene

_HOST: Final = b"Host: a.test\r\n"

VALID: Final = {
    "fragmented request line": b"GET /open/a HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "value without a space before it": b"GET /open/a HTTP/1.1\r\nHost:a.test\r\n\r\n",
    "value with spaces around it": b"GET /open/a HTTP/1.1\r\nHost:   a.test   \r\n\r\n",
    "empty value": b"GET /open/a HTTP/1.1\r\n" + _HOST + b"X-Empty:\r\n\r\n",
    "name in other letters": b"GET /open/a HTTP/1.1\r\nhOsT: a.test\r\n\r\n",
    "many fields": b"GET /open/a HTTP/1.1\r\n" + _HOST + b"X: y\r\n" * 90 + b"\r\n",
    "query": b"GET /open/a?b=c&d HTTP/1.1\r\n" + _HOST + b"\r\n",
    "URL": b"GET http://a.test/open/a HTTP/1.1\r\n" + _HOST + b"\r\n",
    "length": b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Content-Length: 5\r\n\r\nhello",
    "length of nothing": b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Content-Length: 0\r\n\r\n",
    "GET with a body": b"GET /open/a HTTP/1.1\r\n" + _HOST + b"Content-Length: 5\r\n\r\nhello",
    "chunks": b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunk sizes in both cases": b"POST /open/a HTTP/1.1\r\n"
    + _HOST
    + b"Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
    "chunk extension": b"POST /open/a HTTP/1.1\r\n"
    + _HOST
    + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
    "expectation": b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    "empty line before the request": b"\r\nGET /open/a HTTP/1.1\r\n" + _HOST + b"\r\n",
}
INVALID: Final = {
    "no Host": (b"GET /open/a HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET /open/a HTTP/1.1\r\n" + _HOST * 2 + b"\r\n", 400),
    "negative length": (b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Content-Length: -5\r\n\r\nhello", 400),
    "negative length that overflows": (
        b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Content-Length: -123456789123456789123456789\r\n\r\n",
        400,
    ),
    "length that is no number": (b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Content-Length: abc\r\n\r\n", 400),
    "empty length": (b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Content-Length:\r\n\r\n", 400),
    "length and coding": (
        b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "space before a colon": (b"GET /open/a HTTP/1.1\r\nHost : a.test\r\n\r\n", 400),
    "control character in a value": (b"GET /open/a HTTP/1.1\r\n" + _HOST + b"X: a\x07b\r\n\r\n", 400),
    "no character of a name": (b"GET /open/a HTTP/1.1\r\n" + _HOST + b"X[]: a\r\n\r\n", 400),
    "no name": (b"GET /open/a HTTP/1.1\r\n" + _HOST + b": a\r\n\r\n", 400),
    "field without a colon": (b"GET /open/a HTTP/1.1\r\n" + _HOST + b"X\r\n\r\n", 400),
    "version that is none": (b"GET /open/a HTTP/1.\r\n" + _HOST + b"\r\n", 400),
    "other protocol": (b"GET /open/a SIP/1.1\r\n" + _HOST + b"\r\n", 400),
    "version 9.9": (b"GET /open/a HTTP/9.9\r\n" + _HOST + b"\r\n", 505),
    "method in small letters": (b"get /open/a HTTP/1.1\r\n" + _HOST + b"\r\n", 501),
    "method that is no token": (b"G:T /open/a HTTP/1.1\r\n" + _HOST + b"\r\n", 400),
    "no method": (b" /open/a HTTP/1.1\r\n" + _HOST + b"\r\n", 400),
    "no target": (b"GET HTTP/1.1\r\n" + _HOST + b"\r\n", 400),
    "bare LF": (b"GET /open/a HTTP/1.1\n" + _HOST + b"\r\n", 400),
    "one CRLF too many in a chunk": (
        b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunk size that is no number": (
        b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
        400,
    ),
    "unknown coding": (b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chonked\r\n\r\n", 400),
    "unknown expectation": (
        b"POST /open/a HTTP/1.1\r\n" + _HOST + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\na",
        417,
    ),
}


@pytest.mark.parametrize("raw", VALID.values(), ids=VALID)
def test_what_is_valid_is_served(talk: Scene, raw: bytes) -> None:
    exchanged = talk.exchange(raw)
    assert (exchanged.statuses, len(exchanged.sent)) == ((200,), 1)


@pytest.mark.parametrize(("raw", "status"), INVALID.values(), ids=INVALID)
def test_what_is_not_is_refused_and_the_connection_ends(talk: Scene, raw: bytes, status: int) -> None:
    exchanged = talk.exchange(raw, closes=True)
    assert (exchanged.statuses, exchanged.sent, exchanged.closed) == ((status,), (), True)
