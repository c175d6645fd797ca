"""What a verified token says: times, issuer, audience, user, scopes; and the rules over them (RFC 7519, 4.1)."""

import functools
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

import msgspec

from sluicegate.core.decision import NO_META, Identity, Reason
from sluicegate.core.flow import FindRevocation
from sluicegate.core.policy import ClaimNames, Policy, Requirement
from sluicegate.core.revocation import KeyLayout, is_identifier
from sluicegate.core.token import Peeked, twin

LATEST_DATE = 253402300799
"""31 December 9999: a later `exp` is no date that anybody meant."""

_SCOPE_CLAIMS = ("scope", "scp", "permissions")
_MAY_BE_NULL = frozenset({"sid", "azp", "client_id"})  # RFC 7519 defines the others, as strings
_MISSING = object()
_STRINGS = frozenset({str})
_SHARED = frozenset({"azp", "client_id", "iss"})
_decode = msgspec.json.Decoder(dict[str, Any]).decode

T = TypeVar("T", str, tuple[str, ...])


class MalformedClaim(ValueError):  # noqa: N818 - names what it is; stays inside the core
    """A registered claim has a type or value that RFC 7519 does not allow."""


class Identifiers(msgspec.Struct, frozen=True, gc=False):
    """What a token can be revoked by, taken from its claims before anyone vouches for them."""

    question: FindRevocation
    jti: str | None
    issued_at: float | None
    layout: KeyLayout
    """What the question was written for; under another, it asks about nothing."""


class Verified(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A token that a verifier vouches for: what is kept of it, and nothing that it did not sign.

    Made only by verifiers. `key` is what it was verified with, so that a withdrawn key takes its tokens along.
    """

    identity: Identity | None
    identifiers: Identifiers
    issuer: str | None
    audiences: tuple[str, ...]
    not_before: float
    """The later of `nbf` and `iat`: neither may lie ahead."""
    expires_at: float | None
    payload: bytes
    """The claims as they were signed: parsed, they would take ten times the memory in the cache."""
    key: object = None
    asked: bool = False
    """Somebody far away vouches for it: what was known before he was asked may be out of date."""

    def __repr__(self) -> str:
        """Show whose it is: the payload is a part of the token, and tracebacks end in logs."""
        return f"<Verified {self.identity!r}>"

    @property
    def claims(self) -> Mapping[str, Any]:
        """Every claim, parsed anew: nobody can change them for another request."""
        return _decode(self.payload)


def identify(peeked: Peeked, policy: Policy) -> Identifiers:
    """Collect what this token can be revoked by.

    Raises `MalformedClaim` for identifiers of a type or form that could name something else in the store.
    """
    claims, layout, keys = peeked.claims, policy.layout, []
    jti = claims.get("jti", _MISSING)
    if jti is _MISSING:
        jti = None
    elif isinstance(jti, str) and layout.is_jti(jti):
        keys.append(layout.blacklist_prefix + jti)
    else:
        msg = "its jti is no short string, or could name something else in the store"
        raise MalformedClaim(msg)
    iss = claims.get("iss")
    # what an issuer has named, it has named among its own; unknown ones are refused, but not here
    named = layout.by_issuer.get(iss) if layout.issuers and isinstance(iss, str) else None
    for claim, prefix in layout.by_claim if named is None else named:
        value = claims.get(claim, "")
        if value == "" or (value is None and claim in _MAY_BE_NULL):
            continue
        if type(value) is int and claim != "iss":  # RFC 7519 wants strings; issuers write numbers all the same
            value = str(value)
        if not (isinstance(value, str) and is_identifier(value)):
            msg = f"its {claim} is no short string or whole number"
            raise MalformedClaim(msg)
        if named is None and claim != "iss" and value.startswith(layout.names):
            msg = f"its {claim} spells that of a named issuer"
            raise MalformedClaim(msg)
        keys.append(_once(prefix + value) if claim in _SHARED else prefix + value)
    if peeked.header.kid:
        keys.append(_key_of_kid(peeked.header.kid, layout))
    keys.append(layout.by_token + peeked.digest.hex())
    other = twin(peeked)
    if other is not None:
        keys.append(layout.by_token + other.hex())
    return Identifiers(FindRevocation(tuple(dict.fromkeys(keys))), jti, date(claims, "iat"), layout)


def _key_of_kid(kid: str, layout: KeyLayout) -> str:
    if not is_identifier(kid):
        msg = "its kid has control characters"
        raise MalformedClaim(msg)
    return _once(layout.by_kid + kid)


def date(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate in seconds, None where absent.

    Raises `MalformedClaim` for anything but a finite number within the calendar: a boolean, a string, `1e300`.
    """
    value = claims.get(name, _MISSING)
    if value is _MISSING:
        return None
    # "not within" and not "beyond": NaN is neither. No conversion before it: an integer of 400 digits is no float.
    if type(value) not in (int, float) or not -LATEST_DATE <= value <= LATEST_DATE:
        msg = f"its {name} is no date"
        raise MalformedClaim(msg)
    return float(value)


def read(
    peeked: Peeked, identifiers: Identifiers, names: ClaimNames, *, key: object, user: str | None = None
) -> dict[str, Any]:
    """Read claims that a verifier vouches for into the fields of `Verified`. `user` goes before what the token says.

    Raises `MalformedClaim` for a registered claim of a wrong type.
    """
    claims = peeked.claims
    expires_at = date(claims, "exp")
    not_before = max(date(claims, "nbf") or -math.inf, identifiers.issued_at or -math.inf)
    audiences = _audiences(claims)
    issuer = claims.get("iss")
    issuer = None if issuer is None else _once(issuer)
    user = _user(claims, names.user) if user is None else user
    identity = None
    if user is not None:
        identity = Identity(
            id=user,
            jti=identifiers.jti,
            issuer=issuer,
            scopes=_scopes(claims),
            meta=_meta(claims, names.meta),
            expires_at=expires_at,
        )
    return {
        "identity": identity,
        "identifiers": identifiers,
        "issuer": issuer,
        "audiences": audiences,
        "not_before": not_before,
        "expires_at": expires_at,
        "payload": peeked.payload,
        "key": key,
    }


def check(verified: Verified, policy: Policy, now: float) -> Reason | None:
    """Apply the operator's rules to a verified token; they run again each time it is used.

    Returns why it is refused, or None when every rule holds.
    """
    expires_at = verified.expires_at
    if expires_at is None:
        if policy.require_exp:
            return Reason.EXPIRY_MISSING
    elif expires_at <= now - policy.leeway:
        return Reason.EXPIRED
    if verified.not_before > now + policy.leeway:
        return Reason.NOT_YET_VALID
    if policy.issuers and verified.issuer not in policy.issuers:
        return Reason.ISSUER
    audiences = policy.audiences
    if policy.audiences_of:
        audiences = policy.audiences_of.get(verified.issuer or "", audiences)
    if audiences and audiences.isdisjoint(verified.audiences):
        return Reason.AUDIENCE
    return Reason.USER_CLAIM if verified.identity is None else None


def unmet(verified: Verified, identity: Identity, requirement: Requirement) -> Reason | None:
    """Return what of a route's requirement a genuine token does not meet, or None."""
    if not requirement.scopes.issubset(identity.scopes):
        return Reason.SCOPE
    claims = verified.claims if requirement.claims else {}
    for path, allowed in requirement.claims:
        value = find(claims, path)
        held = value if isinstance(value, list) else (value,)
        # `type` too: JSON's true and 1 are equal in Python and nowhere else
        if not any(type(one) is type(other) and one == other for one in held for other in allowed):
            return Reason.CLAIM
    return None


def text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Write a claim's value as the text that headers and templates show.

    Strings stand as they are, numbers exactly, a list of plain values joined by commas; whatever that would blur
    is compact JSON.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, tuple | list):
        parts = [text(item) for item in value]
        plain = all(isinstance(item, str | int | float) for item in value)
        if plain and not any("," in part for part in parts):
            return ",".join(parts)
    return msgspec.json.encode(value, enc_hook=dict).decode()


def find(claims: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the claim of this name, or the one reached by its dotted path; None where there is none.

    The name as a whole goes first: names like `https://example.com/role` hold dots of their own.
    """
    value: Any = claims.get(path, _MISSING)
    if value is _MISSING and "." in path:
        value = claims
        for step in path.split("."):
            value = value.get(step, _MISSING) if isinstance(value, Mapping) else _MISSING
    return None if value is _MISSING else value


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    audience = claims.get("aud", _MISSING)
    if audience is _MISSING:
        return ()
    if isinstance(audience, str):
        return _once((audience,))
    if isinstance(audience, list) and set(map(type, audience)) <= _STRINGS:
        return _once(tuple(audience))
    msg = "its aud is neither a string nor a list of strings"
    raise MalformedClaim(msg)


def _user(claims: Mapping[str, Any], names: Iterable[str]) -> str | None:
    for name in names:
        value = find(claims, name)
        if not isinstance(value, str):
            if not isinstance(value, int | float | list) or isinstance(value, bool):
                continue
            value = text(value)
        # An id stands in headers, logs and selectors: it obeys the rule of identifiers. Blank is empty.
        if is_identifier(value) and not value.isspace():
            return value
    return None


def _scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in _SCOPE_CLAIMS:
        value = claims.get(name)
        if isinstance(value, str):
            found |= dict.fromkeys(value.split(" "))
        elif isinstance(value, list):
            found |= dict.fromkeys(item for item in value if isinstance(item, str))
    found.pop("", None)
    return _once(tuple(found))


# Tokens are many, and what they have in common is little: their issuer, client, audience, scopes. Kept once each, these
# are a third less for every token that is remembered, and every stream that one has opened.
@functools.lru_cache(maxsize=1024)
def _kept(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    return value


def _once(value: T) -> T:
    return cast("T", _kept(value))


def _meta(claims: Mapping[str, Any], pairs: Iterable[tuple[str, str]]) -> Mapping[str, Any]:
    meta = {name: freeze(value) for path, name in pairs if (value := find(claims, path)) is not None}
    return MappingProxyType(meta) if meta else NO_META


def freeze(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Make a JSON value unchangeable: an identity is shared by every request of its token."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return tuple(freeze(item) for item in value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return MappingProxyType({name: freeze(item) for name, item in fields.items()})
    return value
