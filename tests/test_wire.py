"""The raw client reads what HTTP/1.1 allows and nothing else: a lenient client would hide a broken server."""

import socket
from collections.abc import Iterator

import pytest

from tests.wire import BadResponse, Wire, request


@pytest.fixture
def ends() -> Iterator[tuple[Wire, socket.socket]]:
    """The client's end of a connection, and the server's."""
    client, server = socket.socketpair()
    with client, server:
        client.settimeout(10)
        yield Wire(client), server


def test_pipelined_answers_are_read_one_by_one(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")
    first, second = wire.receive(), wire.receive()
    assert (first.status, first.body, first.header("content-length")) == (200, b"one", "3")
    assert (second.status, second.phrase, second.body) == (404, "No", b"")


def test_chunks_and_trailers_are_put_together(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nSum: 3\r\n\r\n")
    response = wire.receive()
    assert (response.body, response.trailers) == (b"abc", (("Sum", "3"),))


def test_interim_responses_come_with_the_final_one(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    response = wire.receive()
    assert response.status == 204
    assert [interim.status for interim in response.interim] == [100]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("CONNECT", 200)])
def test_what_has_no_body_is_not_waited_for(ends: tuple[Wire, socket.socket], method: str, status: int) -> None:
    wire, server = ends
    server.sendall(b"HTTP/1.1 %d OK\r\nContent-Length: 5\r\n\r\n" % status)
    assert wire.receive(to=method).body == b""


def test_without_a_length_the_body_ends_with_the_connection(ends: tuple[Wire, socket.socket]) -> None:
    wire, server = ends
    server.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    server.shutdown(socket.SHUT_WR)
    assert wire.receive().body == b"all of it"
    assert wire.is_closed()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nless",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=[
        "version",
        "status",
        "bare LF",
        "space before the colon",
        "folded line",
        "NUL",
        "two lengths",
        "two framings",
        "signed length",
        "cut short",
        "prefixed size",
        "chunk too long",
        "other coding",
    ],
)
def test_a_malformed_answer_is_refused(ends: tuple[Wire, socket.socket], answer: bytes) -> None:
    wire, server = ends
    server.sendall(answer)
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(BadResponse):
        wire.receive()


def test_a_request_is_spelt_as_given() -> None:
    assert request("/a b", ("X", "1"), ("X", "2"), method="PUT", host="h", body=b"hi") == (
        b"PUT /a b HTTP/1.1\r\nHost: h\r\nX: 1\r\nX: 2\r\nContent-Length: 2\r\n\r\nhi"
    )
