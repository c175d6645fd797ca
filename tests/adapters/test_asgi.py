"""The ASGI middleware: what it passes on, what it answers, and what it leaves alone. Driven message by message."""

import asyncio
import json
from collections.abc import Awaitable

import anyio
import pytest
from starlette.authentication import requires
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response

from sluicegate import Identity, Policy
from sluicegate.adapters.asgi import IDENTITY, Message, Receive, Scope, Send, SluicegateMiddleware
from sluicegate.core.flow import Hits
from sluicegate.engine import Engine
from sluicegate.errors import StateUnavailable
from tests.adapters.asking import BEARER, REVOKED, Inner, ask, engine, fields, http, nothing, socket
from tests.adapters.seen import Seen
from tests.table.gates import GATES
from tests.table.tokens import mint


class TestScopes:
    async def test_lifespan_passes_untouched(self) -> None:
        inner, scope = Inner(), {"type": "lifespan"}
        await ask(SluicegateMiddleware(inner, engine()), scope)
        assert inner.scopes[0] is scope

    @pytest.mark.parametrize("kind", ["http2", "webtransport", "HTTP", ""])
    async def test_a_kind_that_nobody_knows_passes_no_gate(self, kind: str) -> None:
        inner = Inner()
        with pytest.raises(ValueError, match="not known to the gate"):
            await ask(SluicegateMiddleware(inner, engine("off")), http(type=kind))
        assert inner.scopes == []

    async def test_the_servers_own_scope_is_not_changed(self) -> None:
        inner, scope = Inner(), http(BEARER, (b"x-auth-user-id", b"root"))
        before = dict(scope, headers=list(scope["headers"]))
        await ask(SluicegateMiddleware(inner, engine()), scope)
        assert scope == before
        assert fields(inner.scopes[0], b"x-auth-user-id") == []

    async def test_an_admitted_request_says_who_it_is(self) -> None:
        inner = Inner()
        await ask(SluicegateMiddleware(inner, engine()), http(BEARER))
        scope = inner.scopes[0]
        assert isinstance(scope[IDENTITY], Identity)
        assert (scope["user"].is_authenticated, scope["user"].identity, scope["user"].display_name) == (
            True,
            "alice",
            "alice",
        )
        assert scope["user"].verified is scope[IDENTITY]
        assert scope["auth"].scopes == ("authenticated", "read", "write")

    async def test_an_anonymous_request_is_nobody_even_to_a_middleware_before_us(self) -> None:
        inner = Inner()
        earlier = http(user="root", auth="all", **{IDENTITY: "root"})
        await ask(SluicegateMiddleware(inner, engine(), auth="optional"), earlier)
        scope = inner.scopes[0]
        assert (scope[IDENTITY], scope["auth"].scopes) == (None, ())
        assert (scope["user"].is_authenticated, scope["user"].identity, scope["user"].display_name) == (False, "", "")

    async def test_a_token_with_the_scope_authenticated_earns_nothing_by_it(self) -> None:
        inner = Inner()
        token = (b"authorization", b"Bearer " + mint(scope="authenticated admin", exp=1).encode())
        await ask(SluicegateMiddleware(inner, engine("off")), http(token))
        assert inner.scopes[0]["auth"].scopes == ()

    async def test_starlettes_requires_holds(self) -> None:
        @requires("write")
        async def endpoint(request: StarletteRequest) -> Response:
            return PlainTextResponse(request.user.display_name)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (await endpoint(StarletteRequest(scope)))(scope, receive, send)

        sent = await ask(SluicegateMiddleware(app, engine()), http(BEARER))
        assert sent[1]["body"] == b"alice"


class TestRefusals:
    async def test_the_application_is_not_called(self) -> None:
        inner = Inner()
        start, body = await ask(SluicegateMiddleware(inner, engine()), http(REVOKED))
        assert inner.scopes == []
        assert (start["type"], start["status"], body["type"]) == ("http.response.start", 401, "http.response.body")
        assert json.loads(body["body"])["error"] == "api_key_blacklisted"
        assert fields(start, b"x-error-type") == [b"api_key_blacklisted"]
        assert fields(start, b"content-length") == [str(len(body["body"])).encode()]

    async def test_names_of_headers_are_in_lower_case_as_asgi_has_them(self) -> None:
        start, _ = await ask(SluicegateMiddleware(Inner(), engine()), http())
        assert [name for name, _ in start["headers"] if name != name.lower()] == []

    async def test_head_gets_the_head_alone(self) -> None:
        start, body = await ask(SluicegateMiddleware(Inner(), engine()), http(method="HEAD"))
        assert (start["status"], body["body"]) == (401, b"")

    async def test_a_refused_socket_gets_the_same_response_where_the_server_can_send_it(self) -> None:
        inner = Inner()
        start, body = await ask(SluicegateMiddleware(inner, engine()), socket(REVOKED))
        assert inner.scopes == []
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
        assert body["type"] == "websocket.http.response.body"
        assert json.loads(body["body"])["reason"] == "revoked"

    async def test_elsewhere_it_is_closed_before_it_is_open(self) -> None:
        inner = Inner()
        sent = await ask(SluicegateMiddleware(inner, engine()), socket(REVOKED, denial=False))
        assert inner.scopes == []
        assert sent == [{"type": "websocket.close", "code": 1008, "reason": "revoked"}]

    async def test_a_server_that_names_no_extensions_at_all_is_served(self) -> None:
        scope = socket(REVOKED)
        del scope["extensions"]
        sent = await ask(SluicegateMiddleware(Inner(), engine()), scope)
        assert [message["type"] for message in sent] == ["websocket.close"]


class TestStreams:
    async def test_each_message_reaches_the_server_before_the_next_is_made(self) -> None:
        first_arrived = anyio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            del scope, receive
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            with anyio.fail_after(5):
                await first_arrived.wait()
            await send({"type": "http.response.body", "body": b"two"})

        async def send(message: Message) -> None:
            if message.get("body") == b"one":
                first_arrived.set()

        await SluicegateMiddleware(app, engine())(http(BEARER), nothing, send)

    async def test_the_body_of_a_request_is_the_servers_own(self) -> None:
        received: list[Receive] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            del scope, send
            received.append(receive)

        await ask(SluicegateMiddleware(app, engine()), http(BEARER))
        assert received == [nothing]

    async def test_sending_makes_no_coroutine_beside_the_servers(self) -> None:
        given: list[Awaitable[None]] = []
        awaitable = asyncio.sleep(0)

        def send(message: Message) -> Awaitable[None]:
            del message
            return awaitable

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            del scope, receive
            given.append(send({"type": "http.response.start", "status": 200}))

        await SluicegateMiddleware(app, engine())(http(BEARER), nothing, send)
        await awaitable
        assert given == [awaitable]

    async def test_what_the_application_raises_is_raised(self) -> None:
        async def app(*_: object) -> None:
            raise LookupError

        with pytest.raises(LookupError):
            await ask(SluicegateMiddleware(app, engine()), http(BEARER))

    async def test_a_caller_that_leaves_while_the_store_thinks_leaves_nothing_behind(self) -> None:
        store, inner, seen = Thinking(), Inner(), Seen()
        gate = Engine(Policy(), GATES["default"].keys(), state=store, observer=seen)
        async with anyio.create_task_group() as group:
            group.start_soon(ask, SluicegateMiddleware(inner, gate), http(BEARER))
            with anyio.fail_after(5):
                await store.asked.wait()
            group.cancel_scope.cancel()
        assert store.left
        assert (inner.scopes, seen.records) == ([], [])


class Thinking:
    """A store that never answers, and notes when its caller leaves."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.left = False

    async def find(self, keys: tuple[str, ...]) -> Hits:
        """Wait for ever."""
        self.asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.left = True
        raise StateUnavailable(str(len(keys)))
