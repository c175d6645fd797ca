"""A client's connection: kept, closed, half-closed, pipelined, late, one too many; and the listener's end."""

import asyncio
import errno
import select
import socket

import pytest

from sluicegate.server.connection.listener import bind
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.connection.shared import Shared
from sluicegate.server.wire.limits import Limits
from tests.fuzz.lines import Transport
from tests.server.gate import BEARER, HELLO, Held, engine, route, running
from tests.server.upstream import upstream
from tests.wire import connected, exchange, request

SOON = 0.2
NEVER = 30.0


def test_a_connection_serves_one_request_after_another() -> None:
    with running(route("/hello", HELLO)) as gate, connected(gate.address) as wire:
        for _ in range(5):
            wire.send(request("/hello", BEARER))
            assert wire.receive().body == b"Hello alice!"


def test_pipelined_requests_are_answered_in_order() -> None:
    with (
        upstream() as behind,
        running(route("/hello", HELLO), route("/api/*", behind.proxy)) as gate,
        connected(gate.address) as wire,
    ):
        wire.send(request("/api/1", BEARER) + request("/hello") + request("/api/2", BEARER) + request("/hello", BEARER))
        peer = behind.accept()
        peer.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
        assert wire.receive().body == b"one"
        assert wire.receive().status == 401
        peer.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo")
        assert wire.receive().body == b"two"
        assert wire.receive().body == b"Hello alice!"


def test_a_thousand_pipelined_requests_are_all_answered() -> None:
    with running(route("/hello", HELLO)) as gate, connected(gate.address) as wire:
        wire.send(request("/hello", BEARER) * 1000)
        for _ in range(1000):
            assert wire.receive().body == b"Hello alice!"


def test_a_second_request_is_not_begun_while_the_first_is_in_flight() -> None:
    with upstream() as behind, running(route("/*", behind.proxy)) as gate, connected(gate.address) as wire:
        wire.send(request("/1", BEARER) + request("/2", BEARER))
        peer = behind.accept()
        peer.request()
        gate.turn()
        assert behind.is_untouched()
        peer.send()
        wire.receive()
        peer.serve()
        wire.receive()


def test_what_follows_a_closing_request_is_not_served() -> None:
    with upstream() as behind, running(route("/hello", HELLO), route("/*", behind.proxy)) as gate:
        with connected(gate.address) as wire:
            wire.send(request("/hello", BEARER, ("Connection", "close")) + request("/api", BEARER))
            assert wire.receive().header("Connection") == "close"
            assert wire.is_closed()
        assert behind.is_untouched()


def test_a_body_that_nobody_wants_is_thrown_away_and_the_connection_kept() -> None:
    with running(route("/hello", HELLO)) as gate, connected(gate.address) as wire:
        wire.send(request("/hello", method="POST", body=b"x" * 1000))
        assert wire.receive().status == 401
        wire.send(request("/hello", BEARER)[:20])
        wire.send(request("/hello", BEARER)[20:])
        assert wire.receive().status == 200


def test_the_rest_of_an_unwanted_body_may_come_after_the_answer() -> None:
    with running(route("/hello", HELLO)) as gate, connected(gate.address) as wire:
        whole = request("/hello", method="POST", body=b"GET /x HTTP/1.1\r\n\r\n")
        wire.send(whole[:-15])
        assert wire.receive().status == 401
        wire.send(whole[-15:] + request("/hello", BEARER))
        assert wire.receive().body == b"Hello alice!"


@pytest.mark.parametrize(
    "head",
    [
        request("/hello", ("Content-Length", "10000000"), method="POST"),
        request("/hello", ("Transfer-Encoding", "chunked"), method="POST"),
        request("/hello", ("Content-Length", "5"), ("Expect", "100-continue"), method="POST"),
    ],
    ids=["long", "chunked", "expecting"],
)
def test_an_unwanted_body_that_is_long_or_unknown_ends_the_connection_after_the_answer(head: bytes) -> None:
    with running(route("/hello", HELLO)) as gate, connected(gate.address) as wire:
        wire.send(head)
        response = wire.receive()
        assert (response.status, response.header("Connection")) == (401, "close")
        assert not response.interim
        assert wire.is_closed()


def test_a_refused_client_that_still_sends_gets_to_read_its_answer() -> None:
    """Closing at once would reset the connection, and the refusal be lost with it."""
    with running(route("/hello", HELLO)) as gate, connected(gate.address) as wire:
        wire.send(request("/hello", ("Content-Length", "4000000"), method="POST"))
        wire.send(b"x" * 1_000_000)
        assert wire.receive().status == 401


def test_head_is_answered_without_a_body() -> None:
    with running(route("/hello", HELLO)) as gate, connected(gate.address) as wire:
        for target, status in (("/hello", 200), ("/nowhere", 404)):
            wire.send(request(target, BEARER, method="HEAD"))
            response = wire.receive(to="HEAD")
            assert response.status == status
            assert int(response.header("Content-Length") or 0) > 0


def test_http10_closes_unless_asked_not_to() -> None:
    old = request("/hello", BEARER).replace(b"HTTP/1.1", b"HTTP/1.0")
    with running(route("/hello", HELLO)) as gate:
        with connected(gate.address) as wire:
            wire.send(old)
            assert wire.receive().header("Connection") == "close"
            assert wire.is_closed()
        with connected(gate.address) as wire:
            for _ in range(2):
                wire.send(old.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"))
                assert wire.receive().header("Connection") == "keep-alive"


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "empty line"])
def test_an_idle_connection_is_closed_without_a_word(sent: bytes) -> None:
    with running(route("/hello", HELLO), limits=Limits(idle=SOON)) as gate, connected(gate.address) as wire:
        wire.send(sent)
        assert wire.is_closed()


def test_a_quiet_connection_does_not_forget_how_many_empty_lines_came() -> None:
    shared = Shared(lambda *_: None, Limits(), lambda _: False)
    connection, transport = Connection(shared), Transport()
    connection.connection_made(transport)
    for line in range(17):
        assert not transport.written
        shared.clock.set(line * 10.0)
        connection.sweep(line * 10.0)
        connection.data_received(b"\r\n")
    assert transport.written.startswith(b"HTTP/1.1 400 ")
    assert transport.finished


def test_a_connection_idle_after_a_request_is_closed_too() -> None:
    with running(route("/hello", HELLO), limits=Limits(idle=SOON)) as gate, connected(gate.address) as wire:
        wire.send(request("/hello", BEARER))
        assert wire.receive().status == 200
        assert wire.is_closed()


def test_a_head_that_trickles_ends_with_408() -> None:
    with running(route("/hello", HELLO), limits=Limits(head_time=SOON)) as gate, connected(gate.address) as wire:
        for byte in request("/hello", BEARER):
            wire.send(bytes([byte]))
            if select.select([wire.socket], [], [], SOON / 10)[0]:
                break
        response = wire.receive()
        assert (response.status, response.header("Connection")) == (408, "close")


def test_an_unwanted_body_that_does_not_come_ends_the_connection_without_a_second_answer() -> None:
    with running(route("/hello", HELLO), limits=Limits(body_time=SOON)) as gate, connected(gate.address) as wire:
        wire.send(request("/hello", ("Content-Length", "5"), method="POST"))
        assert wire.receive().status == 401
        assert wire.is_closed()


def test_a_decision_that_never_comes_is_answered_for() -> None:
    limits = Limits(decision_time=SOON)
    store = Held()
    with running(route("/hello", HELLO), decides=engine(store), limits=limits) as gate, connected(gate.address) as wire:
        wire.send(request("/hello", BEARER))
        assert wire.receive().status == 503
        assert store.abandoned.wait(10)


def test_whoever_comes_past_the_bound_is_told_so() -> None:
    with running(route("/hello", HELLO), limits=Limits(connections=2)) as gate:
        with connected(gate.address) as first, connected(gate.address) as second:
            for wire in (first, second):
                wire.send(request("/hello", BEARER))
                assert wire.receive().status == 200
            with connected(gate.address) as third:
                response = third.receive()
                assert (response.status, response.header("Connection")) == (503, "close")
                assert third.is_closed()
            first.send(request("/hello", BEARER))
            assert first.receive().status == 200
        gate.empty()
        assert exchange(gate.address, request("/hello", BEARER)).status == 200


def test_a_client_that_shuts_its_side_still_gets_its_answers() -> None:
    with (
        upstream() as behind,
        running(route("/hello", HELLO), route("/*", behind.proxy)) as gate,
        connected(gate.address) as wire,
    ):
        wire.send(request("/api", BEARER) + request("/hello", BEARER))
        wire.finish()
        behind.accept().serve()
        assert wire.receive().body == b"ok"
        assert wire.receive().body == b"Hello alice!"
        assert wire.is_closed()


def test_a_client_that_shut_its_side_and_takes_nothing_is_given_up() -> None:
    limits = Limits(half_closed_time=SOON)
    with (
        upstream() as behind,
        running(route("/*", behind.proxy), limits=limits) as gate,
        connected(gate.address) as wire,
    ):
        wire.send(request("/api", BEARER))
        peer = behind.accept()
        peer.request()
        wire.finish()
        assert peer.is_closed()


def test_a_request_cut_short_by_the_client_reaches_nobody() -> None:
    with upstream() as behind, running(route("/*", behind.proxy)) as gate:
        with connected(gate.address) as wire:
            wire.send(request("/api", BEARER)[:-2])
            wire.finish()
            assert wire.is_closed()
        assert behind.is_untouched()


def test_stopping_lets_a_request_in_flight_end_and_says_that_the_connection_does() -> None:
    with (
        upstream() as behind,
        running(route("/*", behind.proxy)) as gate,
        connected(gate.address) as idle,
        connected(gate.address) as busy,
    ):
        busy.send(request("/api", BEARER))
        peer = behind.accept()
        peer.request()
        stopped = gate.stopping(NEVER)
        assert idle.is_closed()
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the kernel likes
            exchange(gate.address, request("/api", BEARER))
        peer.send()
        response = busy.receive()
        assert (response.body, response.header("Connection")) == (b"ok", "close")
        assert busy.is_closed()
        stopped()


def test_stopping_breaks_off_what_outlives_the_grace() -> None:
    with upstream() as behind, running(route("/*", behind.proxy)) as gate, connected(gate.address) as wire:
        wire.send(request("/api", BEARER))
        peer = behind.accept()
        peer.request()
        gate.stop(0.05)
        assert wire.is_closed()
        assert peer.is_closed()
        assert gate.gateway.connections == 0


def test_stopping_twice_is_stopping_once() -> None:
    with running(route("/hello", HELLO)) as gate:
        gate.stop()
        gate.stop()


def test_an_address_that_is_taken_is_named_in_the_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: ") as refused:
            bind((host, port))
    assert refused.value.errno == errno.EADDRINUSE


def test_an_address_that_is_nobodys_is_named_in_the_error() -> None:
    with pytest.raises(OSError, match=r"cannot listen on host\.invalid:80"):
        bind(("host.invalid", 80))


def test_a_gateway_runs_on_asyncios_own_loop_too() -> None:
    with upstream() as behind:
        routes = (route("/hello", HELLO), route("/*", behind.proxy))
        with running(*routes, loop_factory=asyncio.SelectorEventLoop) as gate, connected(gate.address) as wire:
            wire.send(request("/hello", BEARER) + request("/api", BEARER, method="POST", body=b"hello"))
            peer = behind.accept()
            assert wire.receive().status == 200
            peer.request()
            assert peer.body(5) == b"hello"
            peer.send()
            assert wire.receive().body == b"ok"
