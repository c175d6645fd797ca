"""A thousand clients that send or read by the byte, and one that does not."""

import socket
from contextlib import ExitStack

from sluicegate.server.wire.limits import Limits
from tests.server.gate import BEARER, HELLO, route, running
from tests.server.upstream import upstream
from tests.wire import WITHIN, connected, exchange, request

HEADS, BODIES, READS = 600, 100, 300
TRICKLED = 5


def test_clients_that_trickle_hold_nobody_up_and_those_in_heads_end_with_408() -> None:
    head, post = request("/hello", BEARER), request("/api", BEARER, ("Content-Length", "100"), method="POST")
    with (
        ExitStack() as stack,
        upstream() as behind,
        running(route("/hello", HELLO), route("/api", behind.proxy), limits=Limits(head_time=4)) as gate,
    ):

        def clients(count: int, sent: bytes) -> list[socket.socket]:
            opened = [stack.enter_context(socket.create_connection(gate.address, WITHIN)) for _ in range(count)]
            for one in opened:
                one.sendall(sent)
            return opened

        heads, reads = clients(HEADS, head[:1]), clients(READS, head)
        bodies = clients(BODIES, post)
        peers = [behind.accept() for _ in bodies]
        for place in range(TRICKLED):
            for one in heads:
                one.sendall(head[place + 1 : place + 2])
            for one in bodies:
                one.sendall(b"%d" % place)
            assert {one.recv(1) for one in reads} == {b"HTTP/"[place : place + 1]}
            assert exchange(gate.address, head).body == b"Hello alice!"
        for peer in peers:
            peer.request()
            assert peer.body(TRICKLED) == b"01234"
        for one in heads:
            assert one.recv(12) == b"HTTP/1.1 408"
        # nobody else was ended: bodies go on, also those that have gone bare, and so do connections behind answers
        for one, peer in zip(bodies, peers, strict=True):
            one.sendall(b"x" * (100 - TRICKLED))
            assert peer.body(100 - TRICKLED) == b"x" * (100 - TRICKLED)
            peer.send()
            assert one.recv(12) == b"HTTP/1.1 200"
        with connected(gate.address) as wire:
            wire.send(head + head)
            assert [wire.receive().status, wire.receive().status] == [200, 200]


def test_a_connection_serves_on_after_a_body_that_trickled() -> None:
    with upstream() as behind, running(route("/*", behind.proxy)) as gate, connected(gate.address) as wire:
        wire.send(request("/1", BEARER, ("Content-Length", "6"), method="POST"))
        peer = behind.accept()
        peer.request()
        for place in range(6):
            wire.send(b"%d" % place)
            assert peer.body(1) == b"%d" % place
        peer.send()
        assert wire.receive().body == b"ok"
        wire.send(request("/2", BEARER, method="POST", body=b"whole") + request("/3", BEARER))
        assert peer.request().line.startswith("POST /2 ")
        assert peer.body(5) == b"whole"
        peer.send()
        assert peer.request().line.startswith("GET /3 ")
        peer.send()
        assert [wire.receive().body, wire.receive().body] == [b"ok", b"ok"]
