"""One generated request, and the answer to it, in terms that neither the models nor the gate has invented."""

import hmac
import random
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, final
from urllib.parse import quote

import msgspec

from sluicegate.core.request import Request
from tests.table.tokens import ABSENT, CLAIMS, NOW, SECRET, base64url, forged, mint, part, unsigned

Kind = Literal["query", "header", "cookie"]

PLACES: Final[tuple[tuple[Kind, str], ...]] = (
    ("query", "api_key"), ("query", "access_token"), ("query", "token"), ("header", "Authorization"),
    ("header", "X-API-Key"), ("header", "X-Api-Token"), ("cookie", "session_token"),
)  # fmt: skip
"""The documented defaults, in the documented order."""

REVOKED: Final = frozenset({"gone-1", "gone-2"})


_MAPPED: Final = (("tier", "tier"), ("role", "user_role"), ("limits", "limits"), ("quota", "quota"))


@final
class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration, in the plugin's own words."""

    redis: Literal["up", "down", "disabled"] = "up"
    fail_open: bool = False
    from_query: tuple[str, ...] | None = None
    """None: not said. Empty: said to be empty."""
    user_claims: tuple[str, ...] = ("sub",)
    meta_claims: tuple[tuple[str, str], ...] = _MAPPED
    issuer_whitelist: tuple[str, ...] = ()
    audience_whitelist: tuple[str, ...] = ()


GATES: Final[Mapping[str, Gate]] = {
    "stateful": Gate(),
    "stateless": Gate(redis="disabled", fail_open=True),
    "stateless, closed": Gate(redis="disabled"),
    "down": Gate(redis="down"),
    "down, open": Gate(redis="down", fail_open=True),
    "members": Gate(
        issuer_whitelist=("https://auth.example.com", "https://other.example.com"),
        audience_whitelist=("https://api.example.com",),
    ),
    "users": Gate(user_claims=("uid", "sub")),
    "no query": Gate(from_query=()),
    "one query": Gate(from_query=("access_token",)),
}


@final
class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tokens stand in a request to one of the gates. Each place holds one at most."""

    gate: str
    tokens: Mapping[tuple[Kind, str], str]
    prefix: str = "Bearer "
    preflight: bool = False

    def request(self) -> Request:
        """Spell it."""
        query = "&".join(f"{name}={quote(token)}" for (kind, name), token in self.tokens.items() if kind == "query")
        headers = [
            (name.lower().encode(), (self.prefix * (name == "Authorization") + token).encode())
            for (kind, name), token in self.tokens.items()
            if kind == "header"
        ]
        headers += [
            (b"cookie", f"theme=dark; {name}={token}".encode())
            for (kind, name), token in self.tokens.items()
            if kind == "cookie"
        ]
        if self.preflight:
            headers += [(b"origin", b"https://page.test"), (b"access-control-request-method", b"GET")]
        return Request(method="OPTIONS" if self.preflight else "GET", query=query.encode(), headers=headers, id="x")


@final
class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: status and documented members of the body, or who was let in."""

    status: int
    body: Mapping[str, Any] | None = None
    user: str | None = None
    jti: str | None = None
    meta: Mapping[str, str] = {}


BLACKLISTED: Final = Said(
    status=401,
    body={
        "error": "api_key_blacklisted",
        "message": "API key has been disabled due to subscription changes",
        "code": 401,
        "details": "Please check your subscription status or generate a new API key",
    },
)
INVALID: Final = Said(
    status=401, body={"error": "invalid_token", "message": "Invalid authentication token", "code": 401}
)
UNAVAILABLE: Final = Said(
    status=500, body={"error": "internal_error", "message": "Authentication service unavailable", "code": 500}
)
PASSED: Final = Said(status=200)

_META: Final[tuple[dict[str, Any], ...]] = (
    {}, {"tier": "PREMIUM"}, {"tier": "FREE", "role": "admin"}, {"quota": 5}, {"quota": 2.5}, {"limits": ["a", "b"]},
    {"limits": [1, 2]}, {"tier": ABSENT}, {"role": ""}, {"quota": 12345678901234567890},
)  # fmt: skip
_USERS: Final[tuple[dict[str, Any], ...]] = (
    {}, {"sub": "bob"}, {"sub": "carol", "uid": "u-7"}, {"sub": 42}, {"sub": 12345678901234567891},
    {"sub": 12345678901234567892},
    {"sub": ABSENT}, {"sub": ""}, {"sub": ABSENT, "uid": "u-8"}, {"uid": ""}, {"sub": 1.5},
)  # fmt: skip
_RULES: Final[tuple[dict[str, Any], ...]] = (
    {}, {}, {}, {"exp": NOW - 10}, {"exp": NOW}, {"exp": NOW + 1},
    {"exp": ABSENT}, {"nbf": NOW + 60}, {"iat": NOW + 60},
    {"iss": "https://evil.example.com"},
    {"iss": "https://other.example.com"}, {"iss": ABSENT},
    {"aud": "https://api.example.com"}, {"aud": "urn:other"}, {"aud": ABSENT}, {"exp": "soon"},
)  # fmt: skip
_IDS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},
    {"jti": "key-2"},
    {"jti": "gone-1"},
    {"jti": "gone-2"},
    {"jti": ABSENT},
)
_JUNK: Final = ("junk", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "..", base64url(b"{}") + "." + base64url(b"[]") + ".x")


def _token(chance: random.Random) -> str:
    claims = chance.choice(_META) | chance.choice(_USERS) | chance.choice(_RULES) | chance.choice(_IDS)
    match chance.randrange(10):
        case 0:
            return chance.choice(_JUNK)
        case 1:
            return unsigned(**{name: value for name, value in claims.items() if value is not ABSENT})
        case 2:
            return forged(**claims)
        case 3:
            header = {"alg": chance.choice(("HS384", "HS512")), "typ": "JWT"}
            return _other(header, claims)
        case _:
            return mint(**claims)


def _other(header: dict[str, str], claims: dict[str, Any]) -> str:
    """Sign with the gate's secret under another algorithm of its family."""
    chosen = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ABSENT}
    signing_input = f"{part(header)}.{part(chosen)}"
    return f"{signing_input}.{base64url(hmac.digest(SECRET, signing_input.encode(), 'sha' + header['alg'][2:]))}"


def questions(count: int) -> Iterator[Question]:
    """Make so many, always the same."""
    chance = random.Random(20250807)  # noqa: S311 - chosen, not secret
    for _ in range(count):
        many = chance.choice((0, 1, 1, 1, 1, 1, 2, 2, 3, 4))
        yield Question(
            gate=chance.choice(tuple(GATES)),
            tokens={place: _token(chance) for place in chance.sample(PLACES, many)},
            prefix=chance.choice(("Bearer ", "Bearer ", "bearer ", "BEARER ", "", "Basic ")),
            preflight=chance.random() < 0.05,
        )
