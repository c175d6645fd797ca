"""Pages of allowed origins may read every answer, refusals too; others none. Preflights need no token."""

import pytest

from tests.server.gate import BEARER, HELLO, route, running
from tests.server.upstream import OK, upstream
from tests.wire import Response, connected, exchange, request

PAGE = ("Origin", "https://app.test")
STRANGER = ("Origin", "https://evil.test")
ASKS = (("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "authorization, x-own"))


def ask(
    *headers: tuple[str, str], target: str = "/hello", method: str = "GET", origins: tuple[str, ...] = (PAGE[1],)
) -> Response:
    """Send one request to a gate with these origins."""
    with running(route("/hello", HELLO), cors_allowed_origins=origins) as gate:
        return exchange(gate.address, request(target, *headers, method=method))


@pytest.mark.parametrize(
    ("headers", "target", "status"),
    [((BEARER,), "/hello", 200), ((), "/hello", 401), ((BEARER,), "/nowhere", 404), ((BEARER,), "/a//b", 400)],
)
def test_an_allowed_page_may_read_the_answer(headers: tuple[tuple[str, str], ...], target: str, status: int) -> None:
    response = ask(PAGE, *headers, target=target)
    assert response.status == status
    assert response.header("Access-Control-Allow-Origin") == PAGE[1]
    assert response.header("Access-Control-Allow-Credentials") == "true"
    assert "X-Error-Type" in (response.header("Access-Control-Expose-Headers") or "")
    assert response.header("Vary") == "Origin"


def test_another_page_may_not() -> None:
    response = ask(STRANGER, BEARER)
    assert response.header("Access-Control-Allow-Origin") is None
    assert response.header("Access-Control-Allow-Credentials") is None
    assert response.header("Vary") == "Origin"


def test_every_page_may_but_never_with_credentials() -> None:
    response = ask(STRANGER, BEARER, origins=("*",))
    assert response.header("Access-Control-Allow-Origin") == "*"
    assert response.header("Access-Control-Allow-Credentials") is None


def test_without_origins_nothing_is_said() -> None:
    assert not [name for name, _ in ask(PAGE, BEARER, origins=()).headers if "access-control" in name.lower()]


def test_a_preflight_is_answered_without_a_token() -> None:
    response = ask(PAGE, *ASKS, method="OPTIONS")
    assert response.status == 204
    assert response.header("Access-Control-Allow-Origin") == PAGE[1]
    assert "PUT" in (response.header("Access-Control-Allow-Methods") or "")
    assert response.header("Access-Control-Allow-Headers") == "authorization, x-own"
    assert response.header("Content-Length") is None


def test_a_preflight_of_another_page_is_allowed_nothing() -> None:
    response = ask(STRANGER, *ASKS, method="OPTIONS")
    assert response.status == 204
    assert response.header("Access-Control-Allow-Origin") is None
    assert response.header("Access-Control-Allow-Methods") is None


def test_options_that_is_no_preflight_needs_a_token() -> None:
    assert ask(PAGE, method="OPTIONS").status == 401


def test_a_preflight_goes_on_to_the_upstream_which_knows_what_it_allows() -> None:
    with upstream() as behind, running(route("/*", behind.proxy)) as gate, connected(gate.address) as wire:
        wire.send(request("/x", PAGE, *ASKS, method="OPTIONS"))
        peer = behind.accept()
        received = peer.serve(b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://app.test\r\n\r\n")
        assert not received.all("X-Auth-User-Id")
        assert wire.receive().header("Access-Control-Allow-Origin") == "https://app.test"


WHOLE = b"Content-Length: 6\r\n\r\nsecret"


@pytest.mark.parametrize("framing", [WHOLE, b"Transfer-Encoding: chunked\r\n\r\n6\r\nsecret\r\n", b"\r\n"])
def test_content_comes_back_for_no_preflight_whatever_the_upstream_makes_of_it(framing: bytes) -> None:
    """Nobody was asked for a token. An upstream that does not look at the method answers as it would to GET."""
    with upstream() as behind, running(route("/*", behind.proxy)) as gate, connected(gate.address) as wire:
        peer = None
        for _ in range(2):
            wire.send(request("/x", PAGE, *ASKS, method="OPTIONS"))
            peer = peer or behind.accept()
            allowed = b"Set-Cookie: a=b\r\nVARY: Origin\r\nAccess-Control-Allow-Origin: *\r\n"
            hints = b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\n\r\n"
            peer.serve(hints + b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + allowed + framing)
            answer = wire.receive()
            assert (answer.status, answer.body) == (200, b"")
            assert (answer.header("Access-Control-Allow-Origin"), answer.header("Vary")) == ("*", "Origin")
            assert (answer.header("Content-Type"), answer.header("Set-Cookie")) == (None, None)
            if framing is not WHOLE:  # what may still come of it is nobody's
                assert peer.is_closed()
                peer = None


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_to_a_preflight_that_has_no_content_tells_no_length_of_any(status: bytes) -> None:
    with upstream() as behind, running(route("/*", behind.proxy)) as gate, connected(gate.address) as wire:
        wire.send(request("/x", PAGE, *ASKS, method="OPTIONS"))
        behind.accept().serve(b"HTTP/1.1 " + status + b"\r\nVary: Origin\r\n\r\n")
        assert wire.receive().header("Content-Length") is None


def test_what_the_upstream_says_of_origins_counts_before_ours() -> None:
    with upstream() as behind, running(route("/*", behind.proxy), cors_allowed_origins=(PAGE[1],)) as gate:
        for said, expected in ((b"Access-Control-Allow-Origin: *\r\n", "*"), (b"", PAGE[1])):
            with connected(gate.address) as wire:
                wire.send(request("/x", PAGE, BEARER))
                behind.accept().serve(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n" + said + b"\r\n"))
                assert wire.receive().header("Access-Control-Allow-Origin") == expected


@pytest.mark.parametrize(
    "near", ["https://app.test.evil.test", "http://app.test", "https://app.test:8443", "null", "https://APP.test"]
)
def test_an_origin_is_compared_whole(near: str) -> None:
    assert ask(("Origin", near), BEARER).header("Access-Control-Allow-Origin") is None
