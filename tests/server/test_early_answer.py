"""An upstream that has heard enough answers while the upload goes on, and is gone. The client learns what it said."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import uvloop

from tests.server.gate import BEARER, Running, route, running
from tests.server.upstream import Listening, Peer
from tests.wire import WITHIN, BadResponse, Response, connected, request

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
NO = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n" + b"no" * 50_000
LONG = ("Content-Length", "10000000")
CHUNKED = ("Transfer-Encoding", "chunked")
MUCH = b"x" * 150_000  # more than a transport keeps: it is written at once, before anything else is read


@pytest.fixture(params=LOOPS)
def gate(request: pytest.FixtureRequest, behind: Listening) -> Iterator[Running]:
    with running(route("/*", behind.proxy), loop_factory=LOOPS[request.param]) as gate:
        yield gate


def answered(
    gate: Running, behind: Listening, field: tuple[str, str], first: list[bytes], answer: Callable[[Peer], None]
) -> Response:
    """Upload; let the upstream answer and go at the very moment at which more of the body comes."""
    with connected(gate.address) as wire:
        wire.send(request("/a", BEARER, field, method="POST"))
        peer = behind.accept()
        peer.request()
        for piece in first:
            wire.send(piece)
            peer.body(len(piece))

        def meanwhile() -> None:
            # the loop stands still: what it reads next is the body, and what it writes meets a reset
            wire.send(MUCH if field is LONG else b"%x\r\n%b\r\n" % (len(MUCH), MUCH))
            answer(peer)

        gate.call(meanwhile)
        return wire.receive()


def goes(peer: Peer) -> None:
    """Close with something unread, as servers do that read no body."""
    peer.send(NO)
    peer.close()


def breaks_off(peer: Peer) -> None:
    peer.send(NO)
    peer.reset()


@pytest.mark.parametrize("answer", [goes, breaks_off])
@pytest.mark.parametrize(
    ("field", "first"),
    [(LONG, []), (LONG, [b"a", b"b", b"c"]), (CHUNKED, [b"1\r\na\r\n"])],
    ids=["at once", "after a trickle", "in chunks"],
)
def test_its_answer_reaches_a_client_that_still_sends(
    gate: Running,
    behind: Listening,
    field: tuple[str, str],
    first: list[bytes],
    answer: Callable[[Peer], None],
) -> None:
    response = answered(gate, behind, field, first, answer)
    assert (response.status, len(response.body)) == (413, 100_000)
    assert response.header("Connection") == "close"


def test_an_answer_that_ends_with_its_connection_waits_for_no_upload(gate: Running, behind: Listening) -> None:
    with connected(gate.address) as wire:
        wire.send(request("/a", BEARER, LONG, method="POST"))
        peer = behind.accept()
        peer.request()
        wire.socket.settimeout(0.2)
        with suppress(TimeoutError):  # until nobody takes more
            wire.send(b"x" * 10_000_000)
        wire.socket.settimeout(WITHIN)
        peer.send(b"HTTP/1.1 401 Unauthorized\r\n\r\nno")
        peer.socket.shutdown(socket.SHUT_WR)
        response = wire.receive()
        assert (response.status, response.body) == (401, b"no")


def test_an_answer_that_a_reset_cuts_is_not_taken_for_a_whole_one(gate: Running, behind: Listening) -> None:
    def cuts(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nall that there is")
        peer.reset()

    for first in ([], [b"a", b"b", b"c"]):
        with pytest.raises((BadResponse, ConnectionResetError)):
            answered(gate, behind, LONG, first, cuts)
