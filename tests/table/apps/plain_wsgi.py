"""An application of nothing but WSGI, once behind each gate of the table."""

from collections.abc import Iterable
from typing import Final
from wsgiref.types import StartResponse, WSGIEnvironment

from sluicegate.adapters.wsgi import IDENTITY, SluicegateWSGI
from tests.table.gates import GATES
from tests.table.show import shown


def show(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Show what the environ says."""
    user = environ.get("REMOTE_USER", "").encode("latin-1").decode()
    body = shown(environ[IDENTITY], [key.removeprefix("HTTP_") for key in environ], user)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


_GUARDED: Final = {
    name: SluicegateWSGI(show, named.engine(awaited=False), auth=named.auth, require=named.require)
    for name, named in GATES.items()
}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Send a request through the gate that its path begins with."""
    return _GUARDED[environ["PATH_INFO"].split("/")[1]](environ, start_response)
