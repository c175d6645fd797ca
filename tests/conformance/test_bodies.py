"""RFC 9112, sections 6 to 8: where a message ends."""

import pytest

from tests.conformance.requirement import must
from tests.conformance.scene import OK, Scene

GET = b"GET /open/a HTTP/1.1\r\nHost: a.test\r\n\r\n"
POST = b"POST /open/a HTTP/1.1\r\nHost: a.test\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


@must("9112 6.1", "recipient", "reads chunked")
def test_chunked_is_read(talk: Scene) -> None:
    assert talk.exchange(POST + CHUNKED + CHUNKS).request.body == b"hello"


@must("9112 6.1", "server", "a coding that is not understood gets 501 (SHOULD)", "501, and nothing passes on")
@pytest.mark.parametrize("codings", [b"gzip, chunked", b"deflate,gzip ,\tChunked", b"cow, chunked"])
def test_a_coding_that_is_not_understood_gets_501(talk: Scene, codings: bytes) -> None:
    raw = POST + b"Transfer-Encoding: " + codings + b"\r\n\r\n" + CHUNKS + GET
    exchanged = talk.exchange(raw, closes=True)
    assert (exchanged.statuses, exchanged.sent, exchanged.closed) == ((501,), (), True)


@must("9112 6.1", "sender", "codes nothing in chunks twice")
def test_chunked_twice_is_refused(talk: Scene) -> None:
    assert talk.exchange(POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKS).statuses == (400,)


@must("9112 6.1", "server", "sends no Transfer-Encoding with 1xx and 204")
def test_no_coding_with_204(talk: Scene) -> None:
    reply = b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert talk.exchange(GET, reply=reply).answer.header("Transfer-Encoding") is None


@must("9112 6.1", "server", "sends no Transfer-Encoding to HTTP/1.0")
def test_no_coding_to_http10(talk: Scene) -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS
    answer = talk.exchange(b"GET /open/a HTTP/1.0\r\n\r\n", reply=reply).answer
    assert (answer.header("Transfer-Encoding"), answer.body) == (None, b"hello")


@must(
    "9112 6.1", "recipient", "HTTP/1.0 with Transfer-Encoding is framed in a way that is not to be trusted", "400; 502"
)
def test_a_coding_in_http10_is_not_trusted(talk: Scene) -> None:
    exchanged = talk.exchange(b"POST /open/a HTTP/1.0\r\n" + CHUNKED + CHUNKS)
    assert (exchanged.statuses, exchanged.sent, exchanged.closed) == ((400,), (), True)
    assert talk.exchange(GET, reply=b"HTTP/1.0 200 OK\r\n" + CHUNKED + CHUNKS).statuses == (502,)


@must(
    "9112 6.1",
    "server",
    "a request with both framings ends the connection after the answer",
    "400, and nothing passes on",
)
def test_both_framings_end_the_connection(talk: Scene) -> None:
    exchanged = talk.exchange(POST + b"Content-Length: 5\r\n" + CHUNKED + CHUNKS + GET, closes=True)
    assert (exchanged.statuses, exchanged.sent, exchanged.closed) == ((400,), (), True)


@must("9112 6.2", "sender", "sends no Content-Length with Transfer-Encoding")
def test_never_both_framings(talk: Scene) -> None:
    exchanged = talk.exchange(POST + CHUNKED + CHUNKS, reply=b"HTTP/1.1 200 OK\r\n" + CHUNKED + CHUNKS)
    assert "content-length" not in dict(exchanged.request.fields)
    assert exchanged.answer.header("Content-Length") is None


@must("9112 6.3", "recipient", "a response to HEAD, 1xx, 204 and 304 has no body whatever its fields say")
@pytest.mark.parametrize("status", [204, 304])
def test_some_responses_have_no_body(talk: Scene, status: int) -> None:
    reply = b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status
    assert talk.exchange(GET + GET, reply=reply).statuses == (status, status)


@must("9112 6.3", "server", "a request whose coding does not end in chunked gets 400, and the connection ends")
def test_a_coding_that_does_not_end_in_chunked_gets_400(talk: Scene) -> None:
    exchanged = talk.exchange(POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS + GET, closes=True)
    assert (exchanged.statuses, exchanged.closed) == ((400,), True)


@must("9112 6.3", "server", "a length that is none gets 400, and the connection ends")
@pytest.mark.parametrize("length", [b"x", b"-5", b"+5", b"5, 6", b"5 5", b"", b"0x5"])
def test_a_length_that_is_none_gets_400(talk: Scene, length: bytes) -> None:
    exchanged = talk.exchange(POST + b"Content-Length: " + length + b"\r\n\r\nhello" + GET, closes=True)
    assert (exchanged.statuses, exchanged.closed) == ((400,), True)


@must("9112 6.3", "gateway", "an upstream's length that is none is 502, and its connection is closed")
def test_a_length_that_is_none_from_an_upstream_is_502(talk: Scene) -> None:
    assert talk.exchange(GET, reply=b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello").statuses == (502,)
    before = talk.behind.connections
    assert talk.exchange(GET).statuses == (200,)
    assert talk.behind.connections == before + 1


@must("9112 6.3", "recipient", "fewer bytes than the length says are an incomplete message")
def test_a_short_body_is_no_message(talk: Scene) -> None:
    exchanged = talk.exchange(POST + b"Content-Length: 6\r\n\r\nhello")
    assert (exchanged.answers, exchanged.sent) == ((), ())


@must("9112 6.3", "recipient", "a request with neither framing has no body")
def test_neither_framing_is_no_body(talk: Scene) -> None:
    assert [sent.body for sent in talk.exchange(POST + b"\r\n" + GET).sent] == [b"", b""]


@must("9112 6.3", "recipient", "a response with neither framing ends with its connection")
def test_a_response_may_end_with_its_connection(talk: Scene) -> None:
    assert talk.exchange(GET, reply=(b"HTTP/1.1 200 OK\r\n\r\nhello", None)).answer.body == b"hello"


@must("9112 7.1", "recipient", "large chunk sizes do not overflow", "400")
def test_a_large_chunk_size_is_refused(talk: Scene) -> None:
    for size in (b"10000000000000005", b"ffffffffffffffff"):
        exchanged = talk.exchange(POST + CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n", closes=True)
        assert (exchanged.statuses, exchanged.sent) == ((400,), ())


@must("9112 7.1.1", "recipient", "unknown chunk extensions are ignored", "and do not pass on")
def test_chunk_extensions_are_ignored(talk: Scene) -> None:
    sent = talk.exchange(POST + CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0\r\n\r\n').request
    assert (sent.body, b";a" in sent.raw) == (b"hello", False)


@must(
    "9110 6.5.1",
    "recipient",
    "trailers do not become header fields",
    "none goes on that could be taken for one; a client that does not ask for trailers gets none",
)
def test_trailers_become_no_header_fields(talk: Scene) -> None:
    sent = talk.exchange(POST + CHUNKED + b"5\r\nhello\r\n0\r\nX-Auth-User-Id: root\r\n\r\n").request
    assert b"root" not in sent.raw
    reply = b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"
    answer = talk.exchange(GET, reply=reply).answer
    assert (answer.body, answer.trailers, answer.header("X")) == (b"hello", (), None)


@must("9112 8", "gateway", "what an upstream did not finish does not look finished")
@pytest.mark.parametrize("framing", [b"Content-Length: 6\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n"])
def test_an_unfinished_response_does_not_look_finished(talk: Scene, framing: bytes) -> None:
    received = talk.broken(GET, (b"HTTP/1.1 200 OK\r\n" + framing, None))
    assert not received.endswith(b"0\r\n\r\n")
    assert received.count(b"hello") <= 1


@must("9110 8.6", "server", "sends no Content-Length with 1xx and 204")
def test_no_length_with_204(talk: Scene) -> None:
    reply = b"HTTP/1.1 103 X\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n"
    answer = talk.exchange(GET, reply=reply).answer
    assert answer.header("Content-Length") is None
    assert [interim.header("Content-Length") for interim in answer.interim] == [None]


@must("9110 8.6", "recipient", "large lengths do not overflow", "400")
def test_a_large_length_is_refused(talk: Scene) -> None:
    raw = POST + b"Content-Length: 18446744073709551621\r\n\r\nhello"
    assert talk.exchange(raw, closes=True).statuses == (400,)


@must("9110 9.3.2", "server", "an answer to HEAD has no content", "one that refuses it has none either")
@pytest.mark.parametrize("target", [b"/open/a", b"/x", b"/hello", b"/open//a", b"a b"])
def test_an_answer_to_head_has_no_content(talk: Scene, target: bytes) -> None:
    raw = talk.broken(
        b"HEAD " + target + b" HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", (OK.removesuffix(b"ok"),)
    )
    assert raw.count(b"\r\n\r\n") == 1
    assert raw.endswith(b"\r\n\r\n")


@must("9110 8.6", "server", "the length in an answer to HEAD is that of GET")
def test_the_length_of_head_is_that_of_get(talk: Scene) -> None:
    assert (
        talk.exchange(GET.replace(b"GET", b"HEAD"), reply=OK.removesuffix(b"ok")).answer.header("Content-Length") == "2"
    )


@must("9112 6.3", "recipient", "a list of equal lengths is one length, or an error", "400; from an upstream 502")
@pytest.mark.parametrize("lengths", [b"Content-Length: 2, 2\r\n", b"Content-Length: 2\r\nContent-Length: 2\r\n"])
def test_equal_lengths_are_an_error(talk: Scene, lengths: bytes) -> None:
    assert talk.exchange(POST + lengths + b"\r\nok" + GET, closes=True).statuses == (400,)
    assert talk.exchange(GET, reply=b"HTTP/1.1 200 OK\r\n" + lengths + b"\r\nok").statuses == (502,)
