"""What a row of the table says: a request, and what must come back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import hexdigits
from typing import Any, Final
from urllib.parse import quote

from tests.table.tokens import EXPIRES

Fields = tuple[tuple[str, str], ...]

REFUSALS: Final[Mapping[str, tuple[int, str]]] = {
    "revoked": (401, "api_key_blacklisted"),
    "scope": (403, "insufficient_scope"),
    "claim": (403, "insufficient_scope"),
    "topic": (403, "insufficient_scope"),
    "state_unavailable": (500, "internal_error"),
    "keys_unavailable": (503, "auth_unavailable"),
    "webhook_unavailable": (503, "auth_unavailable"),
    "breaker_open": (503, "auth_unavailable"),
    "verification_rate": (503, "auth_unavailable"),
    "rate_limited": (429, "rate_limited"),
}
"""Status and error of a reason; what is not here is 401 `invalid_token`."""

BODIES: Final[Mapping[str, Mapping[str, str]]] = {
    "invalid_token": {"message": "Invalid authentication token"},
    "api_key_blacklisted": {
        "message": "API key has been disabled due to subscription changes",
        "details": "Please check your subscription status or generate a new API key",
    },
    "insufficient_scope": {"message": "The token does not allow this request"},
    "internal_error": {"message": "Authentication service unavailable"},
    "auth_unavailable": {"message": "Authentication service unavailable"},
    "rate_limited": {"message": "Too many requests"},
}

ALICE: Final[Mapping[str, Any]] = {
    "id": "alice",
    "jti": "key-1",
    "issuer": "https://auth.example.com",
    "scopes": ["read", "write"],
    "meta": {"tier": "FREE"},
    "expires_at": EXPIRES,
}
"""The identity of the usual token; meta as the `default` gate maps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a shape answered. `identity` is what the application behind the gate was told; None for anonymous.

    `spoofed` are the managed headers that reached the application though the gate set none of them.
    """

    status: int
    body: Mapping[str, Any] | None = None
    identity: Mapping[str, Any] | None = None
    challenge: str | None = None
    error_type: str | None = None
    retry_after: str | None = None
    request_id: str | None = None
    spoofed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlike:
    """How one shape must differ from the others, because it cannot know better: its status, with no identity."""

    status: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request to one of the named gates. `reason` is empty where the request must be let through."""

    name: str
    gate: str = "default"
    method: str = "GET"
    path: str = "/api/hello"
    query: str = ""
    headers: Fields = ()
    sent_body: bytes = b""
    reason: str = ""
    identity: Mapping[str, Any] | None = None
    needed: str = ""
    unlike: Mapping[str, Unlike] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The status that must come back."""
        return REFUSALS.get(self.reason, (401, ""))[0] if self.reason else 200

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The JSON that must come back with a refusal."""
        if not self.reason:
            return None
        error = REFUSALS.get(self.reason, (401, "invalid_token"))[1]
        return {"error": error, "code": self.status, "reason": self.reason, **BODIES[error]}

    @property
    def challenge(self) -> str | None:
        """The `WWW-Authenticate` that must come back: on 401 and 403, with no error where no token was sent."""
        if self.reason == "missing":
            return 'Bearer realm="sluicegate"'
        if self.status not in {401, 403} or self.body is None:
            return None
        error = "insufficient_scope" if self.status == 403 else "invalid_token"
        scope = f', scope="{self.needed}"' if self.needed else ""
        return f'Bearer realm="sluicegate", error="{error}", error_description="{self.body["message"]}"{scope}'


def bearer(token: str) -> Fields:
    """The usual header."""
    return (("Authorization", f"Bearer {token}"),)


def someone(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """The usual identity, changed as given."""
    return {**ALICE, **changes}


def as_text(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Write a claim's value as headers show it, by other means than the gate's own."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(item, list | dict) or "," in str(item) for item in value):
        return ",".join(map(str, value))
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def as_header(value: str) -> str:
    """Escape what would end a header, be trimmed from it, or read as an escape of ours."""
    escaped = "".join(
        quote(character)
        if character < " "
        or character == "\x7f"
        or (character == " " and not (value[:at].strip(" ") and value[at:].strip(" ")))
        or (character == "%" and all(digit in hexdigits for digit in value[at + 1 : at + 3].ljust(2, "-")))
        else character
        for at, character in enumerate(value)
    )
    return escaped.encode().decode("latin-1")


def as_headers(identity: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return the managed headers, names in lower case, in which an upstream is told of an identity."""
    if identity is None:
        return None
    named = {
        "id": identity["id"],
        "jti": identity["jti"] or "",
        "authenticated": "true",
        "issuer": identity["issuer"] or "",
        "scopes": " ".join(identity["scopes"]),
        "expires-at": "" if identity["expires_at"] is None else str(int(identity["expires_at"])),
        **{name.replace("_", "-"): as_text(value) for name, value in identity["meta"].items()},
    }
    return {f"x-auth-user-{name}": as_header(value) for name, value in named.items() if value}
