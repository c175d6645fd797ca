"""Connections to an upstream: used again while they are good, never in doubt; and what a client hears of accidents."""

import pytest

from sluicegate.server.routes import Proxy, Upstream
from sluicegate.server.wire.limits import Limits
from tests.server.gate import BEARER, Running, route, running
from tests.server.upstream import OK, Listening, Peer
from tests.servers.ports import reserved_port
from tests.wire import BadResponse, Wire, connected, exchange, request

SOON = 0.2


def test_one_connection_carries_the_requests_of_many_clients(gate: Running, behind: Listening) -> None:
    peer = None
    for number in range(5):
        with connected(gate.address) as wire:
            wire.send(request(f"/{number}", BEARER))
            peer = peer or behind.accept()
            assert peer.serve().line == f"GET /{number} HTTP/1.1"
            assert wire.receive().body == b"ok"
    assert behind.is_untouched()


def test_requests_at_one_time_have_connections_of_their_own_which_are_kept(gate: Running, behind: Listening) -> None:
    peers: list[Peer] = []
    with connected(gate.address) as first, connected(gate.address) as second:
        for _ in range(3):
            first.send(request("/a", BEARER))
            second.send(request("/b", BEARER))
            peers = peers or [behind.accept(), behind.accept()]
            for peer in peers:
                peer.serve()
            assert first.receive().body == second.receive().body == b"ok"
    assert behind.is_untouched()


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        b"HTTP/1.1 204 No Content\r\n\r\nbody",
    ],
    ids=["close", "HTTP/1.0", "two responses", "a body where none may be"],
)
def test_a_connection_in_doubt_is_not_used_again(wire: Wire, behind: Listening, response: bytes) -> None:
    wire.send(request("/a", BEARER))
    first = behind.accept()
    first.serve(response)
    assert wire.receive().status in {200, 204}
    assert first.is_closed()
    wire.send(request("/b", BEARER))
    behind.accept().serve()
    assert wire.receive().body == b"ok"


def test_an_upstream_that_speaks_unasked_is_left(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER))
    peer = behind.accept()
    peer.serve()
    assert wire.receive().body == b"ok"
    peer.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    assert peer.is_closed()
    wire.send(request("/b", BEARER))
    behind.accept().serve()
    assert wire.receive().body == b"ok"


def test_an_unused_connection_is_closed_after_a_while(behind: Listening) -> None:
    with running(route("/*", behind.proxy), limits=Limits(upstream_idle=SOON)) as gate, connected(gate.address) as wire:
        wire.send(request("/a", BEARER))
        peer = behind.accept()
        peer.serve()
        assert wire.receive().body == b"ok"
        assert peer.is_closed()


@pytest.mark.parametrize("accident", ["close", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_a_kept_connection_that_dies_before_it_answers_costs_a_harmless_request_nothing(
    wire: Wire, behind: Listening, method: str, accident: str
) -> None:
    wire.send(request("/a", BEARER))
    stale = behind.accept()
    stale.serve()
    wire.receive()
    wire.send(request("/b", BEARER, method=method))
    stale.request()
    getattr(stale, accident)()
    fresh = behind.accept()
    assert fresh.serve().line == f"{method} /b HTTP/1.1"
    assert wire.receive(to=method).status == 200


def test_it_is_tried_again_once_and_no_more(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER))
    peer = behind.accept()
    peer.serve()
    wire.receive()
    wire.send(request("/b", BEARER))
    peer.request()
    peer.close()
    again = behind.accept()
    again.request()
    again.close()
    assert wire.receive().status == 502
    assert behind.is_untouched()


@pytest.mark.parametrize(
    ("method", "body"),
    [("POST", b""), ("PATCH", b""), ("POST", b"hello"), ("PUT", b"x" * 65_537)],
    ids=["POST", "PATCH", "POST with a body", "PUT with a long body"],
)
def test_what_might_have_been_done_is_not_done_twice(wire: Wire, behind: Listening, method: str, body: bytes) -> None:
    wire.send(request("/a", BEARER))
    peer = behind.accept()
    peer.serve()
    wire.receive()
    wire.send(request("/b", BEARER, method=method, body=body))
    peer.request()
    peer.body(len(body))
    peer.close()
    assert wire.receive().status == 502
    assert behind.is_untouched()


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_short_body_is_sent_again_whole_where_twice_is_as_once(wire: Wire, behind: Listening, framing: str) -> None:
    wire.send(request("/a", BEARER))
    stale = behind.accept()
    stale.serve()
    wire.receive()
    if framing == "length":
        wire.send(request("/b", BEARER, ("Content-Length", "6"), method="PUT") + b"abc")
        stale.request()
        assert stale.body(3) == b"abc"
    else:
        wire.send(request("/b", BEARER, ("Transfer-Encoding", "chunked"), method="PUT") + b"3\r\nabc\r\n")
        stale.request()
        assert stale.body(8) == b"3\r\nabc\r\n"
    stale.close()
    fresh = behind.accept()
    fresh.request()
    wire.send(b"def" if framing == "length" else b"3\r\ndef\r\n0\r\n\r\n")
    assert (fresh.body(6) if framing == "length" else fresh.chunked()) == b"abcdef"
    fresh.send()
    assert wire.receive().body == b"ok"


def test_a_new_connection_that_dies_is_no_reason_to_try_again(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER))
    peer = behind.accept()
    peer.request()
    peer.close()
    assert wire.receive().status == 502
    assert behind.is_untouched()


def test_a_response_that_has_begun_is_no_reason_to_try_again(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER))
    peer = behind.accept()
    peer.serve()
    wire.receive()
    wire.send(request("/b", BEARER))
    peer.request()
    peer.send(b"HTTP/1.1 200 O")
    peer.close()
    assert wire.receive().status == 502
    assert behind.is_untouched()


def test_an_upstream_that_is_not_there_is_502() -> None:
    with (
        reserved_port() as port,
        running(route("/*", Proxy(Upstream("127.0.0.1", port)))) as gate,
        connected(gate.address) as wire,
    ):
        for _ in range(2):
            wire.send(request("/a", BEARER))
            response = wire.receive()
            assert response.status == 502
            assert response.header("X-Request-ID")
            assert str(port).encode() not in response.body


def test_an_upstream_that_does_not_answer_is_504(behind: Listening) -> None:
    limits = Limits(response_time=SOON)
    with running(route("/*", behind.proxy), limits=limits) as gate, connected(gate.address) as wire:
        wire.send(request("/a", BEARER))
        peer = behind.accept()
        peer.request()
        assert wire.receive().status == 504
        assert peer.is_closed()
        wire.send(request("/b", BEARER))
        behind.accept().serve()
        assert wire.receive().body == b"ok"


def test_a_client_that_does_not_send_its_body_is_408(behind: Listening) -> None:
    limits = Limits(response_time=SOON, body_time=SOON)
    with running(route("/*", behind.proxy), limits=limits) as gate, connected(gate.address) as wire:
        wire.send(request("/a", BEARER, ("Content-Length", "5"), method="POST") + b"hel")
        peer = behind.accept()
        peer.request()
        assert wire.receive().status == 408
        assert wire.is_closed()
        peer.body(3)
        assert peer.is_closed()


MALFORMED = [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    b"garbage\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    b"nonsense",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n" * 100,
]


@pytest.mark.parametrize("response", MALFORMED)
def test_a_response_that_cannot_be_read_is_502_and_its_connection_left(
    wire: Wire, behind: Listening, response: bytes
) -> None:
    wire.send(request("/a", BEARER))
    peer = behind.accept()
    peer.serve(response)
    assert wire.receive().status == 502
    assert peer.is_closed()


@pytest.mark.parametrize(
    "begun",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ],
    ids=["length", "chunks", "until the close"],
)
def test_a_response_that_breaks_off_is_seen_to_break_off(wire: Wire, behind: Listening, begun: bytes) -> None:
    wire.send(request("/a", BEARER))
    peer = behind.accept()
    peer.serve(begun)
    assert wire.receive_head().status == 200
    peer.reset()
    with pytest.raises((BadResponse, ConnectionResetError)):
        wire.read_exactly(1000)


def test_a_response_that_turns_into_nonsense_breaks_off(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER))
    peer = behind.accept()
    peer.serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    assert wire.receive_head().status == 200
    peer.send(b"nonsense\r\n")
    assert peer.is_closed()
    with pytest.raises((BadResponse, ConnectionResetError)):
        wire.read_exactly(1000)


def test_a_response_until_the_close_that_is_reset_is_reset_for_an_old_client(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER).replace(b"HTTP/1.1", b"HTTP/1.0"))
    peer = behind.accept()
    peer.serve(b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert wire.receive_head().status == 200
    assert wire.read_exactly(5) == b"hello"
    peer.reset()
    with pytest.raises(ConnectionResetError):
        wire.read_to_end()


def test_a_client_that_leaves_ends_the_exchange_and_the_connection_is_not_used_again(
    gate: Running, behind: Listening
) -> None:
    with connected(gate.address) as wire:
        wire.send(request("/a", BEARER))
        peer = behind.accept()
        peer.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        assert wire.receive_head().status == 200
    assert peer.is_closed()
    with connected(gate.address) as wire:
        wire.send(request("/b", BEARER))
        behind.accept().serve()
        assert wire.receive().body == b"ok"


def test_a_client_that_leaves_before_the_answer_ends_the_exchange(gate: Running, behind: Listening) -> None:
    with connected(gate.address) as wire:
        wire.send(request("/a", BEARER))
        peer = behind.accept()
        peer.request()
    assert peer.is_closed()


def test_a_client_that_leaves_in_its_body_ends_the_exchange(gate: Running, behind: Listening) -> None:
    with connected(gate.address) as wire:
        wire.send(request("/a", BEARER, ("Content-Length", "100"), method="POST") + b"hello")
        peer = behind.accept()
        peer.request()
        peer.body(5)
    assert peer.is_closed()


def test_the_gateway_goes_on_after_all_of_it(behind: Listening) -> None:
    with running(route("/*", behind.proxy), limits=Limits(response_time=SOON)) as gate:
        for response in MALFORMED:
            with connected(gate.address) as wire:
                wire.send(request("/a", BEARER))
                behind.accept().serve(response)
                wire.receive()
        with connected(gate.address) as wire:
            wire.send(request("/b", BEARER))
            behind.accept().serve()
            assert wire.receive().body == b"ok"
        behind.close()
        assert exchange(gate.address, request("/c", BEARER)).status == 502
