"""Route, decide, act: what a client gets, what an upstream gets, and what never passes."""

import asyncio
from collections.abc import Iterator
from typing import Literal

import pytest
import uvloop

from sluicegate.server.routes import ForwardAuth, Proxy, Respond
from sluicegate.server.wire.limits import Rate
from tests.server.gate import BEARER, HELLO, REVOKED, TOKEN, Held, LoopFactory, Running, engine, route, running
from tests.server.upstream import OK, Listening, Received, upstream
from tests.table.tokens import mint
from tests.wire import Response, connected, exchange, request


@pytest.fixture(scope="module")
def behind() -> Iterator[Listening]:
    with upstream() as listening:
        yield listening


@pytest.fixture(scope="module")
def gate(behind: Listening) -> Iterator[Running]:
    header_up = (("X-User", "{http.auth.user.id}"), ("X-Static", "here"), ("X-Missing", "{http.auth.user.missing}"))
    routes = (
        route("/hello", HELLO),
        route("/maybe", Respond("You are {http.auth.user.id}."), auth="optional"),
        route("/admin", HELLO, scopes=("admin",)),
        route("/open/*", behind.proxy, auth="none"),
        route("/named/*", Proxy(behind.proxy.upstream, header_up)),
        route("/events/{topic}", behind.proxy),
        route("/api/*", behind.proxy),
    )
    with running(*routes) as gate:
        yield gate


def passed(gate: Running, behind: Listening, raw: bytes) -> tuple[Received, Response]:
    """Send a request that passes; return it as the upstream got it, and the response."""
    with connected(gate.address) as wire:
        wire.send(raw)
        peer = behind.accept()
        received = peer.serve(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        return received, wire.receive()


def test_a_good_token_is_answered_by_name(gate: Running) -> None:
    response = exchange(gate.address, request("/hello", BEARER))
    assert (response.status, response.body) == (200, b"Hello alice!")
    assert response.header("Cache-Control") == "no-store"
    assert response.header("X-Content-Type-Options") == "nosniff"
    assert response.header("Date")


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ((), 401, b'"missing"'),
        ((("Authorization", "Bearer x.y.z"),), 401, b'"malformed"'),
        ((REVOKED,), 401, b'"revoked"'),
        ((("Authorization", f"Bearer {mint(secret=b'x' * 32)}"),), 401, b'"signature"'),
    ],
)
def test_anything_else_is_refused(
    gate: Running, behind: Listening, headers: tuple[tuple[str, str], ...], status: int, reason: bytes
) -> None:
    for target in ("/hello", "/api/x"):
        response = exchange(gate.address, request(target, *headers))
        assert response.status == status
        assert reason in response.body
        assert response.header("WWW-Authenticate")
        assert response.header("X-Request-ID")
    assert behind.is_untouched()


def test_a_route_that_needs_more_says_403(gate: Running) -> None:
    response = exchange(gate.address, request("/admin", BEARER))
    assert response.status == 403
    assert 'scope="admin"' in (response.header("WWW-Authenticate") or "")


def test_an_optional_route_knows_who_comes_and_refuses_a_bad_token(gate: Running) -> None:
    assert exchange(gate.address, request("/maybe", BEARER)).body == b"You are alice."
    assert exchange(gate.address, request("/maybe")).body == b"You are ."
    assert exchange(gate.address, request("/maybe", REVOKED)).status == 401


def test_a_path_without_a_route_is_404_in_json(gate: Running) -> None:
    response = exchange(gate.address, request("/nowhere", BEARER))
    assert (response.status, response.header("Content-Type")) == (404, "application/json")
    assert b'"not_found"' in response.body


def test_a_ping_is_answered_here(gate: Running) -> None:
    assert exchange(gate.address, request("*", method="OPTIONS")).status == 204


def test_trace_is_refused_and_told_what_would_do(gate: Running) -> None:
    response = exchange(gate.address, request("/api/x", BEARER, method="TRACE"))
    assert response.status == 405
    assert "GET" in (response.header("Allow") or "")


def test_the_upstream_gets_the_identity_and_the_target_as_it_came(gate: Running, behind: Listening) -> None:
    received, response = passed(gate, behind, request("/api/a%20b?c=d&&e", BEARER, ("X-Own", "kept")))
    assert received.line == "GET /api/a%20b?c=d&&e HTTP/1.1"
    assert received.all("X-Auth-User-Id") == ("alice",)
    assert received.all("X-Auth-User-Tier") == ("FREE",)
    assert received.all("X-Own") == ("kept",)
    assert received.all("Host") == ("gate.test",)
    assert received.all("X-Forwarded-For") == ("127.0.0.1",)
    assert received.all("X-Forwarded-Proto") == ("http",)
    assert received.all("X-Forwarded-Host") == ("gate.test",)
    assert received.all("Via") == ("1.1 sluicegate",)
    assert (response.status, response.body) == (200, b"ok")


def test_one_id_names_the_request_to_both_sides(gate: Running, behind: Listening) -> None:
    theirs = ("X-Request-ID", "client-made")
    with connected(gate.address) as wire:
        wire.send(request("/api/x", BEARER, theirs, ("X_Request_ID", "client-made")))
        peer = behind.accept()
        received = peer.serve(b"HTTP/1.1 200 OK\r\nX-Request-ID: upstream-made\r\nContent-Length: 0\r\n\r\n")
        response = wire.receive()
        peer.close()
    (ours,) = received.all("X-Request-ID")
    assert response.header("X-Request-ID") == ours
    assert "x_request_id" not in received.names
    assert ours not in {"client-made", "upstream-made"}


SPELLINGS = [
    "X-Auth-User-Id",
    "x-auth-user-id",
    "X_Auth_User_Id",
    "X.Auth.User.Id",
    "X-Auth_User.Id",
    "X-AUTH-USER-Anything",
]


@pytest.mark.parametrize("target", ["/api/x", "/open/x", "/named/x"])
def test_a_managed_header_of_the_client_never_passes(gate: Running, behind: Listening, target: str) -> None:
    forged = [(spelling, "mallory") for spelling in [*SPELLINGS, "X-User", "x_user", "X.User", "X-Missing"]]
    received, _ = passed(gate, behind, request(target, BEARER, *forged))
    if target == "/named/x":
        assert received.all("X-User") == ("alice",)
        assert received.all("X-Static") == ("here",)
        assert "mallory" not in str(received)
    else:
        assert "mallory" not in str([field for field in received.headers if "auth" in field[0].lower()])
    assert received.all("X-Auth-User-Id") == (() if target == "/open/x" else ("alice",))


def test_an_open_route_decides_nothing_and_tells_nothing(gate: Running, behind: Listening) -> None:
    received, response = passed(gate, behind, request("/open/x", REVOKED))
    assert response.status == 200
    assert not any(name.startswith("x-auth-user") for name in received.names)


@pytest.mark.parametrize(
    "lie",
    ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Original-URI", "X_Forwarded_For", "X-Forwarded-Proto"],
)
def test_what_an_untrusted_peer_says_of_itself_is_not_passed_on(gate: Running, behind: Listening, lie: str) -> None:
    received, _ = passed(gate, behind, request("/api/x", BEARER, (lie, "203.0.113.9")))
    assert "203.0.113.9" not in str(received)


def test_what_a_trusted_proxy_says_is_passed_on(behind: Listening) -> None:
    with running(route("/api/*", behind.proxy), trusted=lambda peer: peer == "127.0.0.1") as gate:
        received, _ = passed(gate, behind, request("/api/x", BEARER, ("X-Forwarded-For", "203.0.113.9")))
    assert received.all("X-Forwarded-For") == ("203.0.113.9, 127.0.0.1",)


def test_hop_by_hop_headers_end_here(gate: Running, behind: Listening) -> None:
    hop = [
        ("Connection", "keep-alive, X-Mine"),
        ("X-Mine", "a"),
        ("Keep-Alive", "b"),
        ("TE", "gzip"),
        ("Upgrade", "h2c"),
    ]
    received, _ = passed(gate, behind, request("/api/x", BEARER, *hop, ("Proxy-Authorization", "c")))
    assert received.names.isdisjoint({"connection", "x-mine", "keep-alive", "te", "upgrade", "proxy-authorization"})


def test_a_connection_header_cannot_take_away_what_is_ours(gate: Running, behind: Listening) -> None:
    names = "X-Auth-User-Id, X-Forwarded-For, X-Request-ID, Host, Content-Length, Authorization, Via"
    with connected(gate.address) as wire:
        wire.send(request("/api/x", BEARER, ("Connection", names), method="POST", body=b"hello"))
        peer = behind.accept()
        received = peer.request()
        assert peer.body(5) == b"hello"
        peer.close()
    for name in names.split(", "):
        assert received.all(name), name


def test_a_warm_identity_is_told_to_the_upstream_anew_for_each_token(gate: Running, behind: Listening) -> None:
    for user in ("alice", "bob", "alice", "carol"):
        bearer = ("Authorization", f"Bearer {mint(sub=user)}")
        received, _ = passed(gate, behind, request("/named/x", bearer))
        assert received.all("X-User") == (user,)
        assert received.all("X-Auth-User-Id") == (user,)


def test_one_connection_may_change_its_user_between_requests(gate: Running, behind: Listening) -> None:
    with connected(gate.address) as wire:
        peer = None
        for user in ("alice", "bob", "bob", "alice"):
            wire.send(request("/api/x", ("Authorization", f"Bearer {mint(sub=user)}")))
            peer = peer or behind.accept()
            assert peer.serve().all("X-Auth-User-Id") == (user,)
            assert wire.receive().status == 200
    assert peer is not None
    peer.close()


def test_the_route_decides_what_a_repeated_request_tells(gate: Running, behind: Listening) -> None:
    """The same fields on the same connection, to two routes: each upstream request has its own route's headers."""
    with connected(gate.address) as wire:
        peer = None
        for target, static in (("/named/x", ("here",)), ("/api/x", ()), ("/named/x", ("here",)), ("/open/x", ())):
            wire.send(request(target, BEARER))
            peer = peer or behind.accept()
            received = peer.serve()
            assert received.all("X-Static") == static
            assert bool(received.all("X-Auth-User-Id")) is (target != "/open/x")
            assert wire.receive().status == 200
    assert peer is not None
    peer.close()


def test_a_decision_that_must_wait_holds_up_nobody_else() -> None:
    store = Held()
    with running(route("/hello", HELLO), decides=engine(store)) as gate, connected(gate.address) as wire:
        wire.send(request("/hello", BEARER) + request("/nowhere"))
        assert store.asked.acquire(timeout=10)
        assert exchange(gate.address, request("/nowhere")).status == 404
        store.answer()
        assert wire.receive().body == b"Hello alice!"
        assert wire.receive().status == 404


@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.SelectorEventLoop])
def test_a_client_that_leaves_takes_its_question_back(loop_factory: LoopFactory) -> None:
    store = Held()
    with running(route("/hello", HELLO), decides=engine(store), loop_factory=loop_factory) as gate:
        with connected(gate.address) as wire:
            wire.send(request("/hello", BEARER))
            assert store.asked.acquire(timeout=10)
        assert store.abandoned.wait(10)


def test_an_address_that_asks_too_often_is_told_when_to_come_back() -> None:
    with running(route("/hello", HELLO), rate=Rate(2, 60)) as gate, connected(gate.address) as wire:
        for _ in range(2):
            wire.send(request("/hello", BEARER))
            assert wire.receive().status == 200
        wire.send(request("/hello", BEARER))
        response = wire.receive()
        assert response.status == 429
        assert b'"rate_limited"' in response.body
        assert 1 <= int(response.header("Retry-After") or "0") <= 31


ASKED: dict[Literal["nginx", "caddy", "traefik"], tuple[str, str]] = {
    "nginx": ("X-Original-Method", "X-Original-URI"),
    "caddy": ("X-Forwarded-Method", "X-Forwarded-Uri"),
    "traefik": ("X-Forwarded-Method", "X-Forwarded-Uri"),
}


@pytest.mark.parametrize("proxy", ASKED)
def test_a_proxy_is_told_whether_and_who(proxy: Literal["nginx", "caddy", "traefik"]) -> None:
    method, uri = ASKED[proxy]
    asked = [(method, "POST"), (uri, f"/orders?token={TOKEN}")]
    with running(route("/auth", ForwardAuth(proxy, lambda _: True))) as gate:
        for _ in range(2):
            yes = exchange(gate.address, request("/auth", *asked))
            assert (yes.status, yes.header("X-Auth-User-Id"), yes.body) == (200, "alice", b"")
            assert yes.header("X-Request-ID")
        assert exchange(gate.address, request("/auth", (method, "POST"), (uri, "/orders"))).status == 401
        assert exchange(gate.address, request("/auth", REVOKED, *asked[:1], (uri, "/"))).status == 401
        assert exchange(gate.address, request("/auth", BEARER)).status == 400


def test_envoy_asks_with_the_path_itself() -> None:
    with running(route("/auth/*", ForwardAuth("envoy", lambda _: True))) as gate:
        assert exchange(gate.address, request("/auth/orders", BEARER)).header("X-Auth-User-Id") == "alice"
        assert exchange(gate.address, request("/auth/orders")).status == 401


def test_whoever_may_not_ask_is_told_nothing() -> None:
    asked = (("X-Original-Method", "GET"), ("X-Original-URI", "/"))
    with running(route("/auth", ForwardAuth("nginx", lambda _: False))) as gate:
        assert exchange(gate.address, request("/auth", BEARER, *asked)).status == 400


def test_a_preflight_that_a_proxy_asks_about_is_let_through() -> None:
    asked = [("X-Original-Method", "OPTIONS"), ("X-Original-URI", "/"), ("Origin", "https://a.test")]
    with running(route("/auth", ForwardAuth("nginx", lambda _: True))) as gate:
        asking = request("/auth", *asked, ("Access-Control-Request-Method", "POST"))
        assert exchange(gate.address, asking).status == 204
        assert exchange(gate.address, request("/auth", *asked)).status == 401
