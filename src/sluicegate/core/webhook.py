"""Step 2, the other way: is the token genuine? Asks an endpoint that the operator trusts (RevenProx's webhook).

One flow, written once, for every shape of the gate. It remembers verdicts, asks once where many wait for one answer,
leaves a webhook alone that fails, and never takes a failure for a verdict.
"""

import functools
import math
from typing import Final, Protocol

import msgspec

from sluicegate.core.answers import Answers
from sluicegate.core.attempts import SERVICE, Attempts, Lock, Terms
from sluicegate.core.breaker import State
from sluicegate.core.claims import Identifiers, MalformedClaim, Verified, read
from sluicegate.core.decision import Reason
from sluicegate.core.events import Joined, Looked
from sluicegate.core.flow import NOW, Flow, Once, Tell, ask
from sluicegate.core.policy import ClaimNames
from sluicegate.core.request import Request
from sluicegate.core.token import Peeked
from sluicegate.core.topics import InvalidTopic, topic_id
from sluicegate.core.webhook_call import Unnamed, Verdict, Yes, body_of
from sluicegate.errors import FetchFailed

_Key = tuple[bytes, str | None]


class Proven(Protocol):
    """The verifier in front of the webhook: local keys. See `verify.Verifier`."""

    def recall(self, digest: bytes, request: Request, now: float) -> Verified | None:
        """Return an earlier verdict."""
        ...

    def verify(self, peeked: Peeked, identifiers: Identifiers, request: Request, now: float) -> Flow[Verified | Reason]:
        """Check the signature."""
        ...

    def prove(self, peeked: Peeked, identifiers: Identifiers, now: float) -> Flow[Verified | Reason]:
        """Check the signature of a revoked token."""
        ...


class _Question(msgspec.Struct, frozen=True):
    """One token and one topic, taken apart: all that the webhook's answer depends on."""

    key: _Key
    body: bytes
    peeked: Peeked
    identifiers: Identifiers
    claimed: Verified


class Webhook:
    """Verifies by asking. With `keys`, the signature is checked first, and forgeries never reach the webhook.

    What it remembers is bound to the whole token and the topic, never outlives the token, `cache_ttl` or the answer's
    own `expires_at`, and passes the gate's rules anew each time. A failure is never remembered.
    """

    asks: Final = True

    def __init__(self, terms: Terms, names: ClaimNames, *, lock: Lock, keys: Proven | None = None) -> None:
        self._terms: Final = terms
        self._names: Final = names
        self._keys: Final = keys
        self._yes: Final[Answers[Verified]] = Answers(terms.cache_size)
        self._no: Final[Answers[Reason]] = Answers(terms.cache_size)
        self.hits = 0
        """How often `recall` knew the answer; what it did not know is told by events."""
        self._attempts: Final = Attempts(terms, lock)

    @property
    def breaker(self) -> State:
        """How the breaker stands."""
        return self._attempts.breaker

    def recall(self, digest: bytes, request: Request, now: float) -> Verified | None:
        """Return the remembered yes to this token and topic, as long as the keys in front still stand by it too."""
        verified = self._yes.get((digest, request.topic), now)
        if verified is None or (self._keys is not None and self._keys.recall(digest, request, now) is None):
            return None
        self.hits += 1  # between threads one may be lost, which a counter can bear and a lock here could not
        return verified

    def prove(self, peeked: Peeked, identifiers: Identifiers, now: float) -> Flow[Verified | Reason]:
        """Check the signature where there are keys.

        Without keys nobody asks the webhook about a dead token; its bearer is told no more than that it is refused.
        One whom a remembered yes has shown to be genuine does not come here: `recall` finds it.
        """
        yield from ()
        return Reason.DENIED if self._keys is None else (yield from self._keys.prove(peeked, identifiers, now))

    def verify(self, peeked: Peeked, identifiers: Identifiers, request: Request, now: float) -> Flow[Verified | Reason]:
        """Say what the webhook says of this token and topic, or why it cannot be told."""
        try:
            topic = "" if request.topic is None else topic_id(request.topic)
        except InvalidTopic:
            return Reason.TOPIC
        claimed = yield from self._claimed(peeked, identifiers, request, now)
        if isinstance(claimed, Reason):
            return claimed
        key = (peeked.digest, request.topic)
        known = yield from self._known(key, now)
        if known is not None:
            return known
        question = _Question(key, body_of(peeked, topic), peeked, identifiers, claimed)
        once = Once(
            key=(self, key),
            flow=functools.partial(self._consult, question),
            within=self._terms.longest,
            joined=Joined(SERVICE),
        )
        try:
            return (yield from ask(once))
        except FetchFailed:  # whoever asks the webhook for all of us has not come back in time
            return Reason.WEBHOOK_UNAVAILABLE

    def _claimed(
        self, peeked: Peeked, identifiers: Identifiers, request: Request, now: float
    ) -> Flow[Verified | Reason]:
        """Read what the token says of itself, and refuse what no yes could mend."""
        claimed: Verified | Reason
        if self._keys is not None:
            # its signature was proven a moment ago, before the state was asked
            proven = self._keys.recall(peeked.digest, request, now)
            claimed = proven or (yield from self._keys.verify(peeked, identifiers, request, now))
        else:
            try:
                claimed = Verified(**read(peeked, identifiers, self._names, key=self))
            except MalformedClaim:
                return Reason.MALFORMED
        if isinstance(claimed, Reason):
            return claimed
        # spares the webhook clients that knock on and on with a token that has run out
        if claimed.expires_at is not None and claimed.expires_at <= now - self._terms.leeway:
            return Reason.EXPIRED
        return Reason.NOT_YET_VALID if claimed.not_before > now + self._terms.leeway else claimed

    def _known(self, key: _Key, now: float) -> Flow[Verified | Reason | None]:
        known = self._yes.get(key, now) or self._no.get(key, now)
        if known is not None:
            yield from ask(Tell(Looked("yes" if isinstance(known, Verified) else "no")))
        return known

    def _consult(self, question: _Question) -> Flow[Verified | Reason]:
        """Ask, and remember. Runs once for everybody who waits, and to its end whoever goes away."""
        now = yield from ask(NOW)
        known = yield from self._known(question.key, now)  # whoever asked just before us may have the answer
        if known is not None:
            return known
        yield from ask(Tell(Looked("miss")))
        verdict = yield from self._attempts.ask(question.body, now)
        if isinstance(verdict, Reason):
            stale = self._yes.get_stale(question.key, (yield from ask(NOW)))
            if stale is None:
                return verdict
            yield from ask(Tell(Looked("stale")))
            return stale
        # counted from before the webhook was asked, because it may have judged at any moment since
        return self._remembered(question, verdict, since=now, now=(yield from ask(NOW)))

    def _remembered(self, question: _Question, verdict: Verdict, *, since: float, now: float) -> Verified | Reason:
        terms = self._terms
        refused = Reason.USER_CLAIM if isinstance(verdict, Unnamed) else Reason.DENIED
        if isinstance(verdict, Yes):
            verified = self._vouched(question, verdict)
            ends = math.inf if verified.expires_at is None else verified.expires_at
            if ends > now - terms.leeway:
                self._no.drop(question.key)
                fresh_until = min(since + terms.cache_ttl, ends)
                kept_until = min(fresh_until + terms.stale_if_error, ends)
                self._yes.put(question.key, verified, since=since, fresh_until=fresh_until, kept_until=kept_until)
                return verified
            refused = Reason.EXPIRED
        self._yes.drop(question.key)
        ends = since + terms.negative_ttl
        self._no.put(question.key, refused, since=since, fresh_until=ends, kept_until=ends)
        return refused

    def _vouched(self, question: _Question, yes: Yes) -> Verified:
        """Make the token's own claims, which the yes vouches for, and the webhook's word on the user into one."""
        claimed = question.claimed
        ends = [moment for moment in (claimed.expires_at, yes.expires_at) if moment is not None]
        expires_at = min(ends) if ends else None
        identity = claimed.identity
        if identity is None:  # the token names no user; the webhook does
            fields = read(question.peeked, question.identifiers, self._names, key=claimed.key, user=yes.user_id)
            identity = fields["identity"]
        identity = msgspec.structs.replace(identity, id=yes.user_id, expires_at=expires_at)
        return msgspec.structs.replace(
            claimed, identity=identity, identifiers=question.identifiers, expires_at=expires_at, asked=True
        )
