"""The keys of one issuer: one that the operator gave, with its predecessor for a while, or those behind a URL."""

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Final, Protocol, final

import msgspec

from sluicegate.core.decision import Reason
from sluicegate.core.events import Joined, Refreshed
from sluicegate.core.fetch_keys import LONGEST_FETCH, KeySource, fetch_keys
from sluicegate.core.flow import NOW, Flow, Later, Once, Tell, ask
from sluicegate.core.freshness import Freshness
from sluicegate.core.jwk import InvalidKeySet, KeySet
from sluicegate.core.keys import Key
from sluicegate.core.token import Header
from sluicegate.errors import FetchFailed

Found = tuple[Key, ...]

_LONGEST_WAIT: Final = LONGEST_FETCH + 1.0
_NOTHING: Final = KeySet(())


class Keyring(Protocol):
    """Knows which keys may have signed a token. `now` is in seconds since the epoch."""

    def stands(self, key: object, now: float) -> bool:
        """Tell whether a token that was verified with this key is still as good."""
        ...

    def due(self, now: float) -> Later | None:
        """Return what should be begun behind the request, if anything."""
        ...

    def candidates(self, header: Header, now: float) -> Found:
        """Return the keys at hand that a token with this header may have been signed with."""
        ...

    def renewed(self, header: Header, tried: Found, now: float) -> Flow[Found | Reason]:
        """Return further keys, since none of those tried has signed it, or why there are none."""
        ...


@final
class FixedKeys:
    """A key that is here, and the one before it, which counts until `previous_until`.

    Whichever signed a token, its `kid` says nothing: these keys have none.
    """

    def __init__(self, key: Key, previous: Key | None = None, *, previous_until: float = math.inf) -> None:
        self._key: Final = key
        self._alone: Final = (key,)
        self._previous: Final = previous
        self._until: Final = previous_until

    @property
    def only(self) -> Key | None:
        """The key, where there never is another."""
        return self._key if self._previous is None else None

    def stands(self, key: object, now: float) -> bool:
        """Tell whether it is the key, or its predecessor in time."""
        return key is self._key or (key is self._previous and now < self._until)

    def due(self, now: float) -> None:
        """Begin nothing."""

    def candidates(self, header: Header, now: float) -> Found:
        """Return those of the two that are for this algorithm."""
        own = self._alone if header.alg in self._key.checks else ()
        previous = self._previous
        if previous is None or now >= self._until or header.alg not in previous.checks:
            return own
        return (*own, previous)

    def renewed(self, header: Header, tried: Found, now: float) -> Flow[Found | Reason]:  # noqa: ARG002 - the protocol's
        """Say that there are no others."""
        yield from ()
        return Reason.SIGNATURE if tried else Reason.ALGORITHM


class KeyReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the keys behind a URL are: how many count, and how old they are in seconds; None where there were none."""

    service: str
    keys: int
    age: float | None
    failure: str
    """Why the last attempt to fetch them brought nothing; empty when it did not fail."""
    warnings: tuple[str, ...]


@final
class PublishedKeys:
    """The keys behind a URL. A successful refresh replaces them; a failed one leaves them as they were, for a day.

    `chance` returns numbers between 0 and 1, and spreads refreshes in time.
    """

    def __init__(self, source: KeySource, *, chance: Callable[[], float]) -> None:
        self._source: Final = source
        self._freshness: Final = Freshness(chance)
        self._behind: Final = Later(key=self, flow=self._refresh)
        self._set = _NOTHING
        self._live: frozenset[object] = frozenset()
        self._failure = ""

    def stands(self, key: object, now: float) -> bool:
        """Tell whether the key is still published, as far as is known.

        When a refresh is due the answer is no: one request then takes the long way, and begins it.
        """
        return key in self._live and not self._freshness.is_due(now)

    def due(self, now: float) -> Later | None:
        """Return a refresh that nobody waits for, when it is time and there are keys to go on with meanwhile."""
        return self._behind if self._freshness.is_due(now) and self._held(now).keys else None

    def candidates(self, header: Header, now: float) -> Found:
        """Return those of the keys at hand."""
        return self._held(now).candidates(header)

    def report(self, now: float) -> KeyReport:
        """Say how they are."""
        return KeyReport(
            service=self._source.name,
            keys=len(self._held(now).keys),
            age=self._freshness.age(now),
            failure=self._failure,
            warnings=self._set.warnings,
        )

    def fetch(self) -> Flow[None]:
        """Fetch the keys if it is time, and wait for them."""
        yield from self._awaited(self._refresh)

    def refresh(self) -> Flow[None]:
        """Begin a refresh if it is time, and do not wait for it."""
        yield from ask(self._behind)

    def renewed(self, header: Header, tried: Found, now: float) -> Flow[Found | Reason]:
        """Wait for keys where there are none, and for a key that nobody knows once a cool-down; return it.

        A token that names its key and was not signed with it is a forgery, and no reason to ask. One that names none
        may have been signed with a new key.
        """
        if header.alg not in self._source.algorithms:
            return Reason.ALGORITHM
        if header.kid and tried:
            return Reason.SIGNATURE
        came = now
        if not self._held(now).keys:
            now = yield from self._awaited(self._refresh)
        found = self._further(header, tried, now)
        for _ in range(2):  # what is joined first may have been begun before this key was published
            if found or not self._may_ask(came, now):
                break
            now = yield from self._awaited(functools.partial(self._refresh, asked=True))
            found = self._further(header, tried, now)
        if found:
            return found
        if tried:
            return Reason.SIGNATURE
        is_told = not self._failure and self._held(now).keys
        return Reason.UNKNOWN_KEY if is_told else Reason.KEYS_UNAVAILABLE

    def _may_ask(self, came: float, now: float) -> bool:
        """Tell whether a key that nobody knows may be asked for, for a request that came then."""
        if self._freshness.is_newer(came) or not self._held(now).keys:
            return False
        return self._freshness.is_busy(now) or self._freshness.has_cooled(now)

    def _further(self, header: Header, tried: Found, now: float) -> Found:
        return tuple(key for key in self._held(now).candidates(header) if key not in tried)

    def _held(self, now: float) -> KeySet:
        return self._set if self._freshness.counts(now) else _NOTHING

    def _awaited(self, flow: Callable[[], Flow[None]]) -> Flow[float]:
        """Wait for a flow that runs once for everybody, and return what time it is then."""
        # one that does not come back in time is as good as one that failed
        with contextlib.suppress(FetchFailed):
            yield from ask(Once(key=self, flow=flow, within=_LONGEST_WAIT, joined=Joined(self._source.name)))
        return (yield from ask(NOW))

    def _refresh(self, *, asked: bool = False) -> Flow[None]:
        """Fetch, and replace what there is. Runs once for everybody who waits.

        `asked`: for a key that nobody knows, and not because it was due.
        """
        begun = yield from ask(NOW)
        # whoever was here just before us may have done it
        if not (self._freshness.has_cooled(begun) if asked else self._freshness.is_due(begun)):
            return
        if asked:
            self._freshness.asking(begun)
        else:
            self._freshness.attempting(begun)
        failure, added, withdrawn = "", 0, 0
        news: tuple[str, ...] = ()
        try:
            fetched = yield from fetch_keys(self._source)
        except (FetchFailed, InvalidKeySet) as error:
            failure = str(error)
            now = yield from ask(NOW)
            self._freshness.failed(now, routine=not asked)
        else:
            now = yield from ask(NOW)
            news = tuple(warning for warning in fetched.keys.warnings if warning not in self._set.warnings)
            added, withdrawn = self._replace(fetched.keys)
            self._freshness.succeeded(now, begun=begun, life=fetched.life)
        self._failure = failure
        event = Refreshed(
            service=self._source.name,
            outcome="failed" if failure else "replaced" if added or withdrawn else "unchanged",
            keys=len(self._held(now).keys),
            added=added,
            withdrawn=withdrawn,
            age=self._freshness.age(now),
            took=now - begun,
            detail=failure,
            warnings=news,
        )
        yield from ask(Tell(event))

    def _replace(self, new: KeySet) -> tuple[int, int]:
        """Take over new keys, and say how many came and went. A key that stays keeps what was verified with it."""
        kept = new.keeping(self._set)
        before, after = self._live, frozenset[object](kept.keys)
        self._live = after  # first: nothing that a withdrawn key signed may be recalled once the new set is here
        self._set = kept
        return len(after - before), len(before - after)
