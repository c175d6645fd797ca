"""A WebSocket opens where client, gate and upstream all mean one, and nothing behind a head goes on before that."""

import pytest

from sluicegate.server.wire.handshake import Handshake
from sluicegate.server.wire.reply import Reply
from tests.events.gate import bearer
from tests.server.upstream import OK
from tests.table.tokens import mint
from tests.websockets.opening import ACCEPT, ASKING, KEY, accept_for, behind, frame, opened, switching
from tests.wire import connected, exchange, request

BEARER = bearer(mint())


def without(name: str) -> tuple[tuple[str, str], ...]:
    return tuple(field for field in ASKING if field[0] != name)


def switched(accept: bytes) -> Reply:
    """A 101 with this proof, as it is read."""
    lines = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept:" + accept + b"\r\n"
    fields = {b"connection": b"upgrade", b"upgrade": b"websocket"}
    return Reply(status=101, lines=lines, fields=fields, body=None, persistent=True)


def test_the_answer_to_a_key_is_that_of_the_rfc() -> None:
    assert accept_for(KEY) == ACCEPT


def test_both_sides_see_the_handshake_and_the_upstream_who_it_is() -> None:
    more = "Sec-WebSocket-Protocol: chat"
    with opened(answer=switching(ACCEPT, more)) as one:
        assert one.asked.all("upgrade") == ("websocket",)
        assert one.asked.all("connection") == ("Upgrade",)
        assert one.asked.all("sec-websocket-key") == (KEY,)
        assert one.asked.all("x-auth-user-id") == ("alice",)
        assert one.answer.status == 101
        assert one.answer.header("Upgrade") == "websocket"
        assert one.answer.header("Connection") == "Upgrade"
        assert one.answer.header("Sec-WebSocket-Accept") == ACCEPT
        assert one.answer.header("Sec-WebSocket-Protocol") == "chat"
        assert one.answer.header("X-Request-ID")


@pytest.mark.parametrize("headers", [ASKING, (*ASKING, bearer(mint(jti="gone")))], ids=["no token", "revoked"])
def test_a_handshake_without_a_good_token_is_refused_like_any_request(headers: tuple[tuple[str, str], ...]) -> None:
    with behind() as (hub, listening):
        hub.revoke("BLACKLIST:key:gone")
        assert exchange(hub.gate.address, request("/api/ws", *headers)).status == 401
        assert listening.is_untouched()


@pytest.mark.parametrize(
    ("headers", "method", "body", "status"),
    [
        (ASKING, "POST", b"", 400),
        (ASKING, "GET", b"body", 400),
        ((*without("Sec-WebSocket-Version"), ("Sec-WebSocket-Version", "8")), "GET", b"", 426),
        (without("Sec-WebSocket-Version"), "GET", b"", 426),
        (without("Sec-WebSocket-Key"), "GET", b"", 400),
        ((*without("Sec-WebSocket-Key"), ("Sec-WebSocket-Key", "c2hvcnQ=")), "GET", b"", 400),
        ((*without("Sec-WebSocket-Key"), ("Sec-WebSocket-Key", KEY.replace("Q==", "R=="))), "GET", b"", 400),
        ((*ASKING, ("Sec-WebSocket-Key", KEY)), "GET", b"", 400),
        ((*ASKING, ("Sec-WebSocket-Version", "13")), "GET", b"", 400),
    ],
    ids=["post", "body", "version-8", "no-version", "no-key", "short-key", "loose-bits", "two-keys", "two-versions"],
)
def test_what_no_client_would_send_reaches_no_upstream(
    headers: tuple[tuple[str, str], ...], method: str, body: bytes, status: int
) -> None:
    with behind() as (hub, listening):
        answer = exchange(hub.gate.address, request("/api/ws", BEARER, *headers, method=method, body=body))
        assert answer.status == status
        assert (answer.header("Sec-WebSocket-Version") == "13") is (status == 426)
        assert listening.is_untouched()


@pytest.mark.parametrize(
    "headers",
    [
        without("Connection"),
        (("Connection", "keep-alive"), *without("Connection")),
        (*without("Upgrade"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")),
        (*without("Upgrade"), ("Upgrade", "TLS/1.0")),
    ],
    ids=["connection-missing", "not-named", "h2c", "tls"],
)
def test_what_asks_for_no_websocket_is_an_ordinary_request(headers: tuple[tuple[str, str], ...]) -> None:
    with behind() as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/ws", BEARER, *headers))
        asked = listening.accept().serve()
        assert not {"upgrade", "connection", "http2-settings"} & asked.names
        assert wire.receive().status == 200


def test_of_several_protocols_only_websocket_is_offered() -> None:
    with behind() as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/ws", BEARER, *without("Upgrade"), ("Upgrade", "h2c, websocket")))
        assert listening.accept().serve(switching()).all("upgrade") == ("websocket",)
        assert wire.receive().status == 101


@pytest.mark.parametrize(
    "answer",
    [
        switching(accept_for("AAAAAAAAAAAAAAAAAAAAAA==")),
        switching(ACCEPT, f"Sec-WebSocket-Accept: {ACCEPT}"),
        switching(protocol="h2c"),
        switching(protocol="websocket, h2c"),
        switching(connection="keep-alive"),
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
    ids=["accept", "two-accepts", "h2c", "two-protocols", "connection", "nothing"],
)
def test_an_upstream_that_switches_to_something_else_is_not_followed(answer: bytes) -> None:
    with opened(answer=answer) as one:
        assert one.answer.status == 502
        assert one.peer.is_closed()


@pytest.mark.parametrize("padded", ["  %b \t", "\t%b", "%b"])
def test_the_proof_of_an_upstream_counts_without_the_space_around_it(padded: str) -> None:
    assert Handshake(b"proof").is_met_by(switched(padded.encode() % b"proof"))


def test_the_proof_of_an_upstream_is_read_once_however_long_it_is() -> None:
    """Read once more for each of its spaces, it would take minutes, and the runner ends it."""
    assert not Handshake(b"proof").is_met_by(switched(b"x" + b" " * 1_000_000 + b"y"))


def test_a_101_that_nobody_asked_for_is_not_followed() -> None:
    with behind() as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/x", BEARER))
        listening.accept().serve(switching())
        assert wire.receive().status == 502


def test_nothing_behind_the_head_goes_on_before_the_upstream_has_agreed() -> None:
    smuggled = request("/admin", BEARER)
    with behind() as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/ws", BEARER, *ASKING) + smuggled)
        peer = listening.accept()
        peer.request()
        peer.send(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
        answer = wire.receive()
        assert (answer.status, answer.header("Connection")) == (426, "close")
        assert wire.is_closed()
        # the connection to the upstream is as good as before, and what was smuggled was never on it
        with connected(hub.gate.address) as other:
            other.send(request("/api/next", BEARER))
            assert peer.serve(OK).line == "GET /api/next HTTP/1.1"
            assert other.receive().status == 200


def test_an_upstream_that_does_not_agree_answers_and_the_connection_goes_on() -> None:
    with behind() as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/ws", BEARER, *ASKING))
        peer = listening.accept()
        peer.serve(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone")
        assert wire.receive().body == b"none"
        wire.send(request("/api/next", BEARER))
        peer.serve(OK)
        assert wire.receive().body == b"ok"


def test_what_came_early_is_passed_on_once_the_upstream_has_agreed() -> None:
    early = frame(b"early", mask=b"abcd")
    with opened(early=early) as one:
        assert one.answer.status == 101
        assert one.peer.body(len(early)) == early


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://gate.test", 101), ("https://listed.example", 101), ("https://evil.example", 403), ("null", 403)],
)
def test_a_page_of_somebody_else_cannot_use_the_cookie(origin: str, status: int) -> None:
    cookie = ("Cookie", f"session_token={mint()}")
    allowed = ["https://listed.example"]
    with behind(cors_allowed_origins=allowed) as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/ws", cookie, ("Origin", origin), *ASKING))
        if status == 101:
            listening.accept().serve(switching())
        assert wire.receive().status == status
        assert status == 101 or listening.is_untouched()


def test_a_page_that_holds_the_token_may_stand_anywhere() -> None:
    with behind() as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request(f"/api/ws?token={mint()}", ("Origin", "https://elsewhere.example"), *ASKING))
        listening.accept().serve(switching())
        assert wire.receive().status == 101
