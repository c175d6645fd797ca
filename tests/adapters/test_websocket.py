"""WebSockets pass the same gate: a real client against a real uvicorn."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.sync.client import ClientConnection, connect

from tests.servers.ports import LOOPBACK
from tests.table.shapes import listening
from tests.table.tokens import mint, unsigned

Headers = dict[str, str]
BEARER: Headers = {"Authorization": f"Bearer {mint()}"}

APPLICATIONS = [
    pytest.param(("plain_asgi", "--ws=websockets"), id="plain ASGI"),
    pytest.param(("plain_asgi", "--ws=websockets-sansio"), id="plain ASGI, sans-IO"),
    pytest.param(("starlette_app", "--ws=websockets"), id="Starlette"),
]


@pytest.fixture(scope="module", params=APPLICATIONS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """An application of the table under uvicorn."""
    application, option = request.param
    with listening("uvicorn", f"tests.table.apps.{application}:app", "--port=$PORT", option) as port:
        yield port


def opened(port: int, target: str = "/default/ws", headers: Headers | None = None) -> ClientConnection:
    return connect(f"ws://{LOOPBACK}:{port}{target}", additional_headers=headers or {}, open_timeout=10, proxy=None)


def told(port: int, target: str = "/default/ws", headers: Headers | None = None) -> dict[str, Any]:
    with opened(port, target, headers) as socket:
        message: dict[str, Any] = json.loads(socket.recv(timeout=10))
    return message


def refused(port: int, target: str = "/default/ws", headers: Headers | None = None) -> Response:
    with pytest.raises(InvalidStatus) as refusal, opened(port, target, headers):
        pass
    return refusal.value.response


class TestAdmitted:
    @pytest.mark.parametrize(
        ("target", "headers"),
        [
            ("/default/ws", BEARER),
            ("/default/ws", {"Cookie": f"session_token={mint()}"}),
            (f"/default/ws?access_token={mint()}", {}),
        ],
        ids=["header", "cookie", "query"],
    )
    def test_a_token_opens_from_each_place(self, port: int, target: str, headers: Headers) -> None:
        message = told(port, target, headers)
        assert (message["identity"]["id"], message["user"]) == ("alice", "alice")

    def test_spoofed_headers_do_not_arrive(self, port: int) -> None:
        message = told(port, headers={**BEARER, "X-Auth-User-Id": "root", "X.Auth.User.Tier": "ENTERPRISE"})
        assert (message["managed"], message["identity"]["id"]) == ([], "alice")

    def test_the_handshake_carries_the_request_id(self, port: int) -> None:
        with opened(port, headers=BEARER) as socket:
            assert socket.response is not None
            assert socket.response.headers["X-Request-ID"]

    def test_no_token_where_none_is_needed_is_nobody(self, port: int) -> None:
        assert told(port, "/optional/ws")["identity"] is None


class TestRefused:
    @pytest.mark.parametrize(
        ("headers", "error", "reason"),
        [
            ({}, "invalid_token", "missing"),
            ({"Authorization": "Bearer junk"}, "invalid_token", "malformed"),
            ({"Authorization": f"Bearer {mint(exp=1)}"}, "invalid_token", "expired"),
            ({"Authorization": f"Bearer {unsigned()}"}, "invalid_token", "algorithm"),
            ({"Authorization": f"Bearer {mint(jti='revoked')}"}, "api_key_blacklisted", "revoked"),
        ],
        ids=["missing", "malformed", "expired", "unsigned", "revoked"],
    )
    def test_a_refused_handshake_gets_the_whole_answer(
        self, port: int, headers: Headers, error: str, reason: str
    ) -> None:
        response = refused(port, headers=headers)
        body = json.loads(response.body)
        assert (response.status_code, body["error"], body["reason"]) == (401, error, reason)
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")
        assert response.headers["X-Request-ID"]

    def test_a_scope_that_is_missing_is_403(self, port: int) -> None:
        response = refused(port, "/writers/ws", {"Authorization": f"Bearer {mint(scope='read')}"})
        assert (response.status_code, json.loads(response.body)["reason"]) == (403, "scope")

    def test_a_store_out_of_reach_is_500(self, port: int) -> None:
        response = refused(port, "/down/ws", BEARER)
        assert (response.status_code, json.loads(response.body)["reason"]) == (500, "state_unavailable")
        assert response.headers["Retry-After"]

    def test_a_preflights_headers_open_nothing(self, port: int) -> None:
        asking = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
        assert refused(port, headers=asking).status_code == 401


def test_a_server_that_cannot_say_more_says_403() -> None:
    application = "tests.table.apps.quiet_asgi:app"
    with listening("uvicorn", application, "--port=$PORT", "--ws=websockets") as port:
        assert refused(port).status_code == 403
        assert told(port, headers=BEARER)["user"] == "alice"
