"""The gate as ASGI middleware: for Starlette, FastAPI, and any other application of ASGI 3.

Pure ASGI: nothing is buffered, nothing of a framework is imported, HTTP and WebSocket pass the same gate.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, Literal, final
from urllib.parse import quote

import msgspec

from sluicegate.adapters.decider import Decider, policy_for, topic_of
from sluicegate.adapters.forwarded import client_address, trusts, without_managed
from sluicegate.adapters.render import refusal
from sluicegate.core.decision import Admit, Identity, Refuse
from sluicegate.core.policy import Requirement
from sluicegate.core.request import Request, is_preflight
from sluicegate.engine import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

IDENTITY: Final = "sluicegate.identity"
"""The scope's key of the verified `Identity`; None for an anonymous request."""

REQUEST_ID: Final = "sluicegate.request_id"
"""The scope's key of the decision id that the log shows and the response carries."""

_CLOSED_BY_POLICY: Final = 1008  # RFC 6455, 7.4.1
_BEGINS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class User(msgspec.Struct, frozen=True):
    """`request.user` of an admitted token, with what Starlette asks of a user.

    `identity` and `display_name` are the id; `verified` is all that the token says.
    """

    verified: Identity

    @property
    def is_authenticated(self) -> bool:
        """True."""
        return True

    @property
    def display_name(self) -> str:
        """The id."""
        return self.verified.id

    @property
    def identity(self) -> str:
        """The id, as Starlette names it."""
        return self.verified.id


class Anonymous(msgspec.Struct, frozen=True):
    """`request.user` of a request that was let through without a token."""

    @property
    def is_authenticated(self) -> bool:
        """False."""
        return False

    @property
    def display_name(self) -> str:
        """Empty."""
        return ""

    @property
    def identity(self) -> str:
        """Empty."""
        return ""


class Permissions(msgspec.Struct, frozen=True):
    """`request.auth`: the token's scopes behind `authenticated`; none at all for an anonymous request."""

    scopes: tuple[str, ...] = ()


_ANONYMOUS: Final = Anonymous()
_NO_PERMISSIONS: Final = Permissions()


@final
class SluicegateMiddleware:
    """Lets requests and WebSockets through to `app` with a verified identity, or answers for it.

    The application finds the identity in `scope["user"]` and `scope["auth"]`, as Starlette's `requires` and
    `request.user` and FastAPI's dependencies expect, and whole in `scope["sluicegate.identity"]`. It comes in no
    header: what a client sent under `X-Auth-User-*`, in any spelling, is deleted, and none is set. A CORS preflight
    is passed on without a decision, as anonymous.

    `auth` and `require` are for the whole of `app`; left out, the gate's own hold. For different rules mount
    several: an inner gate decides anew, under the same request id. `trusted_proxies` are the networks, and `"unix"`
    for Unix sockets, whose `X-Forwarded-For` the log believes; leave it empty where the server sets `scope["client"]`
    by that header itself, as uvicorn does for loopback.

    `topic` is the path under which topics are, `/events/{topic}`: what stands there is asked of the webhook. Raises
    `ValueError` for one without `{topic}`.

    A refused WebSocket gets the same response as a refused request where the server can send one (the ASGI extension
    `websocket.http.response`). Elsewhere it is closed before it is accepted, which servers turn into a bare 403;
    accepting first, for the sake of a close code, would be letting it in.

    Raises `ValueError` for a trusted proxy that is no network, and when called for a kind of scope that it does not
    know, which therefore passes no gate.
    """

    def __init__(
        self,
        app: App,
        gate: Decider,
        *,
        auth: Literal["required", "optional"] | None = None,
        require: Requirement | None = None,
        trusted_proxies: Iterable[str] = (),
        topic: str = "",
    ) -> None:
        self._app: Final = app
        self._gate: Final = gate
        self._policy: Final = policy_for(gate, auth=auth, require=require)
        self._trusted: Final = trusts(trusted_proxies)
        self._topic: Final = topic_of(topic)

    # A coroutine function, because servers tell ASGI 3 from ASGI 2 by that; it is the only coroutine of our own that
    # a warm decision costs.
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Decide, then pass on or answer."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        if kind not in ("http", "websocket"):
            raise ValueError(f"a scope of type {kind!r} is not known to the gate, and passes none that is not")
        outer_id: str | None = scope.get(REQUEST_ID)
        request = self._request(scope, outer_id or new_id())
        identity: Identity | None = None
        if not is_preflight(request):
            decision = self._gate.begin(request, self._policy)
            if not isinstance(decision, Admit | Refuse):
                decision = await decision
            if isinstance(decision, Refuse):
                await _refuse(decision, request.id, scope, send)
                return
            identity = decision.identity
        passed = {**scope, "headers": request.headers, REQUEST_ID: request.id, IDENTITY: identity}
        if identity is None:
            passed["user"], passed["auth"] = _ANONYMOUS, _NO_PERMISSIONS
        else:
            passed["user"], passed["auth"] = User(identity), Permissions(("authenticated", *identity.scopes))
        await self._app(passed, receive, send if outer_id else _stamped(send, request.id))

    def _request(self, scope: Scope, request_id: str) -> Request:
        headers = without_managed(scope["headers"])
        client, raw_path = scope.get("client"), scope.get("raw_path")
        # as sent: the decoded path may hold line breaks, and logs show this one
        path = raw_path.partition(b"?")[0].decode("latin-1") if raw_path else quote(scope["path"])
        return Request(
            method=scope.get("method", "GET"),  # a WebSocket begins as a GET (RFC 6455, 4.1)
            path=path,
            query=scope.get("query_string", b""),
            headers=headers,
            client=client_address(client[0] if client else "", headers, self._trusted),
            id=request_id,
            topic=self._topic(path),
        )


def _stamped(send: Send, request_id: str) -> Send:
    """Return a `send` that puts the request id on whatever begins a response. It makes no coroutine of its own."""
    stamp = (b"x-request-id", request_id.encode())

    def stamped(message: Message) -> Awaitable[None]:
        if message["type"] in _BEGINS:
            headers = [field for field in message.get("headers") or () if field[0].lower() != b"x-request-id"]
            headers.append(stamp)
            return send({**message, "headers": headers})
        return send(message)

    return stamped


async def _refuse(refuse: Refuse, request_id: str, scope: Scope, send: Send) -> None:
    kind = "http.response"
    if scope["type"] == "websocket":
        kind = "websocket.http.response"
        if kind not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": _CLOSED_BY_POLICY, "reason": refuse.reason.value})
            return
    response = refusal(refuse, request_id=request_id)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": f"{kind}.start", "status": response.status, "headers": headers})
    body = b"" if scope.get("method") == "HEAD" else response.body
    await send({"type": f"{kind}.body", "body": body})
