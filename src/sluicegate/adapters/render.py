"""From a decision to the wire: the one function from refusal to response, and from identity to headers. Pure."""

import functools
import random
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from sluicegate.core.decision import Identity, Reason, Refuse
from sluicegate.core.placeholders import FURTHER, OWN, PLACEHOLDER, value_of

MANAGED_PREFIX: Final = "x-auth-user-"
"""Every header that folds to a name beginning so is ours: the client's are deleted, whatever the route sets."""

# What would end a header, be trimmed by a parser, or read as an escape of ours. The mapping stays one to one, so no
# two users can become one name on the way to the upstream. Spaces within, of which a claim may have thousands, are
# looked at once.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]|%(?=[0-9A-Fa-f]{2})|^ +|(?<! ) ++$")

_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, 3.3; anything else could end the quotes
_FOLD = bytes(ord(chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else ord("-") for byte in range(256))  # noqa: PLR2004 - ASCII


class Wire(msgspec.Struct, frozen=True):
    """How a kind of refusal looks to the caller (RFC 6750, 3.1)."""

    status: int
    error: str
    message: str
    details: str = ""
    challenge: str = ""
    retry: bool = False


_INVALID = Wire(401, "invalid_token", "Invalid authentication token", challenge="invalid_token")
_SCOPE = Wire(403, "insufficient_scope", "The token does not allow this request", challenge="insufficient_scope")
_AUTH_UNAVAILABLE = Wire(503, "auth_unavailable", "Authentication service unavailable", retry=True)

_WIRE: Final[Mapping[Reason, Wire]] = dict.fromkeys(Reason, _INVALID) | {
    Reason.REVOKED: Wire(
        401,
        "api_key_blacklisted",
        "API key has been disabled due to subscription changes",
        "Please check your subscription status or generate a new API key",
        challenge="invalid_token",
    ),
    Reason.SCOPE: _SCOPE,
    Reason.CLAIM: _SCOPE,
    Reason.TOPIC: _SCOPE,
    Reason.STATE_UNAVAILABLE: Wire(500, "internal_error", "Authentication service unavailable", retry=True),
    Reason.WEBHOOK_UNAVAILABLE: _AUTH_UNAVAILABLE,
    Reason.KEYS_UNAVAILABLE: _AUTH_UNAVAILABLE,
    Reason.BREAKER_OPEN: _AUTH_UNAVAILABLE,
    Reason.VERIFICATION_RATE: _AUTH_UNAVAILABLE,
    Reason.RATE_LIMITED: Wire(429, "rate_limited", "Too many requests", retry=True),
}


class Response(msgspec.Struct, frozen=True):
    """A whole answer of ours. Header values hold no control characters; one character stands for a byte (latin-1)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    reason: str = ""
    """Why something is refused, as the body says: one stable word."""


def wire(reason: Reason) -> Wire:
    """Return the table's row for a reason."""
    return _WIRE[reason]


def refusal(refuse: Refuse, *, request_id: str, retry_after: int | None = None) -> Response:
    """Render a refusal: status, challenge, JSON body. The same in every shape of the gate.

    `retry_after` is in seconds; without it, 1 to 5 at random, so that the refused do not come back together.
    """
    row = _WIRE[refuse.reason]
    fields = {"error": row.error, "message": row.message, "code": row.status, "reason": refuse.reason.value}
    if row.details:
        fields["details"] = row.details
    body = msgspec.json.encode(fields)
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Request-ID", request_id),
    ]
    if row.challenge:
        headers.append(("WWW-Authenticate", _challenge(row, refuse)))
    if row.error == "api_key_blacklisted":
        headers.append(("X-Error-Type", row.error))
    if row.retry:
        headers.append(("Retry-After", str(retry_after or random.randint(1, 5))))  # noqa: S311 - jitter, no secret
    return Response(row.status, tuple(headers), body, refuse.reason.value)


def _challenge(row: Wire, refuse: Refuse) -> str:
    """Write the challenge; without an error when no token was sent (RFC 6750, 3.1)."""
    if refuse.reason is Reason.MISSING:
        return 'Bearer realm="sluicegate"'
    challenge = f'Bearer realm="sluicegate", error="{row.challenge}", error_description="{row.message}"'
    needed = [scope for scope in refuse.needed if _SCOPE_TOKEN.fullmatch(scope)]
    if row.challenge == "insufficient_scope" and needed:
        challenge += f', scope="{" ".join(needed)}"'
    return challenge


def template(source: str) -> Callable[[Identity | None], str]:
    """Compile a text with `{http.auth.user.…}` placeholders once; the call only joins."""
    parts = PLACEHOLDER.split(source)  # literal, name, literal, name, …
    names = parts[1::2]
    if not names:
        return lambda _identity: source

    def fill(identity: Identity | None) -> str:
        filled = parts.copy()
        filled[1::2] = [value_of(identity, name) for name in names]
        return "".join(filled)

    return fill


def header_value(value: str) -> bytes:
    """Encode a text as a header value that cannot break out of its line, in UTF-8.

    Control characters, spaces at either end and anything that reads as a percent escape are percent-encoded.
    """
    if _UNSAFE.search(value):
        value = _UNSAFE.sub(lambda found: quote(found[0], safe=""), value)
    return value.encode(errors="replace")


def identity_headers(identity: Identity | None) -> list[tuple[bytes, bytes]]:
    """Return the headers that tell an upstream who is let in; none for an anonymous request.

    `X-Auth-User-Id`, `-Jti`, `-Authenticated`, `-Issuer`, `-Scopes`, `-Expires-At`, and one for each `meta` entry.
    """
    if identity is None:
        return []
    headers: dict[bytes, tuple[bytes, str]] = {}
    for name in dict.fromkeys((*OWN, *FURTHER, *identity.meta)):
        header = header_name(name)
        # a claim named `_id` or `ID` would be written as `id` is: whoever comes first keeps the header, empty or not
        headers.setdefault(header.lower(), (header, value_of(identity, name)))
    headers.pop(b"x-auth-user", None)  # a name without a letter or digit of ASCII: no managed header, so none
    return [(header, header_value(value)) for header, value in headers.values() if value]


@functools.lru_cache(maxsize=256)
def header_name(name: str) -> bytes:
    """Return the managed header that carries this value: `user_role` in `X-Auth-User-User-Role`."""
    words = re.split(r"[^A-Za-z0-9]+", f"X-Auth-User-{name}")
    return "-".join(word[:1].upper() + word[1:] for word in words if word).encode()


def fold(name: bytes) -> bytes:
    """Fold a header name as the laxest upstream might: whatever is no letter or digit reads as `-`, without case.

    `_` and `.` are the usual ones (CGI, WSGI, PHP); lighttpd and others turn every such character of a name into `_`.
    """
    return name.translate(_FOLD)
