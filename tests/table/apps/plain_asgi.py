"""An application of nothing but ASGI, once behind each gate of the table; its stores answer at once."""

from typing import Final

from sluicegate.adapters.asgi import IDENTITY, Receive, Scope, Send, SluicegateMiddleware
from tests.table.gates import GATES
from tests.table.show import shown


async def show(scope: Scope, receive: Receive, send: Send) -> None:
    """Show what the scope says. Reads the whole of a request first; on a WebSocket, shows and closes."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    body = shown(scope[IDENTITY], [name.decode("latin-1") for name, _ in scope["headers"]], scope["user"].identity)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": body.decode()})
        await send({"type": "websocket.close", "code": 1000})
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    for step in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{step}"
        await send({"type": f"lifespan.{step}.complete"})


_GUARDED: Final = {
    name: SluicegateMiddleware(show, named.engine(awaited=False), auth=named.auth, require=named.require)
    for name, named in GATES.items()
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a request through the gate that its path begins with."""
    name = "default" if scope["type"] == "lifespan" else scope["path"].split("/")[1]
    await _GUARDED[name](scope, receive, send)
