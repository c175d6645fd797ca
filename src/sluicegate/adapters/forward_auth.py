"""The gate as a service that a proxy asks about each request (nginx `auth_request` and its like). Pure.

The proxy says which request it asks about; that is believed only from a trusted peer, only in the headers of the
configured proxy, and only when it is said once and is whole. A proxy that forgot to say it gets no decision, because
any would be about another request: it gets 400, which nginx turns into 500 with a line in its error log, and Caddy,
Traefik and Envoy hand on.

An address outside `trusted_proxies` is no trusted peer. Where that list is empty, `LOOPBACK` stands in for it on this
endpoint alone: the usual proxy shares the machine, and whoever else asks from it learns only what its own token is
good for.
"""

import re
from ipaddress import ip_network
from typing import Final, Literal, NamedTuple

import msgspec

from sluicegate.adapters.render import Response, identity_headers, refusal
from sluicegate.core.decision import Decision, Refuse
from sluicegate.core.request import Request

Proxy = Literal["nginx", "caddy", "traefik", "envoy"]

LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class _Names(NamedTuple):
    """The headers in which a proxy names the original request."""

    method: bytes
    uri: bytes


_FORWARDED = _Names(b"x-forwarded-method", b"x-forwarded-uri")
_NAMES: Final[dict[Proxy, _Names]] = {
    "nginx": _Names(b"x-original-method", b"x-original-uri"),
    "caddy": _FORWARDED,
    "traefik": _FORWARDED,
}
_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
# Origin form (RFC 9112, 3.2.1), and what clients send in it raw; no fragment, space or control character.
_TARGET: Final = re.compile(rb"/[^\x00-\x20#\x7f]*")


class UnclearOriginal(ValueError):  # noqa: N818 - names what it is; goes no further than the server
    """It cannot be known which request is asked about. The message is for the log; it repeats nothing of a request."""


def original(request: Request, proxy: Proxy, *, trusted: bool, prefix: str = "/auth") -> Request:
    """Return the request that a proxy asks about, from what it asks with.

    Method, path and query are the original's: nginx says them in `X-Original-Method` and `X-Original-URI`, Caddy and
    Traefik in `X-Forwarded-Method` and `X-Forwarded-Uri`, Envoy by its own method and by the path behind `prefix`.
    Headers, cookies included, are those of the question, onto which the proxy has copied the client's. A query of the
    question's own holds no credentials.

    `trusted` tells whether the peer that asks is a trusted proxy. Raises `UnclearOriginal`; answer it with `unclear`.
    """
    if not trusted:
        raise UnclearOriginal("the peer that asks is no trusted proxy: name it in trusted_proxies")
    if proxy == "envoy":
        path = request.path.removeprefix(prefix.rstrip("/"))
        if not request.path.startswith(prefix) or not path.startswith("/"):
            raise UnclearOriginal("no path follows that of the endpoint: set it as path_prefix in Envoy")
        return msgspec.structs.replace(request, path=path)
    names = _NAMES[proxy]
    method, target = _only(request, names.method, _METHOD), _only(request, names.uri, _TARGET)
    path_bytes, _, query = target.partition(b"?")
    return msgspec.structs.replace(
        request, method=method.decode("ascii"), path=path_bytes.decode("latin-1"), query=query
    )


def _only(request: Request, name: bytes, form: re.Pattern[bytes]) -> bytes:
    """Return the one value of a header. Of two, one is the client's, and nobody can tell which."""
    values = [value for other, value in request.headers if other == name]
    if len(values) != 1:
        raise UnclearOriginal(f"{name.decode()} came {len(values)} times: set it once in the proxy")
    if form.fullmatch(values[0]) is None:
        raise UnclearOriginal(f"{name.decode()} is not of the form that a request has")
    return values[0]


def answer(decision: Decision | None, request_id: str) -> Response:
    """Answer the proxy: 200 with the identity in `X-Auth-User-*` headers, or the refusal for its client.

    None stands for a CORS preflight, about which nothing was decided: 200 with no identity.
    """
    if isinstance(decision, Refuse):
        return refusal(decision, request_id=request_id)
    identity = None if decision is None else decision.identity
    headers = [
        ("Content-Length", "0"),
        ("Cache-Control", "no-store"),
        ("X-Request-ID", request_id),
        *((name.decode("ascii"), value.decode("latin-1")) for name, value in identity_headers(identity)),
    ]
    return Response(200, tuple(headers), b"")


def unclear(request_id: str) -> Response:
    """Answer a proxy that did not say which request it asks about: 400, and not a word of why to its client."""
    body = msgspec.json.encode(
        {
            "error": "invalid_request",
            "message": "The proxy did not say which request it asks about",
            "code": 400,
            "reason": "forward_auth",
        }
    )
    headers = (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Request-ID", request_id),
    )
    return Response(400, headers, body)
