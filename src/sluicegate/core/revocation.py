"""What revokes a token: selectors, the keys they are stored under, and the values stored there.

The key of a `jti` and its value are those of the Caddy plugin stateful_jwt, so that anything which writes its
blacklist today writes ours.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from sluicegate.core.flow import Hits
from sluicegate.errors import InvalidSelector

MAX_IDENTIFIER_BYTES = 256

# Control characters would split a log line or a RESP inline command; a lone surrogate has no UTF-8 form, so two
# layers could disagree on which key it is.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HEX_SHA256 = re.compile("[0-9a-f]{64}")


class Kind(StrEnum):
    """What a selector selects by; the word stands in the key."""

    JTI = "jti"
    SUB = "sub"
    SID = "sid"
    CLIENT = "client"
    KID = "kid"
    ISS = "iss"
    TOKEN = "token"  # noqa: S105 - a kind of selector, no secret


SELECTING_CLAIMS = (
    ("sub", Kind.SUB),
    ("sid", Kind.SID),
    ("azp", Kind.CLIENT),  # OpenID Connect's name for the client; `client_id` is that of RFC 9068
    ("client_id", Kind.CLIENT),
    ("iss", Kind.ISS),
)
_REMEDY = "give 1 to 256 bytes without control characters"
_REMEDIES = {
    Kind.JTI: _REMEDY + ", without *, and not beginning as the key of another kind does",
    Kind.TOKEN: "give the 64 lower-case hex digits of its SHA-256",
}
_CUTOFF_KINDS = frozenset({Kind.SUB, Kind.SID, Kind.CLIENT, Kind.KID, Kind.ISS})
_OF_AN_ISSUER = frozenset({Kind.SUB, Kind.SID, Kind.CLIENT})
"""Kinds whose values an issuer gives out: two issuers may both have an `alice`."""


def is_identifier(text: str) -> bool:
    """Tell whether `text` may name something: 1 to 256 bytes of UTF-8, no control characters or surrogates."""
    if text.isascii():  # which nearly all are, and of these the printable ones are those without control characters
        return 0 < len(text) <= MAX_IDENTIFIER_BYTES and text.isprintable()
    return (
        len(text) <= MAX_IDENTIFIER_BYTES
        and _FORBIDDEN.search(text) is None
        and len(text.encode()) <= MAX_IDENTIFIER_BYTES
    )


class Selector(msgspec.Struct, frozen=True):
    """Every token whose `kind` has this value."""

    kind: Kind
    value: str

    def __str__(self) -> str:
        """Return `sub:alice`, the form that the command line takes and prints."""
        return f"{self.kind}:{self.value}"


class KeyLayout(msgspec.Struct, frozen=True, kw_only=True):
    """Under which keys revocations stand.

    `issuers` gives each of several issuers, by its `iss`, the short name that stands first in what selects by `sub`,
    `sid` or `client`: `sub:main:alice`. Tokens of any other issuer carry no name there; `unnamed` tells whether there
    are such tokens.

    What follows from these is reckoned once: `by_claim` is what the keys of each selecting claim begin with,
    `by_issuer` the same for a named issuer, `by_kid` and `by_token` what those of a key and of one whole token begin
    with; `reserved` is how a `jti` may not begin, lest it spell the key of another kind, and mostly empty; `names` is
    how the value of an unnamed issuer may not begin, for the same reason.
    """

    blacklist_prefix: str = "BLACKLIST:key:"
    selector_prefix: str = "BLACKLIST:"
    issuers: Mapping[str, str] = {}
    unnamed: bool = True
    by_claim: tuple[tuple[str, str], ...] = ()
    by_issuer: Mapping[str, tuple[tuple[str, str], ...]] = {}
    by_kid: str = ""
    by_token: str = ""
    reserved: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reckon it."""
        own = self.blacklist_prefix
        others = [self.prefix(kind) for kind in Kind if kind is not Kind.JTI]
        reserved = tuple(prefix.removeprefix(own) for prefix in others if prefix.startswith(own))
        msgspec.structs.force_setattr(self, "reserved", reserved)
        msgspec.structs.force_setattr(self, "by_claim", self._by_claim(""))
        msgspec.structs.force_setattr(self, "by_kid", self.prefix(Kind.KID))
        msgspec.structs.force_setattr(self, "by_token", self.prefix(Kind.TOKEN))
        by_issuer = {iss: self._by_claim(f"{name}:") for iss, name in self.issuers.items()}
        msgspec.structs.force_setattr(self, "by_issuer", by_issuer)
        msgspec.structs.force_setattr(self, "names", tuple(f"{name}:" for name in self.issuers.values()))

    def _by_claim(self, name: str) -> tuple[tuple[str, str], ...]:
        return tuple(
            (claim, self.prefix(kind) + (name if kind in _OF_AN_ISSUER else "")) for claim, kind in SELECTING_CLAIMS
        )

    def prefix(self, kind: Kind) -> str:
        """Return what every key of this kind begins with."""
        return self.blacklist_prefix if kind is Kind.JTI else f"{self.selector_prefix}{kind}:"

    def is_jti(self, text: str) -> bool:
        """Tell whether `text` can be a `jti`: an identifier that spells no other kind's key.

        `*` is refused too: operators' scripts pass a `jti` to `SCAN MATCH`.
        """
        return is_identifier(text) and "*" not in text and not text.startswith(self.reserved)

    def key(self, selector: Selector) -> str:
        """Return the store key of a selector.

        Raises `InvalidSelector` for a value that no token can carry, and, among several issuers, for one that does
        not say whose it is: it would stand in the store and select nothing.
        """
        value = selector.value
        if self.names and selector.kind in _OF_AN_ISSUER:
            if value.startswith(self.names):
                value = value.partition(":")[2]
            elif not self.unnamed:
                known = ", ".join(name.removesuffix(":") for name in self.names)
                raise InvalidSelector(f"write whose {selector.kind} it is: NAME:VALUE, where NAME is one of {known}")
        valid = {Kind.JTI: self.is_jti, Kind.TOKEN: _is_sha256}.get(selector.kind, is_identifier)
        if not valid(value):
            # never the value: people paste whole tokens here
            raise InvalidSelector(f"this {selector.kind} can name no token: " + _REMEDIES.get(selector.kind, _REMEDY))
        return self.prefix(selector.kind) + selector.value

    def selector(self, key: str) -> Selector | None:
        """Return what a store key selects, or None when it is none of ours."""
        # the longest prefix first: `BLACKLIST:` may itself be the blacklist prefix
        for kind in sorted(Kind, key=lambda kind: -len(self.prefix(kind))):
            prefix = self.prefix(kind)
            if key.startswith(prefix) and len(key) > len(prefix):
                return Selector(kind, key[len(prefix) :])
        return None


def _is_sha256(text: str) -> bool:
    return _HEX_SHA256.fullmatch(text) is not None


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """Why, and for which of the selected tokens.

    `not_before`, in seconds since the epoch, spares tokens issued after it. `context` is what the writer added
    (`by`, `at`, `note`).
    """

    reason: str
    not_before: float | None = None
    context: Mapping[str, Any] = {}

    def covers(self, issued_at: float | None) -> bool:
        """Tell whether a token issued then is revoked; one that does not say when is."""
        return self.not_before is None or issued_at is None or issued_at <= self.not_before


_UNREADABLE = Revocation(reason="revoked")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def decode(value: str | None) -> Revocation:
    """Read a stored value: a plain reason, or a JSON object with `reason` and context.

    Never fails: a key that stands revokes, whatever its value. A cut-off that cannot be read is none, so it
    revokes every token selected.
    """
    if value is None:
        return _UNREADABLE
    if not value.startswith("{"):
        return Revocation(reason=value or "revoked")
    try:
        fields = _decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Revocation(reason=value)
    reason = fields.pop("reason", None)
    not_before = fields.pop("not_before", None)
    # a number stays as it is written: an integer of 400 digits is no float, and lies behind every token
    numeric = isinstance(not_before, int | float) and not isinstance(not_before, bool)
    return Revocation(
        reason=reason if isinstance(reason, str) and reason else "revoked",
        not_before=not_before if numeric else None,
        context=fields,
    )


def encode(revocation: Revocation) -> str:
    """Write a value: the plain reason where that says it all, as every existing reader expects."""
    if revocation.not_before is None and not revocation.context and not revocation.reason.startswith("{"):
        return revocation.reason
    # the context is a writer's notes: none of them may pass for a cut-off, which would spare tokens
    fields = {name: value for name, value in revocation.context.items() if name not in {"reason", "not_before"}}
    fields["reason"] = revocation.reason
    if revocation.not_before is not None:
        fields["not_before"] = revocation.not_before
    return msgspec.json.encode(fields).decode()


class Entry(msgspec.Struct, frozen=True):
    """A stored value and when it ends: seconds since the epoch, None for never."""

    value: str
    expires_at: float | None = None


def merge(old: Entry | None, new: Entry) -> Entry:
    """Return what must stand after `new` is written over `old`: never less than stood before.

    A cut-off only moves later, a life only grows, and no cut-off replaces a revocation of every token.
    """
    if old is None:
        return new
    standing, coming = decode(old.value), decode(new.value)
    weaker = coming.not_before is not None and (standing.not_before is None or standing.not_before > coming.not_before)
    ends = None if old.expires_at is None or new.expires_at is None else max(old.expires_at, new.expires_at)
    return Entry(old.value if weaker else new.value, ends)


def strongest(hits: Hits, issued_at: float | None, layout: KeyLayout) -> tuple[str, Revocation] | None:
    """Return the first key that revokes a token issued then, with why; None when no hit covers it.

    Cut-offs count only on kinds that select many tokens; on a single token every value revokes.
    """
    for key, value in hits.items():
        revocation = decode(value)
        selector = layout.selector(key)
        if selector is None or selector.kind not in _CUTOFF_KINDS or revocation.covers(issued_at):
            return key, revocation
    return None
