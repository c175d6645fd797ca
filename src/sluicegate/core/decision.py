"""What a decision says: admit with an identity, or refuse with a reason. Made in `decide`, nowhere else."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from sluicegate.core.request import Source

if TYPE_CHECKING:
    from sluicegate.core.claims import Identifiers, Verified
    from sluicegate.core.policy import Policy

NO_META: Mapping[str, Any] = MappingProxyType({})


class Reason(StrEnum):
    """Why a request was refused: one stable word, in bodies, logs and metrics.

    The order is how far a credential got. When several are refused, the one that got furthest is reported, so a
    junk token beside a revoked one cannot hide that it was revoked.
    """

    MISSING = "missing"
    TICKET = "ticket"
    MALFORMED = "malformed"
    MULTIPLE_TOKENS = "multiple_tokens"
    ALGORITHM = "algorithm"
    JTI_MISSING = "jti_missing"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    DENIED = "denied"
    EXPIRY_MISSING = "expiry_missing"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    USER_CLAIM = "user_claim"
    REVOKED = "revoked"
    SCOPE = "scope"
    CLAIM = "claim"
    TOPIC = "topic"
    VERIFICATION_RATE = "verification_rate"
    BREAKER_OPEN = "breaker_open"
    WEBHOOK_UNAVAILABLE = "webhook_unavailable"
    KEYS_UNAVAILABLE = "keys_unavailable"
    STATE_UNAVAILABLE = "state_unavailable"
    RATE_LIMITED = "rate_limited"


_STAGE = {reason: stage for stage, reason in enumerate(Reason)}


class Identity(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Who is let in, built from the verified token only.

    `expires_at` is in seconds since the epoch, None when the token never expires. `meta` holds the claims that
    `meta_claims` names, as JSON values; arrays are tuples.
    """

    id: str
    jti: str | None = None
    issuer: str | None = None
    scopes: tuple[str, ...] = ()
    meta: Mapping[str, Any] = NO_META
    expires_at: float | None = None


class Grounds(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What an admission rests on, beside the words of its request: headers, query and topic.

    `decide_again` says the same of the same words for as long as it holds. Two are equal that rest on the same token:
    what two gates say alike is alike.
    """

    policy: "Policy"
    verified: "Verified"
    digest: bytes
    """SHA-256 of the token."""

    def __eq__(self, other: object) -> bool:
        """Compare the token."""
        return isinstance(other, Grounds) and self.digest == other.digest

    def __hash__(self) -> int:
        """Go by the token."""
        return hash(self.digest)

    def __repr__(self) -> str:
        """Show what vouches for it: a policy fills a page."""
        return f"<Grounds {self.verified!r}>"


class Admit(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Let it through. `identity` is None for an anonymous request where the route allows that.

    `identifiers` is what the token can be revoked by: for whatever outlives the request that it opened.
    `state_unknown`: the store was out of reach and the operator chose to admit (`fail_open`). `grounds` is what it
    rests on; None where each request must be decided from the start.
    """

    identity: Identity | None = None
    source: Source | None = None
    identifiers: "Identifiers | None" = None
    state_unknown: bool = False
    grounds: Grounds | None = None


class Refuse(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Do not let it through, and why.

    `detail` is for the log and `explain`, never for the caller. `jti` and `subject` are set only when the token
    is genuine. `needed` names the scopes that a 403 challenge shows (RFC 6750, 3).
    """

    reason: Reason
    detail: str = ""
    source: Source | None = None
    jti: str | None = None
    subject: str | None = None
    needed: tuple[str, ...] = ()
    state_unknown: bool = False

    @property
    def stage(self) -> int:
        """How far the credential got; compared between credentials of one request."""
        return _STAGE[self.reason]


Decision = Admit | Refuse
