"""Tokens that the upstream does not see: none in a `Referer`, and none at all on a route that strips them."""

import dataclasses
from pathlib import Path

import msgspec
import pytest

from sluicegate.core.policy import TicketKey
from tests.cli.sluicegate import bearer, configure, serving
from tests.server.gate import BEARER, HELLO, TOKEN, route, running
from tests.server.upstream import Listening
from tests.wire import connected, request


@pytest.mark.parametrize(
    ("target", "headers", "sent"),
    [
        ("/a?b=%20", [BEARER], ("GET /a?b=%20 HTTP/1.1", {})),
        (f"/a?b=%20&token={TOKEN}", [], ("GET /a?b=%20 HTTP/1.1", {})),
        (f"/a?%74oken={TOKEN}", [], ("GET /a HTTP/1.1", {})),
        (f"http://gate.test/a?token={TOKEN}&c", [], ("GET /a?c HTTP/1.1", {})),
        ("/a?", [BEARER], ("GET /a? HTTP/1.1", {})),
        ("/a", [("Cookie", f"a=1; session_token={TOKEN}; b")], ("GET /a HTTP/1.1", {"cookie": ("a=1; b",)})),
        ("/a", [BEARER, ("Authorization", "Basic dTpw")], ("GET /a HTTP/1.1", {"authorization": ("Basic dTpw",)})),
        ("/a", [("X-API-Key", TOKEN), ("X-Copy", TOKEN)], ("GET /a HTTP/1.1", {})),
    ],
)
@pytest.mark.parametrize("auth", ["required", "optional", "none"])
def test_a_route_that_strips_tokens_passes_on_everything_else(
    behind: Listening, auth: str, target: str, headers: list[tuple[str, str]], sent: tuple[str, dict[str, tuple[str]]]
) -> None:
    (line, left), proxy = sent, dataclasses.replace(behind.proxy, strip_token=True)
    with running(route("/*", proxy, auth=auth)) as gate, connected(gate.address) as wire:
        peer = None
        for _ in range(2):  # the second comes from a warm connection
            wire.send(request(target, *headers, ("Accept", "*/*")))
            peer = peer or behind.accept()
            received = peer.serve()
            assert received.line == line
            assert TOKEN not in str(received)
            assert received.all("Accept") == ("*/*",)
            assert received.all("X-Auth-User-Id") == (() if auth == "none" else ("alice",))
            for name in ("cookie", "authorization", "x-api-key"):
                assert received.all(name) == left.get(name, ())
            assert wire.receive().body == b"ok"


def test_a_token_of_the_query_takes_its_copy_along_though_the_fields_came_before(behind: Listening) -> None:
    proxy = dataclasses.replace(behind.proxy, strip_token=True)
    with running(route("/*", proxy, auth="none")) as gate, connected(gate.address) as wire:
        wire.send(request("/a", ("X-Copy", TOKEN)))
        peer = behind.accept()
        assert peer.serve().all("X-Copy") == (TOKEN,)
        assert wire.receive().body == b"ok"
        wire.send(request(f"/a?token={TOKEN}", ("X-Copy", TOKEN)))
        assert not peer.serve().all("X-Copy")
        assert wire.receive().body == b"ok"


@pytest.mark.parametrize("strips", [True, False])
@pytest.mark.parametrize("auth", ["required", "none"])
def test_no_route_shows_its_upstream_the_tokens_of_a_referer(behind: Listening, auth: str, *, strips: bool) -> None:
    proxy = dataclasses.replace(behind.proxy, strip_token=strips)
    with running(route("/*", proxy, auth=auth)) as gate, connected(gate.address) as wire:
        peer = None
        for _ in range(2):
            wire.send(request("/a", BEARER, ("Referer", f"https://a.test/b?c=1&token={TOKEN}&d=%20")))
            peer = peer or behind.accept()
            received = peer.serve()
            assert received.all("Referer") == ("https://a.test/b?c=1&d=%20",)
            assert received.all("Authorization") == (() if strips else (BEARER[1],))
            assert wire.receive().body == b"ok"


def test_a_gate_that_takes_tickets_shows_no_upstream_an_unused_one(behind: Listening) -> None:
    ticket, strips = "t" * 43, dataclasses.replace(behind.proxy, strip_token=True)
    taking = route("/events", HELLO)
    assert taking.policy is not None
    taking = dataclasses.replace(taking, policy=msgspec.structs.replace(taking.policy, tickets=TicketKey(b"k" * 32)))
    for routes, seen in (([taking], ""), ([], f"?ticket={ticket}")):
        with running(*routes, route("/*", strips, auth="none")) as gate, connected(gate.address) as wire:
            wire.send(request(f"/a?ticket={ticket}", ("Referer", f"https://a.test/b?ticket={ticket}")))
            received = behind.accept().serve()
            assert received.line == f"GET /a{seen} HTTP/1.1"
            assert received.all("Referer") == (f"https://a.test/b{seen}",)
            assert wire.receive().body == b"ok"


def test_a_route_is_told_to_strip_tokens_in_its_settings(tmp_path: Path, behind: Listening) -> None:
    config = configure(
        tmp_path,
        f'[[route]]\npath = "/*"\nupstream = "http://127.0.0.1:{behind.port}"\nstrip_token = true\n',
        tokens='from_query = ["t"]\nfrom_header = ["Authorization", "X-Own"]\nfrom_cookies = ["c"]\n',
    )
    token = config.mint()
    with serving(config) as gateway, connected(gateway.address) as wire:
        wire.send(
            request(
                f"/a?token=1&t={token}", bearer(token), ("X-Own", token), ("Cookie", f"c={token}; session_token=mine")
            )
        )
        received = behind.accept().serve()
        assert wire.receive().body == b"ok"
        assert received.line == "GET /a?token=1 HTTP/1.1"
        assert received.all("Cookie") == ("session_token=mine",)
        assert received.all("X-Auth-User-Id") == ("alice",)
        assert token not in str(received)
