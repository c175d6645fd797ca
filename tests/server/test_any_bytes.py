"""Whatever comes: read, waited for, or refused as malformed; never an accident, and never two readings."""

from contextlib import suppress

import httptools
from hypothesis import example, given
from hypothesis import strategies as st

from sluicegate.server.wire.body import Chunked
from sluicegate.server.wire.head import CHUNKED, RequestReader
from sluicegate.server.wire.limits import Limits
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.reply import ReplyReader
from sluicegate.server.wire.target import decoded_strictly
from tests.server.requests import REFUSED, SERVED

LIMITS = Limits(request_line=512, field=512, fields=20)
KNOWN = [*SERVED.values(), *(raw for raw, _ in REFUSED.values())]
ODD = [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"\x0b", b"\x7f", b"\x80", b"%", b"#", b",", b";", b"chunked"]


@st.composite
def nearly_requests(draw: st.DrawFn) -> bytes:
    """A known request with a few accidents in it."""
    raw = bytearray(draw(st.sampled_from(KNOWN)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(raw)))
        end = place + draw(st.sampled_from([0, 0, 1, 2]))
        raw[place:end] = draw(st.sampled_from(ODD) | st.binary(max_size=2))
    return bytes(raw)


@given(nearly_requests() | st.binary(max_size=200))
@example(b"")
def test_any_request_is_read_or_refused_and_agrees_with_llhttp(raw: bytes) -> None:
    if not raw:
        return
    reader = RequestReader(LIMITS)
    try:
        head = reader.read(raw)
    except Malformed:
        return
    if head is None:
        return
    seen: list[tuple[bytes, bytes]] = []
    parser = httptools.HttpRequestParser(_Fields(seen))
    with suppress(httptools.HttpParserUpgrade):
        parser.feed_data(raw[: len(raw) - len(reader.rest)])
    assert parser.get_method().decode() == head.method
    left_out = {b"host", b"expect"}  # which the gate may set, or take out
    assert [field[0] for field in seen if field[0] not in left_out] == [
        field[0] for field in head.block.fields if field[0] not in left_out
    ]
    framed = {name for name, _ in seen} & {b"content-length", b"transfer-encoding"}
    assert len(framed) <= 1
    assert (head.block.length == CHUNKED) == (framed == {b"transfer-encoding"})


class _Fields:
    def __init__(self, seen: list[tuple[bytes, bytes]]) -> None:
        self._seen = seen

    def on_header(self, name: bytes, value: bytes) -> None:
        self._seen.append((name.lower(), value))


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=6))
def test_any_body_in_chunks_is_read_or_refused(pieces: list[bytes]) -> None:
    body = Chunked(Limits(body=1000))
    for piece in pieces:
        if body.done:
            break
        try:
            body.read(piece)
        except Malformed:
            return


FIELD = st.sampled_from(
    [
        b"Date: now",
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"X-A: b\t\x80",
        b"X:",
        b"Te: a",
    ]
)


@given(
    st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.0 404", b"HTTP/1.1 103 x"]), st.lists(FIELD, max_size=4), st.data()
)
def test_a_response_that_is_read_is_one_to_llhttp_too(start: bytes, fields: list[bytes], data: st.DataObject) -> None:
    raw = bytearray(b"\r\n".join([start, *fields, b"", b""]))
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(raw)))
        raw[place : place + data.draw(st.integers(0, 1))] = data.draw(st.sampled_from(ODD) | st.binary(max_size=2))
    reader = ReplyReader()
    try:
        reply = reader.read(bytes(raw), method="GET")
    except Malformed:
        return
    if reply is None:
        return
    seen: list[tuple[bytes, bytes]] = []
    parser = httptools.HttpResponseParser(_Fields(seen))
    with suppress(httptools.HttpParserUpgrade):
        parser.feed_data(bytes(raw[: len(raw) - len(reader.rest)]))
    assert parser.get_status_code() == reply.status
    assert reply.lines.count(b"\r\n") <= len(seen) + 1
    for name, value in seen:
        if name in reply.fields:
            assert value.strip().lower() in reply.fields[name]


@given(st.binary(max_size=200), st.sampled_from(["GET", "HEAD"]))
def test_any_response_is_read_or_refused(raw: bytes, method: str) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: "):
        try:
            ReplyReader().read(start + raw + b"\r\n\r\n", method=method)
        except Malformed:
            continue


@given(st.text("/.%2eEfF5cC;\\ab0", max_size=30))
def test_a_path_that_is_not_refused_means_the_same_decoded_or_not(path: str) -> None:
    """No separator, step or end appears by decoding it, once or twice, that was not one before."""
    raw = b"/" + path.encode()
    try:
        once = decoded_strictly(raw)
    except Malformed:
        return
    assert once.count(b"/") == raw.count(b"/")
    segments = once.split(b"/")[1:]
    assert not {b".", b".."} & set(segments)
    assert b"" not in segments[:-1]
    for again in (once, decoded_strictly(once) if b"%" not in once else once):
        assert not set(again) & set(b"\\;\0")
