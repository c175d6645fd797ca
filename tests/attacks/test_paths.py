"""Paths written so that the rules see one and the upstream another."""

from typing import Final

import pytest

from tests.attacks.scene import Scene
from tests.cli.sluicegate import bearer
from tests.wire import Response, connected, exchange, request

pytestmark = pytest.mark.parametrize("attacked", ["redis"], indirect=True)

_ADMIN: Final = [
    "/admin",
    "/admin?x",
    "/admin?",
    "/%61dmin",
    "/adm%69n",
    "http://gate.test/admin",
    "HTTP://elsewhere/admin",
    "http://gate.test:80/admin?x=1",
    "/ADMIN",
    "/Admin",
    "/aDmin/",
    "/admin/",
    "/%41dmin",
    "/admin%2f",
    "/admin%2F",
    "/admin;x",
    "/admin;jsessionid=1",
    "/admin%3bx",
    "/admin%3Bx",
    "/admin%253bx",
    "//admin",
    "///admin",
    "/.//admin",
    "/./admin",
    "/admin/.",
    "/admin/./",
    "/x/../admin",
    "/x/..//admin",
    "/x/%2e%2e/admin",
    "/x/%2E%2E/admin",
    "/x/.%2e/admin",
    "/x/..%2fadmin",
    "/x%2f..%2fadmin",
    "/x/..%5cadmin",
    "/x/..\\admin",
    "/\\admin",
    "/%5cadmin",
    "/%2fadmin",
    "/%2Fadmin",
    "/x/..;/admin",
    "/x/..%3b/admin",
    "/x/%252e%252e/admin",
    "/x/%252e./admin",
    "/%2561dmin",
    "/admin%00",
    "/admin%00.html",
    "/admin%0a",
    "/admin%0d%0aX:y",
    "/admin%09",
    "/admin%20",
    "/admin%7f",
    "/admin%",
    "/admin%zz",
    "/admin%u002f",
    "/admin%c0%af",
    "/x/%c0%ae%c0%ae/admin",
    "/x/%e0%80%ae./admin",
    "/public/../admin",
    "/public/..%2fadmin",
    "/public/%2e%2e/admin",
    "/public/..;/admin",
    "/public//admin/../../admin",
    "/public/x/../../admin",
    "/admin#x",
    "/admin%23",
    "/public/#/../admin",
    "admin",
    "*",
    "/public/..\\admin",
    "http://gate.test",
    "http://gate.test?/admin",
    "http://gate.test#/admin",
    "http:///admin",
    "//gate.test/admin",
    "gate.test:80",
    "ftp://gate.test/admin",
    "http://a@gate.test/admin",
    "/\uff41dmin",
    "/adm\u0131n",
]
_HARMLESS: Final = {
    "/admin%20",
    "/admin%u002f",
    "/admin%23",
    "/%2561dmin",
    "http://gate.test",
    "http://gate.test?/admin",
}
"""Other paths to everybody, or refused."""


def _is_admin(line: bytes) -> bool:
    """Tell whether the laxest of upstreams would take a request line for one of `/admin`."""
    return b"dmin" in line.lower() or b".." in line


@pytest.mark.parametrize("target", _ADMIN)
def test_no_spelling_of_a_protected_path_opens_it_with_a_lesser_token(attacked: Scene, target: str) -> None:
    attacked.upstream.forget()
    response = attacked.get(target, bearer(attacked.mint(scope="read")))
    if target in _HARMLESS:
        assert response.status in {200, 400, 403}
        return
    assert response.status in {400, 403}, response
    assert attacked.reached() == b""


@pytest.mark.parametrize("target", _ADMIN)
def test_no_spelling_of_a_protected_path_opens_it_without_a_token(attacked: Scene, target: str) -> None:
    attacked.upstream.forget()
    assert attacked.get(target).status in {400, 401}
    assert attacked.reached() == b""


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "PUT", "QUERY", "PROPFIND"])
def test_every_method_passes_the_same_rule(attacked: Scene, method: str) -> None:
    assert exchange(attacked.gateway.address, request("/admin", method=method)).status == 401


@pytest.mark.parametrize("method", ["get", "Get", "GETX", "TRACE", "CONNECT", "PRI", "X-HTTP", "G\tET"])
def test_other_methods_reach_nothing(attacked: Scene, method: str) -> None:
    attacked.upstream.forget()
    response = exchange(attacked.gateway.address, request("/public/x", bearer(attacked.mint()), method=method))
    assert response.status in {400, 405, 501}
    assert attacked.reached() == b""


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri"])
def test_no_header_moves_the_request_to_another_path(attacked: Scene, name: str) -> None:
    response = attacked.get("/admin", bearer(attacked.mint(scope="read")), (name, "/public/x"))
    assert response.status == 403


def test_a_preflight_is_asked_nothing_and_carries_nobody(attacked: Scene) -> None:
    seen = request(
        "/admin",
        ("Origin", "https://page.test"),
        ("Access-Control-Request-Method", "GET"),
        ("X-Auth-User-Id", "root"),
        method="OPTIONS",
    )
    attacked.upstream.forget()
    assert exchange(attacked.gateway.address, seen).status == 200
    assert b"x-auth-user" not in attacked.reached().lower()


@pytest.mark.parametrize("headers", [(("Origin", "https://page.test"),), (("Access-Control-Request-Method", "GET"),)])
def test_half_a_preflight_is_none(attacked: Scene, headers: tuple[tuple[str, str], ...]) -> None:
    assert exchange(attacked.gateway.address, request("/admin", *headers, method="OPTIONS")).status == 401


def test_a_preflight_with_a_body_is_none(attacked: Scene) -> None:
    headers = (("Origin", "https://page.test"), ("Access-Control-Request-Method", "POST"))
    smuggled = request("/admin", *headers, method="OPTIONS", body=b"delete everything")
    assert exchange(attacked.gateway.address, smuggled).status == 401


@pytest.mark.parametrize(
    "line",
    [
        b"GET /x\nX-Auth-User-Id:root HTTP/1.1",
        b"GET /x\tHTTP/1.1\nX-Auth-User-Id:root\nX: HTTP/1.1",
        b"GET /x?q=\nX-Auth-User-Id:root HTTP/1.1",
        b"GET /x\nTransfer-Encoding:chunked HTTP/1.1",
        b"GET /x\ry HTTP/1.1",
        b"GET /x\x00y HTTP/1.1",
        b"GET /x\x1b[2Jy HTTP/1.1",
        b"GET /x\x7f HTTP/1.1",
        b"GET /x\xff HTTP/1.1",
        b"GET /x?\xc3\xa9 HTTP/1.1",
        b"GET\t/x HTTP/1.1",
        b"GET  /x HTTP/1.1",
        b"GET /x HTTP/1.1 ",
        b"GET /x HTTP/1.2",
        b"GET /x HTTP/2.0",
        b"GET /x http/1.1",
        b"GET /x",
        b" GET /x HTTP/1.1",
    ],
)
@pytest.mark.parametrize("place", ["first", "second", "pipelined"])
def test_a_request_line_is_read_as_strictly_on_a_used_connection(attacked: Scene, line: bytes, place: str) -> None:
    """The header block that was read before is not read again; the line before it must be."""
    block = request("", bearer(attacked.mint())).partition(b"\r\n")[2]
    attacked.upstream.forget()
    with connected(attacked.gateway.address) as wire:
        if place == "pipelined":
            wire.send(b"GET /public/a HTTP/1.1\r\n" + block + line + b"\r\n" + block)
            assert wire.receive().status == 200
        else:
            if place == "second":
                wire.send(b"GET /public/a HTTP/1.1\r\n" + block)
                assert wire.receive().status == 200
                attacked.upstream.forget()
            wire.send(line + b"\r\n" + block)
        response: Response = wire.receive()
        assert response.status in {400, 505}
        assert wire.is_closed()
    assert b"/x" not in attacked.reached()
