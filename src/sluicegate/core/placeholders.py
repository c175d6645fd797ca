"""What `{http.auth.user.…}` stands for, in headers, texts and topic patterns alike."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from sluicegate.core.claims import text
from sluicegate.core.decision import Identity

PLACEHOLDER: Final = re.compile(r"\{http\.auth\.user\.([A-Za-z0-9_.-]+)\}")
"""Split by it, a text is literal, name, literal, name, …, literal."""


def _expires_at(identity: Identity) -> str:
    return "" if identity.expires_at is None else f"{identity.expires_at:.0f}"


# `id`, `jti` and `authenticated` cannot be overridden; the rest give way to a `meta` entry of the same name.
OWN: Final[Mapping[str, Callable[[Identity], str]]] = {
    "id": lambda identity: identity.id,
    "jti": lambda identity: identity.jti or "",
    "authenticated": lambda _identity: "true",
}
FURTHER: Final[Mapping[str, Callable[[Identity], str]]] = {
    "issuer": lambda identity: identity.issuer or "",
    "scopes": lambda identity: " ".join(identity.scopes),
    "expires_at": _expires_at,
}


def value_of(identity: Identity | None, name: str) -> str:
    """Return what `{http.auth.user.NAME}` stands for; empty when there is no such value, as in Caddy."""
    if identity is None:
        return ""
    if name in identity.meta and name not in OWN:
        return text(identity.meta[name])
    known = OWN.get(name) or FURTHER.get(name)
    return known(identity) if known else ""
