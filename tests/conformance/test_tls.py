"""RFC 9110, 4.3, and RFC 9112, 9.7 and 9.8: HTTP over TLS, on both sides of the gate."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from sluicegate.server.connection.certificate import Certificate
from sluicegate.server.wire.limits import Limits
from tests.conformance.requirement import must
from tests.server.gate import BEARER, HELLO, Running, route, running
from tests.server.test_upstream_tls import before, secured, speaking, trusting
from tests.servers.certificates import Authority
from tests.servers.certificates import Certificate as Files
from tests.wire import connected, request


@pytest.fixture(scope="module")
def files(authority: Authority) -> Files:
    return authority.server("conformance")


@pytest.fixture(scope="module")
def gate(files: Files) -> Iterator[Running]:
    with running(route("/*", HELLO), certificate=Certificate(files.cert_file, files.key_file)) as here:
        yield here


@must(
    "9112 9.7",
    "server",
    "with TLS everything goes through it",
    "whoever speaks in the clear gets 400, and nothing else",
)
def test_nothing_is_served_in_the_clear(gate: Running) -> None:
    with connected(gate.address) as wire:
        wire.send(request("/", BEARER))
        assert wire.receive().status == 400
        assert wire.read_to_end() == b""


@must("9112 9.8", "server", "a closure alert comes before the end of a connection")
@pytest.mark.parametrize(
    "head", [request("/", BEARER, ("Connection", "close")), request("/", ("Connection", "close")), b"GET\r\n\r\n"]
)
def test_the_server_says_that_it_closes(gate: Running, files: Files, head: bytes) -> None:
    with connected(gate.address, tls=ssl.create_default_context(cafile=files.ca_file)) as wire:
        wire.socket.suppress_ragged_eofs = False  # type: ignore[attr-defined]
        wire.send(head)
        wire.receive()
        assert wire.read_to_end() == b""


@must("9110 7.4", "server", "a URL of https is served on a connection that is secured")
def test_https_over_tls_is_served(gate: Running, files: Files) -> None:
    with connected(gate.address, tls=ssl.create_default_context(cafile=files.ca_file)) as wire:
        wire.send(request("https://localhost/", BEARER))
        assert wire.receive().status == 200


@must("9110 4.3.4", "sender", "an upstream of https proves who it is before it is told anything", "502")
def test_an_upstream_that_is_somebody_else_is_told_nothing(authority: Authority) -> None:
    with (
        speaking(authority.server("elsewhere", hosts=("other.test",))) as it,
        before(it, trusting(authority)) as (gate, _),
        connected(gate.address) as wire,
    ):
        wire.send(request("/", BEARER))
        with suppress(OSError):
            assert it.accept().socket.recv(1) == b""
        assert wire.receive().status == 502


@must("9112 9.8", "sender", "an upstream of https is alerted before an idle connection to it ends", "and at a stop too")
@pytest.mark.parametrize("idle", [0.2, 300])
def test_an_upstream_is_told_that_its_connection_ends(authority: Authority, idle: float) -> None:
    with speaking(authority.server()) as it, ExitStack() as stack:
        gate, _ = stack.enter_context(before(it, trusting(authority), limits=Limits(upstream_idle=idle)))
        with connected(gate.address) as wire:
            wire.send(request("/", BEARER))
            peer = it.accept()
            secured(peer).suppress_ragged_eofs = False  # type: ignore[attr-defined]
            peer.serve()
            assert wire.receive().status == 200
        if idle == 300:
            stack.close()
        assert peer.socket.recv(1) == b""  # and no SSLEOFError: the end was told


@must("9112 9.8", "sender", "an upstream of https is alerted before a connection that it gave up ends")
def test_an_upstream_that_says_close_is_answered_with_an_alert(authority: Authority) -> None:
    with (
        speaking(authority.server()) as it,
        before(it, trusting(authority)) as (gate, _),
        connected(gate.address) as wire,
    ):
        wire.send(request("/", BEARER))
        peer = it.accept()
        secured(peer).suppress_ragged_eofs = False  # type: ignore[attr-defined]
        peer.serve(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        assert wire.receive().status == 200
        assert peer.socket.recv(1) == b""
