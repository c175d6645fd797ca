"""What is guarded by what, in sentences: printed at start and by `check`."""

import datetime as dt
from collections.abc import Iterator

from sluicegate.compose import Assembly
from sluicegate.settings import Settings
from sluicegate.settings.routes import Route
from sluicegate.settings.stateful_jwt import StatefulJwt
from sluicegate.settings.stores import EmbeddedStore, NoStore, RedisServer, RedisSocket
from sluicegate.settings.verifiers import Issuer

_UNSAFE = {
    "skip_verification": "signatures are not checked: anybody can be anybody",
    "authentication_off": "everybody is let in, with or without a token",
    "insecure_skip_verify": "any server can pose as Redis: its certificate is not checked",
    "upstream_insecure_skip_verify": "any server can pose as an upstream: its certificate is not checked",
    "jwk_allow_http": "whoever is between the gate and an issuer can replace its keys",
    "weak_key": "the signing key can be guessed",
}


def summary(assembly: Assembly) -> Iterator[str]:
    """Say what each route asks, who verifies, where revocations stand."""
    settings = assembly.settings
    tokens = settings.stateful_jwt
    tls = " with TLS" if settings.http.tls.cert_file is not None else ""
    yield f"listening on {settings.http.bind_address}{tls}, operators on {settings.admin.bind_address}"
    yield f"tokens: {_verified_by(settings)}; from {_sources(settings)}"
    yield f"revocations: {_store(settings)}"
    if not settings.route and settings.forward_auth is None:
        yield "routes: none, so every request is answered 404"
    for route in settings.route:
        yield f"route {route.path}: {_does(route)}, {_asks(route)}"
    if settings.forward_auth is not None:
        yield f"route {settings.forward_auth.path}: answers {settings.forward_auth.proxy}'s auth requests"
    rules = [
        f"issuer {' or '.join(tokens.issuer_whitelist)}" if tokens.issuer_whitelist else "",
        f"audience {' or '.join(tokens.audience_whitelist)}" if tokens.audience_whitelist else "",
        "exp required" if tokens.require_exp else "",
        "jti required" if assembly.engine.policy.require_jti and not isinstance(tokens.store, NoStore) else "",
    ]
    if any(rules):
        yield f"rules: {', '.join(rule for rule in rules if rule)}"


def warnings(assembly: Assembly) -> Iterator[str]:
    """Say what is unsafe, weak or probably not meant; each with its remedy where there is one."""
    for name in assembly.unsafe:
        yield f"UNSAFE {name}: {_UNSAFE.get(name, 'takes protection away')}"
    yield from assembly.warnings
    yield from map(str, assembly.settings.warnings)


def _verified_by(settings: Settings) -> str:
    tokens = settings.stateful_jwt
    if tokens.skip_verification and not settings.jwt_verifier.webhook_url:
        return "not verified"
    own = _key_of(tokens, tokens.jwk_issuer)
    ways = [own] if own else []
    ways += (
        f"those of {one.iss} ({one.name}) with {_key_of(one, one.iss if one.discover else '')}"
        for one in settings.issuers
    )
    webhook = settings.jwt_verifier.webhook_url
    if webhook:
        return f"verified with {'; '.join(ways)}; then by {webhook}" if ways else f"verified by {webhook}"
    return "verified with " + "; ".join(ways) if ways else "no key, so none is good"


def _key_of(table: StatefulJwt | Issuer, discovered: str) -> str:
    key = "sign_key" if table.sign_key else ""
    if table.jwk_url or discovered:
        key = f"the keys at {table.jwk_url}" if table.jwk_url else f"the keys that {discovered} names"
    if table.previous_sign_key and table.previous_sign_key_until is not None:
        until = dt.datetime.fromtimestamp(table.previous_sign_key_until, dt.UTC)
        key += f" and, until {until:%Y-%m-%dT%H:%M:%SZ}, previous_sign_key"
    return f"{key}, {' or '.join(table.sign_alg)}" if key else ""


def _sources(settings: Settings) -> str:
    tokens = settings.stateful_jwt
    named = (("query", tokens.from_query), ("header", tokens.from_header), ("cookie", tokens.from_cookies))
    return ", ".join(f"{kind} {' '.join(names)}" for kind, names in named if names) or "nowhere"


def _store(settings: Settings) -> str:
    failing = "admitted" if settings.stateful_jwt.fail_open else "refused with 500"
    match settings.stateful_jwt.store:
        case NoStore():
            return "none; a token is good until it expires"
        case EmbeddedStore():
            return f"embedded, in {settings.state_dir}"
        case RedisServer() as server:
            return f"Redis at {server.host}:{server.port}, asked at every decision; out of reach: {failing}"
        case RedisSocket() as socket:
            return f"Redis at {socket.path}, asked at every decision; out of reach: {failing}"
        case other:
            return type(other).__name__


def _does(route: Route) -> str:
    if route.respond is not None:
        return "answered here"
    if route.forward_auth:
        return "answers auth requests"
    if route.events:
        return "event streams"
    return "to " + ", ".join(map(str, route.upstream))


def _asks(route: Route) -> str:
    if route.auth == "none":
        return "open to everybody"
    words = "a token if there is one" if route.auth == "optional" else "a token"
    needs = [f"scope {scope}" for scope in route.require.scopes]
    needs += [f"{name} {' or '.join(map(str, values))}" for name, values in route.require.claims]
    return words + (f" with {', '.join(needs)}" if needs else "")
