"""A service behind a gateway: shows the managed headers that it was sent, and nothing is between it and them."""

import json

from sluicegate.adapters.asgi import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Show them as pairs, each value as it came, one character a byte."""
    if scope["type"] == "lifespan":
        return
    while (await receive()).get("more_body"):
        pass
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    managed = [pair for pair in pairs if "".join(filter(str.isalnum, pair[0])).startswith("xauthuser")]
    body = json.dumps({"managed": managed}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
