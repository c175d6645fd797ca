"""What no single key can tell about routes."""

import re
from collections.abc import Iterator
from typing import Final

from sluicegate.settings.finding import Finding, Findings
from sluicegate.settings.flaw import listed, nearest, quoted
from sluicegate.settings.routes import Require, Route, UpstreamTls
from sluicegate.settings.schema import Settings
from sluicegate.settings.toml_lines import KeyPath

_ACTIONS: Final = ("upstream", "respond", "events", "forward_auth")
_USER: Final = "http.auth.user."
# Other braces are left alone: a `respond` may well be JSON.
_PLACEHOLDER: Final = re.compile(r"\{(http\.[^{}]*)\}")
_ALWAYS: Final = ("id", "jti", "authenticated", "issuer", "scopes", "expires_at")
"""The names that every identity has; `meta_claims` adds others."""


def actions(settings: Settings) -> Findings:
    """A route does exactly one thing, and its other keys are about that thing."""
    for here, route in _routes(settings):
        given = _given(route)
        keys: tuple[KeyPath, ...] = tuple((*here, action) for action in _ACTIONS)
        if len(given) != 1:
            many = f"does {listed(given)} at once" if given else "says nothing about what to do"
            yield Finding(here, many, f"give exactly one of {listed(_ACTIONS)}", keys)
            continue
        if route.events and "{topic}" not in route.path.split("/"):
            yield Finding(
                (*here, "path"),
                "names no {topic}, and events = true needs one",
                'write it so: "/events/{topic}"',
                ((*here, "events"),),
            )
        for key, is_given in (("header_up", bool(route.header_up)), ("strip_token", route.strip_token)):
            if is_given and not route.upstream:
                yield Finding(
                    (*here, key), f"does nothing on a route with {given[0]}", "take it out", keys, serious=False
                )


def upstream_tls(settings: Settings) -> Findings:
    """TLS to upstreams is either meant or not, and a certificate and its private key come together."""
    for here, route in _routes(settings):
        tls, table = route.upstream_tls, (*here, "upstream_tls")
        ways = ((*table, "cert_file"), (*table, "key_file"))
        if (tls.cert_file is None) != (tls.key_file is None):
            missing = 0 if tls.cert_file is None else 1
            yield Finding(
                ways[missing],
                "is missing beside the other",
                "give both cert_file and key_file, or neither",
                (ways[1 - missing],),
            )
        if tls != UpstreamTls() and all(upstream.scheme != "https" for upstream in route.upstream):
            yield Finding(
                table,
                "is given, and no upstream is https: it is spoken to in the clear",
                'write upstream = "https://…", or take it out',
                ((*here, "upstream"),),
                serious=False,
            )


def access(settings: Settings) -> Findings:
    """What a route asks of a token needs a token."""
    for here, route in _routes(settings):
        reads = ((*here, "auth"),)
        if route.require == Require():
            continue
        if route.auth == "none":
            yield Finding(
                (*here, "require"),
                'asks something of a token, and auth = "none" looks for none',
                'write auth = "required"',
                reads,
            )
        elif route.auth == "optional":
            yield Finding(
                (*here, "require"),
                'asks something of a token, and auth = "optional" admits without one',
                'write auth = "required" if everybody must meet it',
                reads,
                serious=False,
            )


def reachable(settings: Settings) -> Findings:
    """The first route that matches counts, so one behind a wider one is never reached."""
    routes = list(_routes(settings))
    asked = settings.forward_auth
    for here, route in routes:
        if asked is not None and route.path == asked.path:
            yield Finding(
                (*here, "path"),
                f"is never reached: [forward_auth] answers on {asked.path}",
                "choose another path for one of them",
                (("forward_auth", "path"),),
                serious=False,
            )
    for position, (here, route) in enumerate(routes):
        for earlier, wider in routes[:position]:
            if covers(wider.path, route.path):
                yield Finding(
                    (*here, "path"),
                    f"is never reached: {key_of(earlier)} ({wider.path}) comes first and matches all of it",
                    "move it before that one",
                    ((*earlier, "path"),),
                    serious=False,
                )
                break


def placeholders(settings: Settings) -> Findings:
    """A placeholder that nothing fills would be sent to the upstream as it stands, or as nothing."""
    for loc, text in _templates(settings):
        for match in _PLACEHOLDER.finditer(text):
            finding = _unknown(match[1], loc, settings)
            if finding is not None:
                yield finding


def covers(wide: str, narrow: str) -> bool:
    """Tell whether every path that `narrow` matches is matched by `wide` too."""
    outer, inner = wide.split("/"), narrow.split("/")
    if outer[-1] == "*":
        outer.pop()
        # "/api/*" matches what begins with "/api/", so something must follow: not "/api" itself
        if len(inner) <= len(outer):
            return False
        inner = inner[: len(outer)]
    elif inner[-1] == "*" or len(inner) != len(outer):
        return False
    return all(
        one == other or (_is_placeholder(one) and other not in {"", "*"})
        for one, other in zip(outer, inner, strict=True)
    )


def key_of(route: KeyPath) -> str:
    """Return how an operator counts routes."""
    return f"[[route]] #{int(route[1]) + 1}"


def _is_placeholder(segment: str) -> bool:
    return segment.startswith("{")


def _routes(settings: Settings) -> Iterator[tuple[KeyPath, Route]]:
    for index, route in enumerate(settings.route):
        yield ("route", index), route


def _given(route: Route) -> list[str]:
    judged = {
        "upstream": bool(route.upstream),
        "respond": route.respond is not None,
        "events": route.events,
        "forward_auth": route.forward_auth,
    }
    return [action for action in _ACTIONS if judged[action]]


def _templates(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    for here, route in _routes(settings):
        if route.respond is not None:
            yield (*here, "respond"), route.respond
        for name, value in route.header_up:
            yield (*here, "header_up", name), value
    for key, patterns in (("subscribe", settings.events.subscribe), ("publish", settings.events.publish)):
        for index, pattern in enumerate(patterns):
            yield ("events", key, index), pattern


def _unknown(placeholder: str, loc: KeyPath, settings: Settings) -> Finding | None:
    jwt = settings.stateful_jwt
    known = [*_ALWAYS, *(name for _, name in jwt.meta_claims)]
    name = placeholder.removeprefix(_USER)
    if placeholder.startswith(_USER) and name in known:
        return None
    near = nearest(name, known)
    guess = f"did you mean {{{_USER}{near}}}? " if near else ""
    if name in jwt.user_claims:
        guess = f"the user's claim is {{{_USER}id}}; "
    return Finding(
        loc,
        f"holds {quoted('{' + placeholder + '}')}, which nothing fills",
        f"{guess}known are {listed(known)}; more come from meta_claims",
        (("stateful_jwt", "meta_claims"), ("stateful_jwt", "user_claims")),
    )
