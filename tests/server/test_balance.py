"""Several upstreams that serve the same: who is asked, who is left alone, and what is tried again elsewhere."""

import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sluicegate.core.events import Event, UpstreamAnswered, UpstreamFailed
from sluicegate.server.connection.shared import Clock
from sluicegate.server.proxy.balance import Balance
from sluicegate.server.proxy.outage import Outage
from sluicegate.server.proxy.pool import Pool
from sluicegate.server.routes import Proxy, Upstream
from sluicegate.server.wire.limits import Limits
from tests.server.gate import BEARER, Running, route, running
from tests.server.upstream import OK, Listening, Peer, upstream
from tests.servers.ports import LOOPBACK, reserved_port
from tests.wire import WITHIN, Wire, connected, exchange, request

UNHURRIED = Limits()
BRIEF = Limits(upstream_pause=0.05, connect_time=0.2)


class Noted(list[Event]):
    """What a gateway told of its upstreams."""

    def noted(self, event: Event) -> None:
        self.append(event)


def among(*ports: int) -> Proxy:
    first, *others = (Upstream(LOOPBACK, port) for port in ports)
    return Proxy(first, others=tuple(others))


@contextmanager
def several(count: int, *, limits: Limits = UNHURRIED) -> Iterator[tuple[Running, list[Listening]]]:
    with ExitStack() as stack:
        behind = [stack.enter_context(upstream()) for _ in range(count)]
        yield stack.enter_context(running(route("/*", among(*(one.port for one in behind))), limits=limits)), behind


def accepted(behind: list[Listening]) -> tuple[Listening, Peer]:
    """Wait until the gateway has connected to one of them."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        for one in behind:
            if not one.is_untouched():
                return one, one.accept()
    raise TimeoutError


def out_of(gate: Running) -> dict[str, float | None]:
    return {it["name"]: it["out_since"] for it in gate.gateway.upstreams}


def name(listening: Listening) -> str:
    return f"http://{LOOPBACK}:{listening.port}"


def test_those_with_as_little_to_do_take_turns() -> None:
    with several(3) as (gate, behind):
        served: Counter[int] = Counter()
        peers: dict[int, Peer] = {}
        for _ in range(3):
            with connected(gate.address) as wire:
                wire.send(request("/a", BEARER))
                one, peers_new = accepted(behind)
                peers[one.port] = peers_new
                peers_new.serve()
                served[one.port] += 1
                assert wire.receive().body == b"ok"
        assert set(served.values()) == {1}


def test_whoever_has_least_to_do_is_asked() -> None:
    with several(2) as (gate, behind), ExitStack() as stack:
        wires = [stack.enter_context(connected(gate.address)) for _ in range(6)]
        held: list[tuple[Wire, Listening, Peer]] = []
        for wire in wires[:2]:
            wire.send(request("/a", BEARER))
            held.append((wire, *accepted(behind)))
        (_, one, _), (wire, other, peer) = held
        assert one is not other
        # three times in a row the one that is done is asked, while the other still thinks
        for _ in range(3):
            peer.serve()
            assert wire.receive().body == b"ok"
            wire.send(request("/b", BEARER))
        assert peer.request().line == "GET /b HTTP/1.1"
        assert one.is_untouched()
        assert {it["name"]: it["in_flight"] for it in gate.gateway.upstreams} == {name(one): 1, name(other): 1}


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_where_nothing_could_be_sent_another_gets_any_request_whole(method: str) -> None:
    noted = Noted()
    with (
        reserved_port() as port,
        upstream() as behind,
        running(route("/*", among(port, behind.port)), instrument=noted) as gate,
        connected(gate.address) as wire,
    ):
        peer: Peer | None = None
        for _ in range(4):
            wire.send(request("/a", BEARER, method=method, body=b"hello"))
            peer = peer or behind.accept()
            assert peer.request().line == f"{method} /a HTTP/1.1"
            assert peer.body(5) == b"hello"
            peer.send()
            assert wire.receive().body == b"ok"
        # asked once, and then left alone
        (failed,) = noted
        assert isinstance(failed, UpstreamFailed)
        assert (failed.service, failed.cause, failed.out) == (f"http://{LOOPBACK}:{port}", "connection", True)
        assert failed.request
        since = out_of(gate)
        assert since[failed.service]
        assert since[name(behind)] is None


def test_one_that_takes_no_connection_costs_a_request_the_time_to_connect_and_no_more() -> None:
    with socket.create_server((LOOPBACK, 0), backlog=0) as deaf, ExitStack() as stack:
        port = deaf.getsockname()[1]
        for _ in range(2):  # whoever comes now is not answered at all
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex((LOOPBACK, port))
        behind = stack.enter_context(upstream())
        gate = stack.enter_context(running(route("/*", among(port, behind.port)), limits=BRIEF))
        wire = stack.enter_context(connected(gate.address))
        peer: Peer | None = None
        for _ in range(3):
            wire.send(request("/a", BEARER, method="POST"))
            peer = peer or behind.accept()
            peer.serve()
            assert wire.receive().body == b"ok"
        assert out_of(gate)[f"http://{LOOPBACK}:{port}"]


def test_where_all_are_out_they_are_tried_all_the_same() -> None:
    with reserved_port() as one, reserved_port() as other, running(route("/*", among(one, other))) as gate:
        for _ in range(3):
            assert exchange(gate.address, request("/a", BEARER)).status == 502
        assert all(out_of(gate).values())
        with socket.create_server((LOOPBACK, one)) as listening, connected(gate.address) as wire:
            listening.settimeout(WITHIN)
            wire.send(request("/a", BEARER))
            connection, _ = listening.accept()
            with connection:
                Peer(connection).serve()
                assert wire.receive().body == b"ok"
                assert out_of(gate)[f"http://{LOOPBACK}:{one}"] is None


def test_one_that_is_back_is_found_by_one_request() -> None:
    noted = Noted()
    with (
        reserved_port() as port,
        upstream() as behind,
        running(route("/*", among(port, behind.port)), limits=BRIEF, instrument=noted) as gate,
        connected(gate.address) as wire,
    ):
        other: Peer | None = None

        def served_by_other() -> bool:
            nonlocal other
            wire.send(request("/a", BEARER))
            other = other or behind.accept()
            other.serve()
            return wire.receive().body == b"ok"

        while not any(out_of(gate).values()):
            assert served_by_other()
        with socket.create_server((LOOPBACK, port)) as back:
            back.settimeout(WITHIN)
            connection = None
            deadline = time.monotonic() + WITHIN
            while connection is None and time.monotonic() < deadline:
                wire.send(request("/a", BEARER))
                connection = _taken(back, other)
                wire.receive()
            assert connection is not None
            with connection:
                assert not any(out_of(gate).values())
                assert noted[-1] == UpstreamAnswered(f"http://{LOOPBACK}:{port}")


def _taken(back: socket.socket, other: Peer | None) -> socket.socket | None:
    """Answer a request where it arrives; return the connection where that is the one that is back."""
    assert other is not None
    back.settimeout(0)
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        try:
            connection, _ = back.accept()
        except BlockingIOError:
            pass
        else:
            connection.settimeout(WITHIN)
            Peer(connection).serve()
            return connection
        try:
            other.socket.settimeout(0.01)
            other.serve()
        except TimeoutError:
            continue
        return None
    raise TimeoutError


@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", b""), ("HEAD", b""), ("DELETE", b""), ("PUT", b"hello"), ("PUT", b"x" * 60_000)],
    ids=["GET", "HEAD", "DELETE", "PUT", "PUT 60 kB"],
)
def test_what_may_be_sent_twice_is_sent_elsewhere_when_nothing_came_back(method: str, body: bytes) -> None:
    with several(2) as (gate, behind), connected(gate.address) as wire:
        wire.send(request("/a", BEARER, method=method, body=body))
        one, peer = accepted(behind)
        peer.request()
        assert peer.body(len(body)) == body
        peer.close()
        (other,) = (it for it in behind if it is not one)
        peer = other.accept()
        assert peer.request().line == f"{method} /a HTTP/1.1"
        assert peer.body(len(body)) == body
        peer.send()
        assert wire.receive(to=method).status == 200


@pytest.mark.parametrize(
    ("method", "body", "answer"),
    [
        ("POST", b"", b""),
        ("PATCH", b"hello", b""),
        ("PUT", b"x" * 70_000, b""),
        ("GET", b"", b"HTTP/1.1 2"),
        ("GET", b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        ("GET", b"", b"nonsense\r\n\r\n"),
    ],
    ids=["POST", "PATCH", "long body", "part of an answer", "interim answer", "nonsense"],
)
def test_what_may_have_been_done_or_answered_is_sent_nowhere_else(method: str, body: bytes, answer: bytes) -> None:
    with several(2) as (gate, behind), connected(gate.address) as wire:
        wire.send(request("/a", BEARER, method=method, body=body))
        _, peer = accepted(behind)
        peer.request()
        peer.body(len(body))
        peer.send(answer)
        peer.close()
        assert wire.receive(to=method).status == 502
        assert all(one.is_untouched() for one in behind)


def test_a_request_that_takes_too_long_is_not_begun_again_elsewhere() -> None:
    with several(2, limits=Limits(response_time=0.2)) as (gate, behind), connected(gate.address) as wire:
        wire.send(request("/a", BEARER))
        _, peer = accepted(behind)
        peer.request()
        assert wire.receive().status == 504
        assert all(one.is_untouched() for one in behind)


def test_one_that_fails_three_times_in_a_row_is_left_alone_and_an_answer_in_between_forgives() -> None:
    with several(2) as (gate, behind), connected(gate.address) as wire:
        by_port: dict[int, Peer] = {}
        bad = behind[0]

        def once(answer: bytes) -> Listening:
            wire.send(request("/a", BEARER, ("X", "y"), method="POST"))
            one, by_port[one.port] = accepted(behind)
            by_port[one.port].serve(answer if one is bad else OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            wire.receive()
            by_port[one.port].close()
            return one

        def until_bad(answer: bytes) -> None:
            while once(answer) is not bad:
                pass

        for _ in range(2):
            until_bad(b"nonsense\r\n\r\n")
        until_bad(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        for _ in range(2):
            until_bad(b"nonsense\r\n\r\n")
        assert not any(out_of(gate).values())
        until_bad(b"nonsense\r\n\r\n")
        assert out_of(gate)[name(bad)]
        assert {once(OK).port for _ in range(3)} == {behind[1].port}


def test_a_service_is_left_alone_longer_each_time_it_fails_and_never_for_ever() -> None:
    outage, now, pauses = Outage(pause=1.0, since=0.0), 0.0, []
    for _ in range(12):
        assert outage.failed("connection", now)
        assert not outage.failed("connection", now)  # others that fail beside it change nothing
        assert not outage.is_due(now)
        pauses.append(outage.until - now)
        now = outage.until
        assert outage.is_due(now)
    expected = [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30]
    assert all(0.75 * wide <= pause <= 1.25 * wide for pause, wide in zip(pauses, expected, strict=True))
    assert len({pause / wide for pause, wide in zip(pauses, expected, strict=True)}) > 6


def test_while_one_request_tries_a_service_the_others_leave_it_alone() -> None:
    outage = Outage(pause=1.0, since=0.0)
    outage.failed("connection", 0.0)
    outage.tried(2.0)
    assert not outage.is_due(2.5)
    assert outage.is_due(3.0)


def test_while_others_serve_what_could_do_harm_tries_a_service_only_after_as_long_again() -> None:
    clock, limits = Clock(), Limits(upstream_pause=1.0)
    away, well = (Pool(Upstream(LOOPBACK, port), limits, clock) for port in (1, 2))
    balance = Balance([away, well])

    def chosen(at: float, *, may_try: bool) -> set[Pool | None]:
        clock.now = at
        return {balance.choose(may_try=may_try) for _ in range(4)}

    for first in (True, False):
        away.outage = None
        clock.now = 0.0
        away.failed("connection", "", request="")
        assert chosen(0.5, may_try=True) == {well}
        assert chosen(1.5, may_try=False) == {well}
        assert chosen(1.6 if first else 2.5, may_try=first) == {away, well}
    # where it is all there is, it is asked whatever is asked for
    well.failed("connection", "", request="")
    assert chosen(20.0, may_try=False) == {away, well}


def test_a_post_is_not_what_a_service_that_was_out_is_tried_with() -> None:
    with (
        reserved_port() as port,
        upstream() as behind,
        running(route("/*", among(port, behind.port)), limits=Limits(upstream_pause=1.0)) as gate,
        connected(gate.address) as wire,
    ):
        peer: Peer | None = None

        def serve(method: str) -> None:
            nonlocal peer
            wire.send(request("/a", BEARER, method=method))
            peer = peer or behind.accept()
            peer.serve()
            assert wire.receive().body == b"ok"

        while not any(out_of(gate).values()):
            serve("POST")
        with socket.create_server((LOOPBACK, port)) as back:
            # it is due after 1.25 at most, and for any request after 1.75 at least
            deadline = time.monotonic() + 1.3
            while time.monotonic() < deadline:
                serve("POST")
            assert not select.select([back], [], [], 0)[0]
            wire.send(request("/b", BEARER))
            back.settimeout(WITHIN)
            connection, _ = back.accept()
            with connection:
                assert Peer(connection).serve().line == "GET /b HTTP/1.1"
                assert wire.receive().body == b"ok"
