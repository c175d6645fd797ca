"""The plain application under a server that cannot send a response instead of a WebSocket."""

from sluicegate.adapters.asgi import Receive, Scope, Send
from tests.table.apps import plain_asgi


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Take the server's extensions away."""
    await plain_asgi.app({**scope, "extensions": {}}, receive, send)
