"""The operator's choices, frozen at start. The constructor thinks, the decision compares."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from sluicegate.core.request import Source, SourceKind
from sluicegate.core.revocation import KeyLayout

SourceTable = Mapping[bytes, tuple[int, Source]]


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where tokens are looked for. An empty tuple really means nowhere.

    The names as configured are turned into tables once: name as it arrives, to its rank and what the log calls it.
    """

    query: tuple[str, ...] = ("api_key", "access_token", "token")
    header: tuple[str, ...] = ("Authorization", "X-API-Key", "X-Api-Token")
    cookies: tuple[str, ...] = ("session_token",)
    by_query: SourceTable = {}
    by_header: SourceTable = {}
    by_cookie: SourceTable = {}
    watched: frozenset[bytes] = frozenset()
    """The header fields in which a token may stand."""

    def __post_init__(self) -> None:
        """Build the tables."""
        lower = tuple(name.lower() for name in self.header)
        force = msgspec.structs.force_setattr
        force(self, "by_query", _table("query", self.query, self.query))
        force(self, "by_header", _table("header", lower, self.header))
        force(self, "by_cookie", _table("cookie", self.cookies, self.cookies))
        force(self, "watched", frozenset(self.by_header) | ({b"cookie"} if self.cookies else set()))


def _table(kind: SourceKind, arriving: tuple[str, ...], names: tuple[str, ...]) -> SourceTable:
    table: dict[bytes, tuple[int, Source]] = {}
    for key, name in zip(arriving, names, strict=True):
        table.setdefault(key.encode(), (len(table), Source(kind, name)))  # named twice: the first counts
    return table


class ClaimNames(msgspec.Struct, frozen=True, kw_only=True):
    """Which claims of a verified token are used.

    `user`: the first that is present and not empty is the identity's id. `meta`: pairs of a claim's path and the
    name it gets.
    """

    user: tuple[str, ...] = ("sub",)
    meta: tuple[tuple[str, str], ...] = ()


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """What a route asks of a genuine token: all of the scopes, and for each claim one of the values.

    `topics` are the patterns (`topics.pattern`) of which one must give it the topic of the request; None asks nothing.
    """

    scopes: frozenset[str] = frozenset()
    claims: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    topics: tuple[str, ...] | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is asked at all."""
        return bool(self.scopes or self.claims) or self.topics is not None


class TicketKey(msgspec.Struct, frozen=True):
    """Proves what is kept under tickets. Its `repr` does not show it."""

    secret: bytes

    def __repr__(self) -> str:
        """Show nothing."""
        return "<TicketKey>"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision depends on but the request, the verifier and the clock.

    `state`: what to do about the revocation store. "none" asks nothing; "refuse" and "admit" say what follows
    when it cannot answer. `auth`: "required"; "optional" lets a request without a token in as anonymous; "off" lets
    everything in. `leeway` is in seconds. `audiences_of` replaces `audiences` for tokens of these issuers, by `iss`.
    """

    sources: Sources = Sources()
    layout: KeyLayout = KeyLayout()
    state: Literal["none", "refuse", "admit"] = "refuse"
    auth: Literal["required", "optional", "off"] = "required"
    multiple_tokens: Literal["first_valid", "refuse"] = "first_valid"
    require_jti: bool = True
    require_exp: bool = False
    leeway: float = 0.0
    issuers: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    audiences_of: Mapping[str, frozenset[str]] = {}
    requirement: Requirement = Requirement()
    tickets: TicketKey | None = None
    """Set where a ticket in the query is as good as the token that it was made with."""

    def with_route(self, *, auth: Literal["required", "optional"] = "required", requirement: Requirement) -> "Policy":
        """Return this policy as one route has it. A gate that is off stays off."""
        return msgspec.structs.replace(self, auth=self.auth if self.auth == "off" else auth, requirement=requirement)
