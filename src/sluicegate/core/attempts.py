"""The calls behind one question to a webhook: repeated where that may help, and no more than it can bear.

Each call, each pause and the whole have an end. A breaker leaves the webhook alone while it fails, and a limit keeps a
flood of new tokens from it.
"""

from types import TracebackType
from typing import Final, Literal, Protocol

import msgspec

from sluicegate.core.breaker import Breaker, Bucket, Pass, State
from sluicegate.core.decision import Reason
from sluicegate.core.events import Attempted, BreakerChanged, Limited
from sluicegate.core.flow import NOW, Call, Flow, Tell, Wait, ask
from sluicegate.core.webhook_call import (
    MAX_ANSWER_BYTES,
    SIGNATURE_HEADER,
    Failure,
    No,
    Unnamed,
    Verdict,
    Yes,
    read,
    sign,
)
from sluicegate.errors import FetchFailed

SERVICE: Final = "webhook"
PAUSE: Final = 0.1
"""Seconds before the second call; before the third it is twice that, and so on."""

_HEADERS: Final = (("Content-Type", "application/json"), ("Accept", "application/json"))


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How the operator wants the webhook asked. Times are in seconds.

    `timeout` is that of one call, of which there are `retries` more when the first one fails. `cache_size` bounds the
    answers yes and, for themselves, the answers no: a flood of forged tokens must not push genuine ones out.
    `leeway` is the gate's own. `secret` signs each call; empty signs none.
    """

    url: str
    timeout: float = 5.0
    retries: int = 3
    cache_ttl: float = 300.0
    cache_size: int = 10_000
    breaker_threshold: int = 10
    breaker_timeout: float = 60.0
    rate: int = 1000
    negative_ttl: float = 5.0
    stale_if_error: float = 0.0
    leeway: float = 0.0
    secret: bytes = b""

    @property
    def longest(self) -> float:
        """How long one question may take with all its calls and pauses."""
        return (1 + self.retries) * self.timeout + PAUSE * self.retries * (self.retries + 1) / 2

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"<Terms {self.url}>"


class Lock(Protocol):
    """What keeps threads apart for a step; in an event loop, anything that does nothing will do."""

    def __enter__(self) -> object:
        """Take it."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object:
        """Give it back."""
        ...


class Attempts:
    """Asks one webhook. Shared by every question to it, because breaker and limit are about all of them."""

    def __init__(self, terms: Terms, lock: Lock) -> None:
        self._terms: Final = terms
        self._lock: Final = lock
        self._bucket: Final = Bucket(terms.rate)
        self._breaker: Final = Breaker(
            threshold=terms.breaker_threshold, timeout=terms.breaker_timeout, lease=terms.longest
        )

    @property
    def breaker(self) -> State:
        """How the breaker stands."""
        return self._breaker.state

    def ask(self, body: bytes, now: float) -> Flow[Verdict | Reason]:
        """Call until there is a verdict, or no more hope; a `Reason` says why there is none."""
        leave, changed = self._enter(now)
        if isinstance(leave, Reason):
            if leave is Reason.VERIFICATION_RATE:
                yield from ask(Tell(Limited(SERVICE)))
            return leave
        settled = False
        try:
            yield from _tell(changed)
            answer, now = yield from self._calls(body, leave, now)
            # whoever answers is there, even if to say that it does not like us
            answered = not isinstance(answer, Failure) or answer.is_final
            settled, changed = True, self._settle(leave, now, answered=answered)
            yield from _tell(changed)
            return Reason.WEBHOOK_UNAVAILABLE if isinstance(answer, Failure) else answer
        finally:
            if not settled:  # the flow was closed, or something broke that is not ours: the probe is free again
                with self._lock:
                    self._breaker.abandoned(leave)

    def _calls(self, body: bytes, leave: Pass, now: float) -> Flow[tuple[Verdict | Failure, float]]:
        ends = now + self._terms.longest
        number = 1
        while True:
            answer = yield from self._call(body, number, now, until=ends)
            now = yield from ask(NOW)
            # one probe is one call: what it finds is for the breaker to know at once
            done = not isinstance(answer, Failure) or answer.is_final or leave.is_probe or number > self._terms.retries
            if done:
                return answer, now
            yield from ask(Wait(PAUSE * number))
            now = yield from ask(NOW)
            if now >= ends or not self._may_go_on(leave, now):
                return answer, now
            number += 1

    def _call(self, body: bytes, number: int, now: float, *, until: float) -> Flow[Verdict | Failure]:
        terms = self._terms
        signed = ((SIGNATURE_HEADER, sign(terms.secret, body, now)),) if terms.secret else ()
        call = Call(
            method="POST",
            url=terms.url,
            headers=_HEADERS + signed,
            body=body,
            timeout=min(terms.timeout, until - now),
            max_bytes=MAX_ANSWER_BYTES,
        )
        try:
            answer = read((yield from ask(call)))
        except FetchFailed as failed:
            answer = Failure(str(failed))
        took = (yield from ask(NOW)) - now
        yield from ask(Tell(_attempted(answer, number, took)))
        return answer

    def _enter(self, now: float) -> tuple[Pass | Reason, BreakerChanged | None]:
        with self._lock:
            if self._breaker.refuses(now):
                return Reason.BREAKER_OPEN, None
            if not self._bucket.take(now):
                return Reason.VERIFICATION_RATE, None
            before = self._breaker.state
            return self._breaker.enter(now) or Reason.BREAKER_OPEN, self._changed(before)

    def _may_go_on(self, leave: Pass, now: float) -> bool:
        with self._lock:
            return self._breaker.holds(leave) and self._bucket.take(now)

    def _settle(self, leave: Pass, now: float, *, answered: bool) -> BreakerChanged | None:
        with self._lock:
            before = self._breaker.state
            (self._breaker.succeeded if answered else self._breaker.failed)(leave, now)
            return self._changed(before)

    def _changed(self, before: State) -> BreakerChanged | None:
        state = self._breaker.state
        return None if state == before else BreakerChanged(SERVICE, state)


def _tell(event: BreakerChanged | None) -> Flow[None]:
    if event is not None:
        yield from ask(Tell(event))


def _attempted(answer: Verdict | Failure, number: int, took: float) -> Attempted:
    match answer:
        case Yes():
            return Attempted(service=SERVICE, number=number, outcome="yes", took=took)
        case No():
            return Attempted(service=SERVICE, number=number, outcome="no", took=took)
        case Unnamed():
            detail = 'answered yes without a "user_id" that is a short string'
            return Attempted(service=SERVICE, number=number, outcome="unnamed", took=took, detail=detail)
        case Failure():
            outcome: Literal["refused", "failed"] = "refused" if answer.is_final else "failed"
            return Attempted(service=SERVICE, number=number, outcome=outcome, took=took, detail=answer.detail)
