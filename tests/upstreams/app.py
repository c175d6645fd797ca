"""A WSGI application that gives a body back: as one piece with its length, or piece by piece."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer."""
    path = environ["PATH_INFO"]
    told = [
        ("X-Method", environ["REQUEST_METHOD"]),
        ("X-Framed", environ.get("CONTENT_LENGTH") or environ.get("HTTP_TRANSFER_ENCODING") or "none"),
    ]
    if path.startswith("/status/"):
        start_response(f"{path[8:]} Whatever", told)
        return []
    if path == "/enough":
        start_response("413 Content Too Large", [*told, ("Content-Length", "6")])
        return [b"enough"]
    body = environ["wsgi.input"].read()
    if path == "/sized":
        start_response("200 OK", [*told, ("Content-Length", str(len(body)))])
        return [body]
    start_response("200 OK", told)
    return (body[place : place + 1000] for place in range(0, len(body), 1000))
