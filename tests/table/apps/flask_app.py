"""A Flask application behind each gate of the table."""

from flask import Flask, Response, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from sluicegate.adapters.wsgi import IDENTITY, SluicegateWSGI
from tests.table.gates import GATES, Named
from tests.table.show import shown

_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]


def show(path: str) -> Response:
    """Show what Flask's request knows."""
    del path
    user = (request.remote_user or "").encode("latin-1").decode()
    identity = request.environ[IDENTITY]
    return Response(shown(identity, [name for name, _ in request.headers], user), mimetype="application/json")


def _guarded(name: str, named: Named) -> Flask:
    guarded = Flask(name)
    guarded.add_url_rule("/<path:path>", view_func=show, methods=_METHODS)
    guarded.wsgi_app = SluicegateWSGI(  # type: ignore[method-assign]  # as Flask's documentation has it
        guarded.wsgi_app, named.engine(awaited=False), auth=named.auth, require=named.require
    )
    return guarded


app = DispatcherMiddleware(Flask("none"), {f"/{name}": _guarded(name, named) for name, named in GATES.items()})
