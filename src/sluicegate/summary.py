"""What is guarded by what, in sentences: printed at start and by `check`."""

from collections.abc import Iterator

from sluicegate.compose import Assembly
from sluicegate.settings import Settings
from sluicegate.settings.routes import Route
from sluicegate.settings.stores import EmbeddedStore, NoStore, RedisServer, RedisSocket

_UNSAFE = {
    "skip_verification": "signatures are not checked: anybody can be anybody",
    "authentication_off": "everybody is let in, with or without a token",
    "insecure_skip_verify": "any server can pose as Redis: its certificate is not checked",
    "weak_key": "the signing key can be guessed",
}


def summary(assembly: Assembly) -> Iterator[str]:
    """Say what each route asks, who verifies, where revocations stand."""
    settings = assembly.settings
    tokens = settings.stateful_jwt
    yield f"listening on {settings.http.bind_address}, operators on {settings.admin.bind_address}"
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
        "jti required" if tokens.require_jti and not isinstance(tokens.store, NoStore) else "",
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
    if settings.stateful_jwt.skip_verification:
        return "not verified"
    if not settings.stateful_jwt.sign_key.get_secret_value():
        return "no key, so none is good"
    return "verified with sign_key, " + " or ".join(settings.stateful_jwt.sign_alg)


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
    return "to " + ", ".join(map(str, route.upstream))


def _asks(route: Route) -> str:
    if route.auth == "none":
        return "open to everybody"
    words = "a token if there is one" if route.auth == "optional" else "a token"
    needs = [f"scope {scope}" for scope in route.require.scopes]
    needs += [f"{name} {' or '.join(map(str, values))}" for name, values in route.require.claims]
    return words + (f" with {', '.join(needs)}" if needs else "")
