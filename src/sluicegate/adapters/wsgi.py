"""The gate as WSGI middleware (PEP 3333): for Flask, Django, and any other application of WSGI."""

import functools
from collections.abc import Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Literal, final
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sluicegate.adapters.decider import Decider, policy_for, topic_of
from sluicegate.adapters.forwarded import client_address, managed, trusts
from sluicegate.adapters.render import refusal
from sluicegate.core.decision import Admit, Identity, Refuse
from sluicegate.core.policy import Requirement
from sluicegate.core.request import Request, is_preflight
from sluicegate.engine import new_id

IDENTITY: Final = "sluicegate.identity"
"""The environ's key of the verified `Identity`; None for an anonymous request."""

REQUEST_ID: Final = "sluicegate.request_id"
"""The environ's key of the decision id that the log shows and the response carries."""

_LONGEST_KEPT: Final = 64
_NONE_EXTRA: Final[frozenset[bytes]] = frozenset()
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


@final
class SluicegateWSGI:
    """Lets requests through to `app` with a verified identity, or answers for it.

    The application finds the identity in `environ["sluicegate.identity"]` and its id in `environ["REMOTE_USER"]`,
    which nobody else may have set. It comes in no header: what a client sent under `X-Auth-User-*`, in any spelling,
    is deleted, and none is set. A CORS preflight is passed on without a decision, as anonymous. What the application
    returns goes to the server untouched.

    `auth`, `require`, `trusted_proxies` and `topic` are as in the ASGI middleware. Under Apache's mod_wsgi set
    `WSGIPassAuthorization On`, or no `Authorization` header arrives. Raises `TypeError` when called with a gate that
    must await something.
    """

    def __init__(
        self,
        app: WSGIApplication,
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

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Decide, then pass on or answer."""
        outer_id: str | None = environ.get(REQUEST_ID)
        request = self._request(environ, outer_id or new_id())
        identity: Identity | None = None
        if not is_preflight(request):
            decision = self._gate.begin(request, self._policy)
            if not isinstance(decision, Admit | Refuse):
                decision.close()
                msg = "this gate must await its answers, which WSGI cannot: use one whose store answers at once"
                raise TypeError(msg)
            if isinstance(decision, Refuse):
                return _refuse(decision, request, start_response)
            identity = decision.identity
        environ[REQUEST_ID] = request.id
        environ[IDENTITY] = identity
        # one gate, one user: what the server knows of another scheme must not stand in for a token
        environ.pop("REMOTE_USER", None)
        if identity is not None:
            environ["REMOTE_USER"] = identity.id.encode().decode("latin-1")  # PEP 3333: one character a byte
        return self._app(environ, start_response if outer_id else _stamped(start_response, request.id))

    def _request(self, environ: WSGIEnvironment, request_id: str) -> Request:
        """Read the request, and delete from it what only the gate may say."""
        headers: list[tuple[bytes, bytes]] = []
        for key in [key for key in environ if key.startswith("HTTP_")]:
            name = (_name if len(key) <= _LONGEST_KEPT else _header)(key)
            if name:
                headers.append((name, environ[key].encode("latin-1")))
            else:
                del environ[key]
        if environ.get("CONTENT_LENGTH"):
            headers.append((b"content-length", environ["CONTENT_LENGTH"].encode("latin-1")))
        path = _path(environ)
        return Request(
            method=environ["REQUEST_METHOD"],
            path=path,
            query=environ.get("QUERY_STRING", "").encode("latin-1"),
            headers=headers,
            client=client_address(environ.get("REMOTE_ADDR", ""), headers, self._trusted),
            id=request_id,
            topic=self._topic(path),
        )


def _header(key: str) -> bytes:
    """Return the header behind an environ key, in lower case; empty for one that only the gate may set."""
    name = key[5:].replace("_", "-").lower().encode("latin-1")
    return b"" if managed(name, _NONE_EXTRA) else name


_name = functools.lru_cache(maxsize=1024)(_header)


def _path(environ: WSGIEnvironment) -> str:
    """Return the path as sent: from gunicorn's or uWSGI's own key, else written anew from its decoded form."""
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if target.startswith("/"):
        return target.partition("?")[0]
    return quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), encoding="latin-1") or "/"


def _stamped(start_response: StartResponse, request_id: str) -> StartResponse:
    def stamped(status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo | None = None, /) -> Any:  # noqa: ANN401 - the server's own `write`
        marked = [field for field in headers if field[0].lower() != "x-request-id"]
        marked.append(("X-Request-ID", request_id))
        return start_response(status, marked) if exc_info is None else start_response(status, marked, exc_info)

    return stamped


def _refuse(refuse: Refuse, request: Request, start_response: StartResponse) -> Iterable[bytes]:
    response = refusal(refuse, request_id=request.id)
    start_response(f"{response.status} {HTTPStatus(response.status).phrase}", list(response.headers))
    # the server need not know that HEAD has no body
    return [] if request.method == "HEAD" else [response.body]
