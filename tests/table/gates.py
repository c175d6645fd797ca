"""The gates that rows are sent to, by name: one policy each, and what stands in the store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from sluicegate.core.claims import Identifiers, Verified
from sluicegate.core.decision import Reason
from sluicegate.core.flow import Flow, Hits
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy, Requirement, Sources
from sluicegate.core.request import Request
from sluicegate.core.token import Peeked
from sluicegate.core.verify import LocalKeys, Verifier
from sluicegate.engine import Engine
from sluicegate.errors import StateUnavailable
from sluicegate.ports import Observer, StateStore
from tests.table.tokens import ISSUED, NOW, SECRET, base64url, digest, mint

REVOKED_BY_HASH: Final = mint(jti="by-hash")

STANDING: Final[Mapping[str, str | None]] = {
    "BLACKLIST:key:revoked": "cancelled",
    "BLACKLIST:key:revoked-json": '{"reason": "security", "by": "ops", "note": "Ünïcode"}',
    "BLACKLIST:key:revoked-cutoff": f'{{"reason": "abuse", "not_before": {ISSUED - 1000}}}',
    "BLACKLIST:key:revoked-unreadable": None,
    "BLACKLIST:key:revoked-empty": "",
    "BLACKLIST:key:schlüssel-用户": "expired",
    "BLACKLIST:sub:mallory": "abuse",
    "BLACKLIST:sub:42": "abuse",
    "BLACKLIST:sub:12345678901234567891": "abuse",
    "BLACKLIST:sub:carol": f'{{"reason": "security", "not_before": {ISSUED}}}',
    "BLACKLIST:sub:dave": '{"reason": "security", "not_before": "yesterday"}',
    "BLACKLIST:sid:session-9": "security",
    "BLACKLIST:client:app-9": "abuse",
    "BLACKLIST:kid:key-2019": "security",
    "BLACKLIST:iss:https://old.example.com": "security",
    f"BLACKLIST:token:{digest(REVOKED_BY_HASH)}": "security",
}
"""Every revocation of the table, as any writer of the store would have written it."""


class Listed:
    """A store whose entries never change; it answers at once."""

    def find(self, keys: tuple[str, ...]) -> Hits:
        """Return those that stand."""
        return {key: STANDING[key] for key in keys if key in STANDING}


class Awaited:
    """The same, asked over something that must be awaited."""

    async def find(self, keys: tuple[str, ...]) -> Hits:
        """Return those that stand."""
        return Listed().find(keys)


class Silent:
    """A store out of reach."""

    def find(self, keys: tuple[str, ...]) -> Hits:
        """Say so."""
        raise StateUnavailable(f"{len(keys)} questions and no answer")


class AwaitedSilent:
    """The same, found out while awaiting."""

    async def find(self, keys: tuple[str, ...]) -> Hits:
        """Say so."""
        return Silent().find(keys)


class Told:
    """A verifier that answers what the token tells it to: how every verdict looks from outside."""

    asks: Final = False

    def recall(self, digest: bytes, request: Request, now: float) -> None:
        """Remember nothing."""

    def verify(self, peeked: Peeked, identifiers: Identifiers, request: Request, now: float) -> Flow[Verified | Reason]:  # noqa: ARG002 - the protocol's
        """Answer the reason in the claim `verdict`."""
        return self.prove(peeked, identifiers, now)

    def prove(self, peeked: Peeked, identifiers: Identifiers, now: float) -> Flow[Verified | Reason]:  # noqa: ARG002 - the protocol's
        """Answer likewise."""
        yield from ()  # a flow that asks nothing
        return Reason(peeked.claims["verdict"])


@dataclass(frozen=True, slots=True)
class Named:
    """How a gate differs from the usual one. `auth` and `require` are what the application asks beyond it."""

    policy: Policy = field(default_factory=Policy)
    user: tuple[str, ...] = ("sub",)
    store: Literal["listed", "silent", "none"] = "listed"
    verifier: Callable[[], Verifier] | None = None
    auth: Literal["required", "optional"] | None = None
    require: Requirement | None = None

    def engine(self, *, awaited: bool, observer: Observer | None = None) -> Engine:
        """Build it, on a store that answers at once or one that must be awaited."""
        return Engine(
            self.policy,
            self.keys() if self.verifier is None else self.verifier(),
            state=_store(self.store, awaited=awaited),
            observer=observer,
            clock=lambda: NOW,
        )

    def keys(self) -> LocalKeys:
        """Build what verifies the table's tokens."""
        return LocalKeys(load(base64url(SECRET), ["HS256"]), ClaimNames(user=self.user, meta=META))


def _store(kind: Literal["listed", "silent", "none"], *, awaited: bool) -> StateStore | None:
    stores: dict[str, tuple[Callable[[], StateStore], Callable[[], StateStore]]] = {
        "listed": (Listed, Awaited),
        "silent": (Silent, AwaitedSilent),
    }
    return stores[kind][awaited]() if kind in stores else None


META: Final = (
    ("tier", "tier"),
    ("role", "user_role"),
    ("org.id", "organization"),
    ("https://example.com/team", "team"),
    ("limits", "limits"),
    ("quota", "quota"),
)

GATES: Final[Mapping[str, Named]] = {
    "default": Named(),
    "users": Named(user=("sub", "uid", "profile.id", "groups")),
    "stateless": Named(Policy(state="none"), store="none"),
    "down": Named(store="silent"),
    "fail-open": Named(Policy(state="admit"), store="silent"),
    "any-jti": Named(Policy(require_jti=False)),
    "optional": Named(auth="optional"),
    "optional-read": Named(auth="optional", require=Requirement(scopes=frozenset({"read"}))),
    "off": Named(Policy(auth="off")),
    "single": Named(Policy(multiple_tokens="refuse")),
    "members": Named(
        Policy(
            issuers=frozenset({"https://auth.example.com", "https://other.example.com"}),
            audiences=frozenset({"https://api.example.com", "urn:gate"}),
            require_exp=True,
        )
    ),
    "patient": Named(Policy(leeway=60.0)),
    "writers": Named(require=Requirement(scopes=frozenset({"read", "write"}))),
    "paying": Named(require=Requirement(claims=(("tier", ("PREMIUM", "ENTERPRISE")), ("active", (True,))))),
    "renamed": Named(
        Policy(sources=Sources(query=("t", "Q"), header=("X-Custom", "Authorization"), cookies=("one", "two")))
    ),
    "header-only": Named(Policy(sources=Sources(query=(), cookies=()))),
    "told": Named(verifier=Told),
}
