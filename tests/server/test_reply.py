"""Heads of responses: what an upstream says is passed on only where it can be read in one way."""

import pytest

from sluicegate.server.wire.body import Chunked, Counted, UntilClose
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.reply import Reply, ReplyReader

OK = b"HTTP/1.1 200 OK\r\n"


def read(raw: bytes, method: str = "GET") -> Reply:
    """Read a response head that is whole."""
    reply = ReplyReader().read(raw, method=method)
    assert reply is not None
    return reply


BAD = {
    "no status line": b"hello\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "lower-case version": b"http/1.1 200 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\n\r\n",
    "control character in the reason": b"HTTP/1.1 200 O\x01K\r\n\r\n",
    "bare LF in the status line": b"HTTP/1.1 200 OK\nX: y\r\n\r\n",
    "bare LF between fields": OK + b"X: y\nZ: z\r\n\r\n",
    "bare CR in a value": OK + b"X: y\rz\r\n\r\n",
    "folded field": OK + b"X: y\r\n z\r\n\r\n",
    "space before a colon": OK + b"X : y\r\n\r\n",
    "NUL in a value": OK + b"X: y\0\r\n\r\n",
    "length and coding": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    "two lengths": OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "no number as length": OK + b"Content-Length: 3x\r\n\r\n",
    "coding nobody asked for": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "identity": OK + b"Transfer-Encoding: identity\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "longer than any honest head": OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_a_response_that_cannot_be_trusted_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read(raw)


def test_a_head_that_never_ends_is_refused_while_it_comes() -> None:
    reader = ReplyReader()
    assert reader.read(OK, method="GET") is None
    for _ in range(65):
        assert reader.read(b"X: " + b"y" * 1000 + b"\r\n", method="GET") is None
    with pytest.raises(Malformed):
        reader.read(b"X: " + b"y" * 1000 + b"\r\n", method="GET")


@pytest.mark.parametrize(
    "raw", [b"HTTP/1.1 200 OK\n", b"HTTP/1.1 200 OK\r\nX: y\nZ", b"\n", b"HTTP/2", b"<html>", b"\x15\x03\x01", b" H"]
)
def test_what_cannot_become_a_response_is_refused_before_it_ends_however_it_is_cut(raw: bytes) -> None:
    def arrive(*pieces: bytes) -> None:
        reader = ReplyReader()
        for piece in pieces:
            reader.read(piece, method="GET")

    for cut in range(len(raw)):
        with pytest.raises(Malformed):
            arrive(raw[:cut], raw[cut:])
    with pytest.raises(Malformed):
        arrive(*(bytes([byte]) for byte in raw))


@pytest.mark.parametrize(
    ("raw", "method", "kind"),
    [
        (OK + b"Content-Length: 3\r\n\r\n", "GET", Counted),
        (OK + b"Content-Length: 0\r\n\r\n", "GET", type(None)),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", "GET", Chunked),
        (OK + b"\r\n", "GET", UntilClose),
        (OK + b"Content-Length: 3\r\n\r\n", "HEAD", type(None)),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", "HEAD", type(None)),
        (OK + b"\r\n", "HEAD", type(None)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", type(None)),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "GET", type(None)),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", "GET", type(None)),
    ],
)
def test_a_body_ends_where_rfc_9112_says(raw: bytes, method: str, kind: type) -> None:
    assert type(read(raw, method).body) is kind


def test_what_concerns_the_connection_alone_ends_here() -> None:
    reply = read(
        OK + b"Connection: X-Private, keep-alive\r\nX-Private: a\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n"
        b"Transfer-Encoding: chunked\r\nTrailer: X\r\nX-Request-ID: theirs\r\n"
        b"X-Kept: b\r\nProxy-Authenticate: c\r\n\r\n"
    )
    assert reply.lines == OK + b"X-Kept: b\r\n"


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length", "Content-Type", "Content-Encoding", "Content-Range", "Content-Security-Policy",
        "Content-Disposition", "Date", "Location", "Set-Cookie", "Cache-Control", "Vary", "ETag", "Age", "Expires",
        "Pragma", "Last-Modified", "WWW-Authenticate", "Retry-After", "Allow", "Accept-Ranges",
        "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy",
        "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Cross-Origin-Opener-Policy",
        "Sec-WebSocket-Accept", "Clear-Site-Data",
    ],
)  # fmt: skip
def test_an_upstream_cannot_hide_what_is_the_clients(name: str) -> None:
    line = f"{name}: 3\r\n".encode()
    assert read(OK + f"Connection: x, {name.upper()}\r\nX: y\r\n".encode() + line + b"\r\n").lines == OK + line


def test_lines_pass_on_as_they_came() -> None:
    assert read(OK + b"x-ODD:  y \t\r\nZ:\xff\r\n\r\n").lines == OK + b"x-ODD:  y \t\r\nZ:\xff\r\n"


def test_a_response_without_content_says_no_length() -> None:
    assert (
        read(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX: y\r\n\r\n").lines
        == b"HTTP/1.1 204 No Content\r\nX: y\r\n"
    )


@pytest.mark.parametrize(
    ("raw", "persistent"),
    [
        (OK + b"\r\n", True),
        (OK + b"Connection: close\r\n\r\n", False),
        (OK + b"Connection: x\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_a_connection_is_kept_only_where_the_upstream_keeps_it(raw: bytes, persistent: bool) -> None:  # noqa: FBT001
    assert read(raw).persistent is persistent


def test_every_cut_gives_the_same_head() -> None:
    raw = OK + b"X: y\r\nContent-Length: 3\r\n\r\n"
    for cut in range(1, len(raw)):
        reader = ReplyReader()
        assert reader.read(raw[:cut], method="GET") is None
        reply = reader.read(raw[cut:] + b"abc", method="GET")
        assert reply is not None
        assert (reply.lines, reader.rest) == (OK + b"X: y\r\nContent-Length: 3\r\n", b"abc")


def test_a_reason_may_be_missing_and_the_version_is_our_own() -> None:
    assert read(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").lines == b"HTTP/1.1 200 \r\nContent-Length: 0\r\n"
    assert read(b"HTTP/1.0 404 Not There\r\nX: y\r\n\r\n").lines == b"HTTP/1.1 404 Not There\r\nX: y\r\n"


def test_a_head_that_comes_again_is_the_head_of_another_response() -> None:
    """The same bytes mean the same, but for a body, of which nothing has come yet."""
    raw = b"HTTP/1.1 200 OK\r\nDate: now\r\nX-Request-ID: theirs\r\nContent-Length: 3\r\n\r\n"
    reader = ReplyReader()
    before = None
    for content in (b"abc", b"def", b"ghi"):
        reply = reader.read(raw + content + b"HTTP", method="GET")
        assert reply is not None
        assert reply is not before
        assert (reply.lines, reply.persistent) == (b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 3\r\n", True)
        assert reply.body is not None
        assert (reply.body.read(reader.rest), reply.body.rest) == (content, b"HTTP")
        reply.lines, before = b"", reply  # whoever carries it may empty it


def test_a_head_that_comes_again_after_another_request_is_read_for_that_one() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    reader = ReplyReader()
    bodies = [reply.body for method in ("GET", "HEAD", "GET") if (reply := reader.read(raw, method=method)) is not None]
    assert [body is None for body in bodies] == [False, True, False]


def test_a_head_that_begins_as_one_before_is_read_to_its_own_end() -> None:
    reader = ReplyReader()
    for raw in (b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 204 No\r\nA: b\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n"):
        assert reader.read(raw[:-4], method="GET") is None
        reply = reader.read(raw[-4:] + b"more", method="GET")
        assert reply is not None
        assert (reply.lines, reader.rest) == (raw[:-2], b"more")
