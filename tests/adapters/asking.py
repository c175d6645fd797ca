"""Asks an ASGI application message by message, with the table's gates and tokens."""

from typing import Any

from sluicegate.adapters.asgi import App, Message, Receive, Scope, Send
from sluicegate.engine import Engine
from tests.adapters.seen import Seen
from tests.table.gates import GATES
from tests.table.tokens import mint

BEARER = (b"authorization", b"Bearer " + mint().encode())
REVOKED = (b"authorization", b"Bearer " + mint(jti="revoked").encode())


def engine(name: str = "default", *, observer: Seen | None = None) -> Engine:
    """One of the table's gates, whose store answers at once."""
    return GATES[name].engine(awaited=False, observer=observer)


def http(*headers: tuple[bytes, bytes], **more: Any) -> Scope:  # noqa: ANN401 - fields of a scope
    """The scope of a GET."""
    return {
        "type": "http",
        "method": "GET",
        "path": "/api/hello",
        "raw_path": b"/api/hello",
        "query_string": b"",
        "headers": [(b"host", b"gate.test"), *headers],
        "client": ("192.0.2.9", 4711),
        "extensions": {},
        **more,
    }


def socket(*headers: tuple[bytes, bytes], denial: bool = True) -> Scope:
    """The scope of a WebSocket; `denial`: the server can send a response instead."""
    scope = {**http(*headers), "type": "websocket", "extensions": {"websocket.http.response": {}} if denial else {}}
    del scope["method"]
    return scope


class Inner:
    """An application that answers 200 and remembers its scopes."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.scopes: list[Scope] = []
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": b"hello"})


async def nothing() -> Message:
    """A request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def ask(app: App, scope: Scope) -> list[Message]:
    """Ask once; return every message that was sent."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, nothing, send)
    return sent


def fields(message: Message, name: bytes) -> list[bytes]:
    """The values of one header of a message or scope."""
    return [value for other, value in message["headers"] if other == name]
