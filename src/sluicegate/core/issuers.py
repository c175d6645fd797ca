"""Several issuers behind one gate, each tied to its own keys (RFC 8725, 3.8).

The `iss` that a token claims picks one of those the operator wrote down, and nothing else: it is never fetched, never
looked up, and an issuer whose keys did not sign the token is of no avail to another.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from sluicegate.core.claims import Identifiers, Verified
from sluicegate.core.decision import Reason
from sluicegate.core.flow import Flow
from sluicegate.core.keyring import Keyring
from sluicegate.core.policy import ClaimNames
from sluicegate.core.request import Request
from sluicegate.core.token import Peeked
from sluicegate.core.verify import VerifiedCache, genuine


class Issuer(msgspec.Struct, frozen=True):
    """The keys of the tokens that carry this `iss`, and which of their claims are used."""

    iss: str
    ring: Keyring
    names: ClaimNames


class Issuers:
    """Verifies with the keys of whichever issuer a token names. `other` is for tokens that name none of them."""

    asks: Final = False

    def __init__(self, issuers: Iterable[Issuer], *, other: Issuer | None = None, cache_size: int = 100_000) -> None:
        self._by_iss: Final = {issuer.iss: issuer for issuer in issuers}
        self._other: Final = other
        self._cache: Final = VerifiedCache(cache_size)

    def recall(self, digest: bytes, request: Request, now: float) -> Verified | None:  # noqa: ARG002 - a signature holds on every route
        """Return what is remembered of a token seen before, unless its key has been withdrawn."""
        found = self._cache.get(digest, now)
        if found is None:
            return None
        issuer = self._issuer(found.issuer)
        return found if issuer is not None and issuer.ring.stands(found.key, now) else None

    def verify(
        self,
        peeked: Peeked,
        identifiers: Identifiers,
        request: Request,  # noqa: ARG002 - likewise
        now: float,
    ) -> Flow[Verified | Reason]:
        """Pick the issuer, then check with its keys alone."""
        return self.prove(peeked, identifiers, now)

    def prove(self, peeked: Peeked, identifiers: Identifiers, now: float) -> Flow[Verified | Reason]:
        """Do the same: keys are at hand, and asking for them costs one fetch for everybody."""
        issuer = self._issuer(peeked.claims.get("iss"))
        if issuer is None:
            return Reason.ISSUER
        return (yield from genuine(peeked, identifiers, now, ring=issuer.ring, names=issuer.names, cache=self._cache))

    def _issuer(self, iss: object) -> Issuer | None:
        return self._by_iss.get(iss, self._other) if isinstance(iss, str) else self._other
