"""One flow under every shape of the gate: library, ASGI, WSGI and forward-auth ask the same webhook the same way."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from wsgiref.util import setup_testing_defaults

import pytest

from sluicegate import Admit, AsyncGate, Gate
from sluicegate.adapters.asgi import SluicegateMiddleware
from sluicegate.adapters.decider import topic_of
from sluicegate.adapters.wsgi import SluicegateWSGI
from sluicegate.core.decision import Decision
from sluicegate.core.topics import topic_id
from tests.cli.sluicegate import Config, bearer, serving
from tests.table.tokens import EXPIRES, mint
from tests.webhook.endpoint import answers, endpoint

YES: Final = answers({"valid": True, "user_id": "user123", "expires_at": EXPIRES})
NO: Final = answers({"valid": False, "user_id": None, "expires_at": None})
TOKEN: Final = mint(iat=1_700_000_000)
HEADERS: Final = {"Authorization": f"Bearer {TOKEN}"}


def user(decision: Decision) -> str:
    """Who is let in, or the reason why nobody is."""
    if isinstance(decision, Admit):
        return decision.identity.id if decision.identity else "anonymous"
    return decision.reason.value


def library(url: str, directory: Path) -> str:
    with Gate(state_dir=str(directory), jwt_verifier={"webhook_url": url}) as gate:
        return user(gate.check(HEADERS))


def library_awaited(url: str, directory: Path) -> str:
    async def ask() -> str:
        async with AsyncGate(state_dir=str(directory), jwt_verifier={"webhook_url": url}) as gate:
            return user(await gate.check(HEADERS))

    return asyncio.run(ask())


def wsgi(url: str, directory: Path) -> str:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [json.dumps({"reason": environ["REMOTE_USER"]}).encode()]

    environ: dict[str, Any] = {"HTTP_AUTHORIZATION": HEADERS["Authorization"]}
    setup_testing_defaults(environ)
    with Gate(state_dir=str(directory), jwt_verifier={"webhook_url": url}) as gate:
        body = SluicegateWSGI(application, gate)(environ, lambda *_: lambda _: None)
        return str(json.loads(b"".join(body))["reason"])


def asgi(url: str, directory: Path) -> str:
    sent: list[Any] = []

    async def application(scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = json.dumps({"reason": scope["user"].identity}).encode()
        await send({"type": "http.response.body", "body": body})

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's own
        sent.append(message)

    async def receive() -> Any:  # noqa: ANN401 - ASGI's own
        return {"type": "http.request"}

    async def ask() -> str:
        headers = [(b"authorization", HEADERS["Authorization"].encode())]
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
        async with AsyncGate(state_dir=str(directory), jwt_verifier={"webhook_url": url}) as gate:
            await SluicegateMiddleware(application, gate)(scope, receive, send)
        return str(json.loads(sent[-1]["body"])["reason"])

    return asyncio.run(ask())


def forward_auth(url: str, directory: Path) -> str:
    path = directory / "sluicegate.toml"
    path.write_text(
        f'state_dir = "{directory}/state"\n'
        '[http]\nbind_address = "127.0.0.1:0"\n[admin]\nbind_address = "127.0.0.1:0"\n'
        f'[jwt_verifier]\nwebhook_url = "{url}"\n[forward_auth]\npath = "/auth"\nproxy = "nginx"\n'
    )
    with serving(Config(path)) as gateway:
        answer = gateway.get("/auth", ("X-Original-URI", "/x"), ("X-Original-Method", "GET"), bearer(TOKEN))
    return answer.header("X-Auth-User-Id") or str(json.loads(answer.body)["reason"])


@pytest.mark.parametrize("shape", [library, library_awaited, wsgi, asgi, forward_auth])
def test_every_shape_asks_and_does_as_it_is_told(shape: Callable[[str, Path], str], tmp_path: Path) -> None:
    with endpoint(YES) as server:
        assert shape(server.url, tmp_path) == "user123"
        assert [request.json for request in server.received] == [{"jwt": TOKEN, "topic": ""}]
        server.behaviour = NO
        assert shape(server.url, tmp_path) == "denied"


def test_the_library_asks_about_the_topic_that_it_is_given(tmp_path: Path) -> None:
    with endpoint(YES) as server:
        with Gate(state_dir=str(tmp_path), jwt_verifier={"webhook_url": server.url}) as gate:
            assert user(gate.check(HEADERS, topic="news")) == "user123"
            assert user(gate.check(HEADERS, topic="others")) == "user123"
        assert [request.json["topic"] for request in server.received] == [topic_id("news"), topic_id("others")]


@pytest.mark.parametrize(
    ("path", "topic"),
    [("/events/news", "news"), ("/events/caf%C3%A9", "café"), ("/events/a/b", None), ("/elsewhere/news", None)],
)
def test_the_middleware_asks_about_the_topic_that_stands_in_the_path(
    tmp_path: Path, path: str, topic: str | None
) -> None:
    def application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return []

    environ: dict[str, Any] = {"HTTP_AUTHORIZATION": HEADERS["Authorization"], "RAW_URI": path}
    setup_testing_defaults(environ)
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "headers": [(b"authorization", HEADERS["Authorization"].encode())],
    }

    async def through_asgi(url: str) -> None:
        async def awaited(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(_message: Any) -> None:  # noqa: ANN401 - ASGI's own
            return None

        async with AsyncGate(state_dir=str(tmp_path / "asgi"), jwt_verifier={"webhook_url": url}) as gate:
            await SluicegateMiddleware(awaited, gate, topic="/events/{topic}")(scope, receive, send)

    asked = "" if topic is None else topic_id(topic)
    with endpoint(YES) as server:
        with Gate(state_dir=str(tmp_path / "wsgi"), jwt_verifier={"webhook_url": server.url}) as gate:
            SluicegateWSGI(application, gate, topic="/events/{topic}")(environ, lambda *_: lambda _: None)
        asyncio.run(through_asgi(server.url))
        assert [request.json["topic"] for request in server.received] == [asked, asked]


@pytest.mark.parametrize("pattern", ["/events/*", "events/{topic}", "/{a}/{topic}"])
def test_a_pattern_without_one_topic_is_refused_at_once(pattern: str) -> None:
    with pytest.raises(ValueError, match="topic is"):
        topic_of(pattern)
