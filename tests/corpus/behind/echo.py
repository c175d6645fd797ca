"""A WSGI application that says, in a header of its answer, what the server before it understood of each request."""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer."""
    fields = [
        (name[5:].lower().replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")
    ]
    fields += [(name, environ[key]) for name, key in (("content-type", "CONTENT_TYPE"),) if environ.get(key)]
    understood = {
        "method": environ["REQUEST_METHOD"],
        "target": environ["RAW_URI"],
        "fields": fields,
        "body": hashlib.sha256(environ["wsgi.input"].read()).hexdigest(),
    }
    said = base64.b64encode(json.dumps(understood).encode()).decode()
    start_response("200 OK", [("Content-Length", "2"), ("X-Understood", said)])
    return [b"ok"]
