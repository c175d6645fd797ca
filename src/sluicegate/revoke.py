"""Revoking and restoring: what the library, the command line and the admin API all do, once."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from sluicegate.core.claims import Identifiers, MalformedClaim, date, identify
from sluicegate.core.policy import Policy
from sluicegate.core.revocation import Entry, Kind, Revocation, Selector, decode, encode
from sluicegate.core.token import MalformedToken, Peeked, digest, peek
from sluicegate.errors import InvalidSelector
from sluicegate.ports import Ledger

DEFAULT_REASON = "revoked"


Prover = Callable[[Peeked, Identifiers], bool]
"""Tells whether a token is genuine, from what is known here: it asks nobody else."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A revocation as it stands in the store.

    `expires_at` is in seconds since the epoch, None for ever. `warning` is a sentence for the operator.
    """

    selector: Selector
    key: str
    revocation: Revocation
    expires_at: float | None
    warning: str = ""


class Revoker:
    """Writes revocations through a ledger; when a method returns, the store has it.

    Every method raises `InvalidSelector` for a value that no token can carry, and `StateUnavailable` when the store
    cannot be relied on to have it.
    """

    def __init__(
        self, ledger: Ledger, policy: Policy, *, is_genuine: Prover, clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger: Final = ledger
        self._policy: Final = policy
        self._layout: Final = policy.layout
        self._is_genuine: Final = is_genuine
        self._clock: Final = clock

    def revoke(
        self,
        selector: Selector,
        *,
        reason: str = DEFAULT_REASON,
        ttl: float | None = None,
        not_before: float | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Standing:
        """Revoke every token that the selector names, for `ttl` seconds or for ever.

        `not_before`, in seconds since the epoch, spares tokens issued after it. What stands already is never
        weakened: a cut-off only moves later, a life only grows.
        """
        if ttl is not None and not ttl > 0:
            raise InvalidSelector(f"a time to live of {ttl} seconds would revoke nothing; give more than 0")
        if not_before is not None and selector.kind in {Kind.JTI, Kind.TOKEN}:
            raise InvalidSelector(f"a cut-off says nothing about a single token; leave it out for {selector.kind}")
        key = self._layout.key(selector)
        revocation = Revocation(reason=reason or DEFAULT_REASON, not_before=not_before, context=dict(context or {}))
        ends = None if ttl is None else self._clock() + ttl
        return self._standing(selector, key, self._ledger.put(key, Entry(encode(revocation), ends)))

    def revoke_token(
        self,
        token: str,
        *,
        reason: str = DEFAULT_REASON,
        ttl: float | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Standing:
        """Revoke one token, for as long as its `exp` leaves where `ttl` is not given.

        A genuine token is revoked by its `jti`; one that is not, or has none, by its SHA-256 only: a forged token
        handed to an operator must not revoke somebody else's `jti`.
        """
        peeked, identifiers, expires_at = self._taken_apart(token)
        selector = Selector(Kind.TOKEN, peeked.digest.hex())
        if identifiers.jti is not None and self._is_genuine(peeked, identifiers):
            selector = Selector(Kind.JTI, identifiers.jti)
        # leeway keeps a token open past its `exp`, and its revocation must outlive that
        left = None if expires_at is None else expires_at + self._policy.leeway - self._clock()
        warning = ""
        if ttl is None:
            # one that has expired opens nothing here; a minute covers clocks that differ
            ttl = None if left is None else max(left, 60.0)
        elif left is None or ttl < left:
            rest = "for ever" if left is None else f"another {left:.0f} s"
            warning = f"the token is valid {rest}, and the revocation ends in {ttl:.0f} s: after that it opens again"
        standing = self.revoke(selector, reason=reason, ttl=ttl, context=context)
        return msgspec.structs.replace(standing, warning=warning)

    def selectors_of(self, token: str) -> list[Selector]:
        """Return what `revoke_token` may have revoked this token by: its `jti`, and its SHA-256."""
        peeked, identifiers, _ = self._taken_apart(token)
        by_jti = [] if identifiers.jti is None else [Selector(Kind.JTI, identifiers.jti)]
        return [*by_jti, Selector(Kind.TOKEN, peeked.digest.hex())]

    def _taken_apart(self, token: str) -> tuple[Peeked, Identifiers, float | None]:
        raw = token.strip().encode(errors="replace")
        try:
            peeked = peek(raw, digest(raw))
            return peeked, identify(peeked, self._policy), date(peeked.claims, "exp")
        except (MalformedToken, MalformedClaim) as error:
            raise InvalidSelector(f"the gate would not read this token: {error}") from error

    def restore(self, selector: Selector) -> bool:
        """Take a revocation away; tell whether there was one."""
        return self._ledger.remove(self._layout.key(selector))

    def standing(self, kind: Kind | None = None) -> Iterator[Standing]:
        """Iterate over what stands, of one kind or of all, in no order."""
        kinds = list(Kind) if kind is None else [kind]
        for one in kinds:
            prefix = self._layout.prefix(one)
            for key, entry in self._ledger.entries(prefix):
                selector = self._layout.selector(key)
                if selector is not None and selector.kind is one:  # one prefix may begin with another
                    yield self._standing(selector, key, entry)

    @staticmethod
    def _standing(selector: Selector, key: str, entry: Entry) -> Standing:
        return Standing(selector=selector, key=key, revocation=decode(entry.value), expires_at=entry.expires_at)
