"""Clients whose address a proxy of TCP announces: real proxies, liars, and proxies that are not set up for it."""

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest

from sluicegate.adapters.forwarded import trusts
from sluicegate.server.connection.certificate import Certificate
from sluicegate.server.wire.limits import Limits, Rate
from sluicegate.server.workers.handover import release
from tests.cli.sluicegate import configure, serving
from tests.edge.test_proxy_protocol import READ, v2
from tests.server.gate import BEARER, HELLO, LoopFactory, Running, route, running
from tests.server.upstream import Listening, upstream
from tests.servers.certificates import Authority
from tests.servers.haproxy import haproxy
from tests.servers.nginx import streaming
from tests.wire import Wire, connected, exchange, request

CLIENT: Final = "127.0.0.5"
STRANGER: Final = "127.0.0.9"
ONCE: Final = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
PROXY: Final = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"


@contextmanager
def announced(behind: Listening | None = None, **choices: object) -> Iterator[Running]:
    """A gateway to which 127.0.0.1 announces its clients."""
    near = trusts(["127.0.0.1"])
    action = HELLO if behind is None else behind.proxy
    with running(route("/*", action), announces=near, trusted=near, **choices) as gate:  # type: ignore[arg-type]
        yield gate


@contextmanager
def coming_from(address: str, to: tuple[str, int], *, tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """Connect from this address of the loopback network."""
    with socket.create_connection(to, 10, source_address=(address, 0)) as plain:
        if tls is None:
            yield Wire(plain)
        else:
            with tls.wrap_socket(plain, server_hostname="localhost") as encrypted:
                yield Wire(encrypted)


def through(kind: str, gate: Running) -> AbstractContextManager[tuple[str, int]]:
    """Run a real proxy in front that announces its clients."""
    port = gate.address[1]
    if kind == "nginx":
        return streaming(f"server {{ listen $LISTEN; proxy_protocol on; proxy_pass 127.0.0.1:{port}; }}")
    return haproxy(f"listen gate\n mode tcp\n bind $LISTEN\n server gate 127.0.0.1:{port} {kind}")


@pytest.mark.parametrize("kind", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c", "nginx"])
def test_a_real_proxy_announces_the_client_to_the_upstream(kind: str) -> None:
    with (
        upstream() as behind,
        announced(behind) as gate,
        through(kind, gate) as front,
        coming_from(CLIENT, front) as wire,
    ):
        wire.send(request("/", BEARER, ("X-Forwarded-For", "203.0.113.99")))
        peer = behind.accept()
        assert peer.serve().all("X-Forwarded-For") == (CLIENT,)
        assert wire.receive().status == 200
        wire.send(request("/", BEARER))
        assert peer.serve().all("X-Forwarded-For") == (CLIENT,)
        assert wire.receive().status == 200


@pytest.mark.parametrize("kind", ["send-proxy", "send-proxy-v2", "nginx"])
def test_the_header_comes_before_the_handshake(kind: str, authority: Authority) -> None:
    files = authority.server("behind a proxy")
    trusting = ssl.create_default_context(cafile=files.ca_file)
    certificate = Certificate(files.cert_file, files.key_file)
    with (
        upstream() as behind,
        announced(behind, certificate=certificate) as gate,
        through(kind, gate) as front,
        coming_from(CLIENT, front, tls=trusting) as wire,
    ):
        wire.send(request("/", BEARER))
        seen = behind.accept().serve()
        assert seen.all("X-Forwarded-For") == (CLIENT,)
        assert seen.all("X-Forwarded-Proto") == ("https",)
        assert wire.receive().status == 200


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def gate(request: pytest.FixtureRequest) -> Iterator[tuple[Running, Listening]]:
    loops: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    chosen = {"loop_factory": loops[request.param]} if request.param in loops else {}
    with upstream() as behind, announced(behind, **chosen) as running_:
        yield running_, behind


Gate = tuple[Running, Listening]


@pytest.mark.parametrize("name", READ)
def test_header_and_request_may_be_cut_anywhere(gate: Gate, name: str) -> None:
    header, address = READ[name]
    sent = header + request("/", BEARER)
    cuts = {1, 5, 12, 16, len(header) - 1, len(header), len(header) + 1, len(sent) - 1}
    for cut in sorted(cuts):
        with connected(gate[0].address) as wire:
            wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire.send(sent[:cut])
            gate[0].turn()
            wire.send(sent[cut:])
            peer = gate[1].accept()
            told = {None: "127.0.0.1", "": "unknown"}.get(address, address)
            assert peer.serve(ONCE).all("X-Forwarded-For") == (told,)
            assert wire.receive().status == 200


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(0, b""), v2(0x31, bytes(216)), PROXY])
def test_a_client_of_a_trusted_proxy_is_not_that_proxy(gate: Gate, header: bytes) -> None:
    """Of whom nobody knows the address, nothing is believed: it would be the proxy's word in the client's mouth."""
    with connected(gate[0].address) as wire:
        wire.send(header + request("/", BEARER, ("X-Forwarded-For", "203.0.113.99"), ("X-Forwarded-Proto", "https")))
        seen = gate[1].accept().serve(ONCE)
        assert "203.0.113.99" not in str(seen.headers)
        assert seen.all("X-Forwarded-Proto") == ("http",)
        assert wire.receive().status == 200


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", PROXY])
def test_a_client_that_was_announced_is_not_given_to_another_worker(gate: Gate, header: bytes) -> None:
    """There it would come from the proxy itself: nothing of what was announced goes with a connection."""
    gate[0].empty()
    with connected(gate[0].address) as wire:
        wire.send(header + request("/", BEARER))
        gate[1].accept().serve(ONCE)
        assert wire.receive().status == 200
        listener = gate[0].gateway.listener
        assert gate[0].call(lambda: [release(one) for one in listener.idle()]) == [None]


@pytest.mark.parametrize("header", [PROXY, v2(0x11, bytes([192, 0, 2, 7, 1, 2, 3, 4, 0, 1, 0, 2]))])
def test_nobody_else_may_announce_anybody(gate: Gate, header: bytes) -> None:
    with coming_from(STRANGER, gate[0].address) as wire:
        wire.send(header + request("/", BEARER))
        assert wire.receive().status == 400
        assert wire.is_closed()
    assert gate[1].is_untouched()


def test_anybody_else_is_served_without_a_header(gate: Gate) -> None:
    with coming_from(STRANGER, gate[0].address) as wire:
        wire.send(request("/", BEARER))
        assert gate[1].accept().serve(ONCE).all("X-Forwarded-For") == (STRANGER,)
        assert wire.receive().status == 200


def test_a_proxy_that_sends_no_header_is_told(gate: Gate) -> None:
    with connected(gate[0].address) as wire:
        wire.send(request("/", BEARER) * 100)
        answer = wire.receive()
        assert answer.status == 400
        assert json.loads(answer.body)["reason"] == "proxy_protocol"
        assert wire.is_closed()
    assert gate[1].is_untouched()


@pytest.mark.parametrize("second", [PROXY, b"PROXY UNKNOWN\r\n", v2(0, b"")])
def test_a_second_header_is_no_request(gate: Gate, second: bytes) -> None:
    with connected(gate[0].address) as wire:
        wire.send(PROXY + second + request("/", BEARER))
        assert wire.receive().status == 400
        assert wire.is_closed()
    assert gate[1].is_untouched()


@pytest.mark.parametrize("late", [PROXY, v2(0x11, bytes(12)), v2(0, b"", command=0x20)])
@pytest.mark.parametrize("body", [b"", b"hello"])
def test_a_header_behind_a_request_announces_nobody(gate: Gate, late: bytes, body: bytes) -> None:
    with connected(gate[0].address) as wire:
        wire.send(PROXY + request("/a", BEARER, method="POST", body=body) + late + request("/b", BEARER))
        peer = gate[1].accept()
        assert peer.request().all("X-Forwarded-For") == ("192.0.2.7",)
        assert peer.body(len(body)) == body
        peer.send(ONCE)
        assert wire.receive().status == 200
        assert wire.receive().status == 400
        assert wire.read_to_end() == b""
        assert gate[1].is_untouched()


def test_a_header_inside_of_tls_is_no_request(authority: Authority) -> None:
    files = authority.server("inside")
    trusting = ssl.create_default_context(cafile=files.ca_file)
    certificate = Certificate(files.cert_file, files.key_file)
    with (
        upstream() as behind,
        announced(behind, certificate=certificate) as gate,
        through("send-proxy", gate) as front,
        coming_from(CLIENT, front, tls=trusting) as wire,
    ):
        wire.send(PROXY + request("/", BEARER))
        assert wire.receive().status == 400
        assert behind.is_untouched()


def test_a_header_that_does_not_come_is_not_waited_for() -> None:
    with (
        announced(limits=Limits(head_time=0.2)) as gate,
        connected(gate.address) as silent,
        connected(gate.address) as cut,
    ):
        cut.send(PROXY[:20])
        assert silent.is_closed()
        assert cut.is_closed()
        with connected(gate.address) as good:
            good.send(PROXY + request("/", BEARER))
            assert good.receive().status == 200
        gate.empty()


def test_garbage_for_a_header_ends_without_a_word(gate: Gate) -> None:
    with connected(gate[0].address) as wire:
        wire.send(bytes(5000))
        assert wire.is_closed()


def test_those_who_only_announce_count_as_connections_and_end_with_the_listener() -> None:
    with (
        announced(limits=Limits(connections=2)) as gate,
        connected(gate.address) as one,
        connected(gate.address) as two,
    ):
        one.send(b"PROXY ")
        two.send(b"PROXY ")
        gate.turn()
        assert gate.gateway.connections == 2
        with connected(gate.address) as third:
            third.send(PROXY)
            assert third.receive().status == 503
        gate.stop(5)
        assert one.is_closed()


def test_the_limit_per_address_counts_clients_and_not_the_proxy() -> None:
    with announced(rate=Rate(2, 3600)) as gate:
        for address in (b"192.0.2.1", b"192.0.2.2"):
            header = PROXY.replace(b"192.0.2.7", address)
            assert [exchange(gate.address, header + request("/", BEARER)).status for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("said", ["true", '["127.0.0.0/29"]'])
def test_the_setting_names_who_announces(tmp_path: Path, said: str) -> None:
    config = configure(tmp_path, '[[route]]\npath = "/*"\nrespond = "hello"\nauth = "none"\n')
    http = f'[http]\nproxy_protocol = {said}\ntrusted_proxies = ["127.0.0.1"]\n'
    config.path.write_text(config.path.read_text().replace("[http]\n", http))
    with serving(config) as gateway:
        assert exchange(gateway.address, request("/")).status == 400
        assert exchange(gateway.address, PROXY + request("/")).status == 200
        with coming_from(STRANGER, gateway.address) as wire:
            wire.send(request("/"))
            assert wire.receive().status == 200
