"""The recipes of docs/forward-auth.md, as printed, with the real proxies."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Literal

import pytest

from tests.cli.sluicegate import Config, bearer, configure, serving
from tests.servers.caddy import caddy
from tests.servers.nginx import nginx
from tests.wire import Response, exchange, request

PAGE = (Path(__file__).parents[2] / "docs" / "forward-auth.md").read_text(encoding="utf-8")

Address = tuple[str, int]
Name = Literal["nginx", "caddy"]


class Shows(BaseHTTPRequestHandler):
    """An application that answers with the headers that it received."""

    def do_GET(self) -> None:
        data = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def application() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shows)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def recipe(language: str, *, gate: int, behind: int) -> str:
    """The block of this language, with the ports of this test."""
    found = re.search(f"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1].replace("127.0.0.1:8080", f"127.0.0.1:{gate}").replace("127.0.0.1:8081", f"127.0.0.1:{behind}")


@contextmanager
def proxied(name: Name, config: Config) -> Iterator[Address]:
    with ExitStack() as stack:
        gate = stack.enter_context(serving(config)).address[1]
        behind = stack.enter_context(application())
        if name == "nginx":
            text = recipe("nginx", gate=gate, behind=behind).replace("127.0.0.1:8000", "$LISTEN")
            server = stack.enter_context(nginx(text))
            yield server.host, server.port
        else:
            text = recipe("caddyfile", gate=gate, behind=behind).replace("http://127.0.0.1:8000", "http://:$PORT")
            site = stack.enter_context(caddy(text))
            yield site.host, site.port


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Address, Config]]:
    text = f'[forward_auth]\npath = "/auth"\nproxy = "{request.param}"\n'
    config = configure(tmp_path_factory.mktemp("gate"), text, tokens='meta_claims = ["tier"]')
    with proxied(request.param, config) as address:
        yield address, config


Front = tuple[Address, Config]


def get(front: Front, *headers: tuple[str, str], target: str = "/api/orders") -> Response:
    return exchange(front[0], request(target, *headers, host="app.example.com"))


def received(response: Response) -> dict[str, list[str]]:
    """What the application saw: each header and its values."""
    assert response.status == 200, response
    seen: dict[str, list[str]] = {}
    for name, value in json.loads(response.body):
        seen.setdefault(name, []).append(value)
    return seen


def test_a_good_token_reaches_the_application_with_its_identity(front: Front) -> None:
    seen = received(get(front, bearer(front[1].mint("--claim", "tier=PREMIUM"))))
    assert seen["x-auth-user-id"] == ["alice"]
    assert seen["x-auth-user-tier"] == ["PREMIUM"]


def test_a_token_in_the_original_query_or_cookie_counts(front: Front) -> None:
    token = front[1].mint()
    assert received(get(front, target=f"/api/orders?a=1&token={token}"))["x-auth-user-id"] == ["alice"]
    assert received(get(front, ("Cookie", f"session_token={token}")))["x-auth-user-id"] == ["alice"]


def test_without_a_good_token_nothing_reaches_the_application(front: Front) -> None:
    missing = get(front)
    assert missing.status == 401
    assert missing.header("WWW-Authenticate") == 'Bearer realm="sluicegate"'
    assert get(front, bearer("e30.e30.e30")).status == 401


def test_a_revoked_token_is_refused_by_the_next_request(front: Front) -> None:
    token = front[1].mint("--jti", "key-1")
    assert get(front, bearer(token)).status == 200
    assert front[1].run("revoke", "--jti", "key-1").code == 0
    assert get(front, bearer(token)).status == 401


@pytest.mark.parametrize("name", ["X-Auth-User-Id", "x-auth-user-id", "X-Auth-User-Tier", "X_Auth_User_Tier"])
def test_a_header_that_the_client_made_up_never_reaches_the_application(front: Front, name: str) -> None:
    seen = received(get(front, bearer(front[1].mint()), (name, "ENTERPRISE")))
    assert "ENTERPRISE" not in str(seen)


def test_what_the_client_says_of_the_original_request_is_not_believed(front: Front) -> None:
    lies = [("X-Original-URI", "/api/x?token=a"), ("X-Original-Method", "OPTIONS"), ("X-Forwarded-Uri", "/public")]
    lies += [("X-Forwarded-Method", "OPTIONS"), ("Origin", "https://evil.example.com")]
    lies += [("Access-Control-Request-Method", "GET")]
    assert get(front, *lies).status == 401
