"""Step 2: is the token genuine? The `Verifier` protocol, and verification with local keys."""

import contextlib
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.core.claims import Identifiers, MalformedClaim, Verified, read
from sluicegate.core.decision import Reason
from sluicegate.core.flow import Flow, ask
from sluicegate.core.keyring import FixedKeys, Keyring
from sluicegate.core.keys import Key
from sluicegate.core.policy import ClaimNames
from sluicegate.core.request import Request
from sluicegate.core.token import Peeked


class Verifier(Protocol):
    """Vouches for tokens, or says why not."""

    @property
    def asks(self) -> bool:
        """Tell whether `verify` asks somebody about the token itself; if not, `prove` says all there is to say."""
        ...

    def recall(self, digest: bytes, request: Request, now: float) -> Verified | None:
        """Return an earlier verdict on the token with this SHA-256 that still stands. Rules run on it again."""
        ...

    def verify(self, peeked: Peeked, identifiers: Identifiers, request: Request, now: float) -> Flow[Verified | Reason]:
        """Say whether the token is genuine, asking whoever must be asked."""
        ...

    def prove(self, peeked: Peeked, identifiers: Identifiers, now: float) -> Flow[Verified | Reason]:
        """Say whether the token is genuine without showing it to anyone, before its state is known.

        `DENIED` where only somebody else could say. Only a caller who holds a genuine token is told that it was
        revoked, and nobody is asked about a token that is dead anyway.
        """
        ...


class VerifiedCache:
    """Verified tokens by SHA-256: bounded, and none outlives its own `exp`.

    Two generations stand in for exact LRU: a hit in the older one moves the entry up, a full younger one becomes
    the older. So a hit in the young costs one dict lookup and writes nothing, which threads may do at will. What was
    the older one goes entry by entry: to drop 50,000 at once was measured to stop the process for 20 ms.
    """

    def __init__(self, size: int) -> None:
        self._half: Final = size // 2
        self._young: dict[bytes, Verified] = {}
        self._old: dict[bytes, Verified] = {}
        self._going: dict[bytes, Verified] = {}

    def __len__(self) -> int:
        """Return how many entries are held; never more than the size given."""
        return len(self._young) + len(self._old) + len(self._going)

    def get(self, digest: bytes, now: float) -> Verified | None:
        """Return what was put under this digest, unless it has expired."""
        found = self._young.get(digest)
        if found is None:
            found = self._old.get(digest)
            if found is None:
                return None
            self.put(digest, found, now)
        if found.expires_at is not None and found.expires_at <= now:
            self._young.pop(digest, None)
            self._old.pop(digest, None)
            return None
        return found

    def put(self, digest: bytes, verified: Verified, now: float) -> None:
        """Remember a verified token; one that has expired is not."""
        if not self._half or (verified.expires_at is not None and verified.expires_at <= now):
            return
        if len(self._young) >= self._half:  # and `_going` is empty: as many were put since it was made
            self._going, self._old, self._young = self._old, self._young, {}
        if self._going:
            with contextlib.suppress(KeyError):  # another thread has just taken the last
                self._going.popitem()
        self._old.pop(digest, None)
        self._young[digest] = verified


class LocalKeys:
    """Verifies with keys that are here, or fetched. A key says which algorithms it is for; the token picks none."""

    asks: Final = False

    def __init__(self, keys: Key | Keyring, names: ClaimNames, *, cache_size: int = 100_000) -> None:
        ring = FixedKeys(keys) if isinstance(keys, Key) else keys
        self._ring: Final[Keyring] = ring
        self._only: Final = ring.only if isinstance(ring, FixedKeys) else None
        self._names: Final = names
        self._cache: Final = VerifiedCache(cache_size)

    def recall(self, digest: bytes, request: Request, now: float) -> Verified | None:  # noqa: ARG002 - a signature holds on every route
        """Return what is remembered of a token seen before, unless its key has been withdrawn."""
        found = self._cache.get(digest, now)
        # the only key there is cannot be withdrawn
        if found is None or found.key is self._only or self._ring.stands(found.key, now):
            return found
        return None

    def verify(
        self,
        peeked: Peeked,
        identifiers: Identifiers,
        request: Request,  # noqa: ARG002 - likewise
        now: float,
    ) -> Flow[Verified | Reason]:
        """Check algorithm, then signature; only then are the claims read."""
        return self.prove(peeked, identifiers, now)

    def prove(self, peeked: Peeked, identifiers: Identifiers, now: float) -> Flow[Verified | Reason]:
        """Do the same: keys are at hand, and asking for them costs one fetch for everybody."""
        return genuine(peeked, identifiers, now, ring=self._ring, names=self._names, cache=self._cache)


def genuine(
    peeked: Peeked, identifiers: Identifiers, now: float, *, ring: Keyring, names: ClaimNames, cache: VerifiedCache
) -> Flow[Verified | Reason]:
    """Say whether one of these keys signed the token, waiting for new ones where none of those at hand did."""
    due = ring.due(now)
    if due is not None:
        yield from ask(due)
    keys = ring.candidates(peeked.header, now)
    key = _signer(peeked, keys)
    waited = key is None
    if key is None:
        further = yield from ring.renewed(peeked.header, keys, now)
        if isinstance(further, Reason):
            return further
        key = _signer(peeked, further)
    if key is None:
        return Reason.SIGNATURE
    verified = vouch(peeked, identifiers, names, key=key)
    if isinstance(verified, Verified):
        cache.put(peeked.digest, verified, now)
        return msgspec.structs.replace(verified, asked=True) if waited else verified
    return verified


def _signer(peeked: Peeked, keys: Iterable[Key]) -> Key | None:
    for key in keys:
        if key.checks[peeked.header.alg](peeked.signing_input, peeked.signature):
            return key
    return None


class NoKeys:
    """Vouches for nothing: a gate with authentication off may have no key at all."""

    asks: Final = False

    def recall(self, digest: bytes, request: Request, now: float) -> None:
        """Remember nothing."""

    def verify(
        self,
        peeked: Peeked,
        identifiers: Identifiers,
        request: Request,  # noqa: ARG002 - the protocol's
        now: float,
    ) -> Flow[Verified | Reason]:
        """Know no key."""
        return self.prove(peeked, identifiers, now)

    def prove(self, peeked: Peeked, identifiers: Identifiers, now: float) -> Flow[Verified | Reason]:  # noqa: ARG002 - the protocol's
        """Know no key."""
        yield from ()
        return Reason.UNKNOWN_KEY


class Unchecked:
    """`skip_verification`: believes every token that is well formed. For development only.

    Even here `none` is refused, and so is every name that is no algorithm: what works in development must not be
    a token that can never work elsewhere.
    """

    asks: Final = False

    def __init__(self, names: ClaimNames) -> None:
        self._names: Final = names

    def recall(self, digest: bytes, request: Request, now: float) -> None:
        """Remember nothing: there is nothing worth remembering in an unverified token."""

    def verify(
        self,
        peeked: Peeked,
        identifiers: Identifiers,
        request: Request,  # noqa: ARG002 - the protocol's
        now: float,
    ) -> Flow[Verified | Reason]:
        """Believe it."""
        return self.prove(peeked, identifiers, now)

    def prove(self, peeked: Peeked, identifiers: Identifiers, now: float) -> Flow[Verified | Reason]:  # noqa: ARG002 - the protocol's
        """Believe it."""
        yield from ()
        if peeked.header.alg not in ALGORITHMS:
            return Reason.ALGORITHM
        return vouch(peeked, identifiers, self._names, key=None)


def vouch(peeked: Peeked, identifiers: Identifiers, names: ClaimNames, *, key: object) -> Verified | Reason:
    """Turn a token whose signature holds into `Verified`; malformed claims are refused even when signed."""
    try:
        return Verified(**read(peeked, identifiers, names, key=key))
    except MalformedClaim:
        return Reason.MALFORMED
