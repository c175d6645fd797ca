"""A Starlette application behind each gate of the table; the stores must be awaited."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from sluicegate.adapters.asgi import SluicegateMiddleware
from tests.table.gates import GATES, Named
from tests.table.show import shown

_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]


async def show(request: Request) -> Response:
    """Show what Starlette's request knows."""
    await request.body()
    assert request.user.is_authenticated == ("authenticated" in request.auth.scopes)
    identity = request.user.verified if request.user.is_authenticated else None
    return Response(shown(identity, request.headers, request.user.display_name), media_type="application/json")


async def show_socket(socket: WebSocket) -> None:
    """Show what Starlette's WebSocket knows."""
    await socket.accept()
    identity = socket.user.verified if socket.user.is_authenticated else None
    await socket.send_text(shown(identity, socket.headers, socket.user.display_name).decode())
    await socket.close()


def _guarded(named: Named) -> Starlette:
    gate = Middleware(SluicegateMiddleware, named.engine(awaited=True), auth=named.auth, require=named.require)
    routes = [Route("/{path:path}", show, methods=_METHODS), WebSocketRoute("/{path:path}", show_socket)]
    return Starlette(routes=routes, middleware=[gate])


app = Starlette(routes=[Mount(f"/{name}", _guarded(named)) for name, named in GATES.items()])
