"""Whatever lasts ends with its token: a long question, the wait for an answer, and an answer that stops on its way."""

import json
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from sluicegate.core.flow import Hits
from sluicegate.errors import StateUnavailable
from sluicegate.server.routes import Proxy, Upstream
from tests.events.gate import Streams, bearer, streaming
from tests.server.upstream import OK, Listening, Peer, upstream
from tests.table.tokens import NOW, mint
from tests.wire import WITHIN, Wire, connected, request

KEY = "BLACKLIST:sub:alice"


@pytest.fixture
def behind() -> Iterator[Listening]:
    with upstream() as listening:
        yield listening


@contextmanager
def asked(
    behind: Listening, *fields: tuple[str, str], method: str = "GET", token: str | None = None
) -> Iterator[tuple[Streams, Wire, Peer]]:
    """A request that has reached its upstream, whole or in part."""
    with streaming(proxied=behind.proxy) as hub, connected(hub.gate.address) as wire:
        wire.send(request("/api/x", bearer(mint() if token is None else token), *fields, method=method))
        peer = behind.accept()
        peer.request()
        yield hub, wire, peer


def test_who_waits_for_an_answer_is_refused_when_the_token_is_revoked(behind: Listening) -> None:
    with asked(behind) as (hub, wire, peer):
        hub.revoke(KEY)
        refused = wire.receive()
        assert (refused.status, json.loads(refused.body)["error"]) == (401, "api_key_blacklisted")
        assert peer.is_closed()
        wire.send(request("/api/x", bearer(mint(sub="bob"))))
        behind.accept().serve()
        assert wire.receive().status == 200  # the connection is as good as it was
        assert hub.hub.live.open == 0


def test_who_waits_for_an_answer_is_refused_when_the_token_expires(behind: Listening) -> None:
    with asked(behind, token=mint(exp=NOW + 60)) as (hub, wire, peer):
        hub.clock.now += 61
        assert json.loads(wire.receive().body)["reason"] == "expired"
        assert peer.is_closed()


@pytest.mark.parametrize("framing", [("Transfer-Encoding", "chunked"), ("Content-Length", "1000000")])
def test_nothing_more_goes_up_once_the_token_is_revoked(behind: Listening, framing: tuple[str, str]) -> None:
    piece = b"6\r\nrecord\r\n" if framing[1] == "chunked" else b"record"
    with asked(behind, framing, method="POST") as (hub, wire, peer):
        wire.send(piece)
        peer.body(len(piece))
        hub.revoke(KEY)
        assert wire.receive().status == 401
        assert peer.is_closed()  # and not with a last chunk: nobody takes it for whole
        assert wire.is_closed()


def test_an_answer_that_stops_behind_its_head_is_not_brought_to_its_end(behind: Listening) -> None:
    with asked(behind) as (hub, wire, peer):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        assert wire.receive_head().status == 200
        hub.revoke(KEY)
        assert peer.is_closed()
        assert wire.is_closed()


def test_a_quick_answer_is_not_registered(behind: Listening) -> None:
    with asked(behind) as (hub, wire, peer):
        peer.send(OK)
        assert wire.receive().status == 200
        assert hub.hub.live.open == 0
        assert not hub.hub.live.ended


def test_nothing_is_sent_where_the_token_ended_while_a_connection_was_looked_for() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as stack:
        port = listening.getsockname()[1]
        # its backlog is full, so that whoever comes waits until there is room
        stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        with streaming(proxied=Proxy(Upstream("127.0.0.1", port))) as hub, connected(hub.gate.address) as wire:
            wire.send(request("/api/x", bearer(mint())))
            while not hub.gate.gateway.upstreams[0]["in_flight"]:
                hub.gate.turn()
            hub.revoke(KEY)
            # the time of the gateway itself is to pass, and it is not the test's
            assert not select.select([wire.socket], [], [], 0.6)[0]
            stack.enter_context(listening.accept()[0])
            assert wire.receive().status == 401
            late = stack.enter_context(listening.accept()[0])
            late.settimeout(WITHIN)
            with suppress(ConnectionResetError):
                assert late.recv(1) == b""


class Blinks:
    """A store that is away for one question, the second."""

    def __init__(self) -> None:
        self.asked = 0

    def find(self, _: tuple[str, ...]) -> Hits:
        self.asked += 1
        if self.asked == 2:
            raise StateUnavailable("gone")
        return {}


def test_a_store_that_is_away_for_a_moment_costs_nobody_what_was_admitted(behind: Listening) -> None:
    store = Blinks()
    with streaming(proxied=behind.proxy, asked=store) as hub, connected(hub.gate.address) as wire:
        wire.send(request("/api/x", bearer(mint())))
        peer = behind.accept()
        peer.request()
        while store.asked < 3:
            hub.gate.turn()
        peer.send()
        assert wire.receive().status == 200


def test_a_store_that_stays_away_ends_what_lasts(behind: Listening) -> None:
    class Away(Blinks):
        def find(self, keys: tuple[str, ...]) -> Hits:
            self.asked = min(self.asked, 1)
            return super().find(keys) if not self.asked else self.gone()

        def gone(self) -> Hits:
            raise StateUnavailable("gone")

    with streaming(proxied=behind.proxy, asked=Away()) as hub, connected(hub.gate.address) as wire:
        wire.send(request("/api/x", bearer(mint())))
        peer = behind.accept()
        peer.request()
        assert json.loads(wire.receive().body)["reason"] == "state_unavailable"
        assert peer.is_closed()
