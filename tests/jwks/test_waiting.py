"""Who waits for keys, and for how many fetches: the real engine and schedulers, an issuer that answers when told to."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from sluicegate.backends.scheduler import LoopScheduler, ThreadScheduler
from sluicegate.core.decision import Admit, Decision, Reason, Refuse
from sluicegate.core.fetch_keys import KeySource
from sluicegate.core.flow import Call, Reply
from sluicegate.core.keyring import PublishedKeys
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine
from sluicegate.errors import FetchFailed
from tests.jwks.published import Published, document
from tests.jwks.world import URL
from tests.table.tokens import CLAIMS, NOW

K1, K2 = Published("k1", label="a"), Published("k2", label="b")
POLICY = Policy(state="none")


def request(key: Published, *, kid: str | None = "", jti: str = "key-1") -> Request:
    token = key.token(dict(CLAIMS) | {"jti": jti}, kid=kid)
    return Request(headers=((b"authorization", b"Bearer " + token),))


def reason(decision: Decision) -> Reason | None:
    return decision.reason if isinstance(decision, Refuse) else None


class SlowIssuer:
    """Answers a fetch when `answer` is set, with what is published then. For one event loop."""

    def __init__(self, *published: Published) -> None:
        self.now = float(NOW)
        self.published = published
        self.fetches = 0
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.fails = False
        ring = PublishedKeys(KeySource(name="main", algorithms=("ES256",), jwk_url=URL), chance=lambda: 0.5)
        self.scheduler = LoopScheduler()
        self.engine = Engine(
            POLICY, LocalKeys(ring, ClaimNames()), fetcher=self, scheduler=self.scheduler, clock=lambda: self.now
        )

    async def fetch(self, call: Call) -> Reply:
        assert call.url == URL
        self.fetches += 1
        body = document(*(key.jwk() for key in self.published))
        self.asked.set()
        await self.answer.wait()
        if self.fails:
            raise FetchFailed("timeout", "no whole answer within 5 s")
        return Reply(200, (), body)

    async def decide(self, request: Request) -> Reason | None:
        return reason(await self.engine.decide_async(request))

    async def ready(self) -> None:
        """Have the keys there, and answer nothing more."""
        self.answer.set()
        assert await self.decide(request(K1, jti="first")) is None
        self.answer.clear()
        self.asked.clear()
        self.now += 1


async def test_a_thousand_requests_before_the_first_keys_wait_for_one_fetch() -> None:
    issuer = SlowIssuer(K1)
    waiting = [asyncio.ensure_future(issuer.decide(request(K1, jti=f"j{n % 50}"))) for n in range(1000)]
    await issuer.asked.wait()
    issuer.answer.set()
    assert set(await asyncio.gather(*waiting)) == {None}
    assert issuer.fetches == 1


async def test_a_request_that_goes_away_does_not_end_the_fetch_for_the_others() -> None:
    issuer = SlowIssuer(K1)
    first, *others = [asyncio.ensure_future(issuer.decide(request(K1))) for _ in range(10)]
    await issuer.asked.wait()
    first.cancel()
    issuer.answer.set()
    assert set(await asyncio.gather(*others)) == {None}
    assert issuer.fetches == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_thousands_of_unknown_kids_wait_for_one_fetch_and_valid_requests_for_none() -> None:
    issuer = SlowIssuer(K1)
    await issuer.ready()
    flood = [asyncio.ensure_future(issuer.decide(request(K2, kid=f"junk-{n}"))) for n in range(2000)]
    await issuer.asked.wait()
    for n in range(100):
        decision = issuer.engine.begin(request(K1, jti=f"valid-{n}"))
        assert isinstance(decision, Admit), "decided at once: no coroutine, no wait"
    assert not any(task.done() for task in flood)
    issuer.answer.set()
    assert set(await asyncio.gather(*flood)) == {Reason.UNKNOWN_KEY}
    for n in range(3000):
        assert await issuer.decide(request(K2, kid=f"more-{n % 300}")) is Reason.UNKNOWN_KEY
    assert issuer.fetches == 2


async def test_a_valid_token_of_a_new_key_is_admitted_in_the_middle_of_a_flood() -> None:
    issuer = SlowIssuer(K1)
    await issuer.ready()
    issuer.published = (K1, K2)
    flood = [asyncio.ensure_future(issuer.decide(request(K2, kid=f"junk-{n}"))) for n in range(200)]
    valid = asyncio.ensure_future(issuer.decide(request(K2)))
    await issuer.asked.wait()
    issuer.answer.set()
    assert await valid is None
    assert set(await asyncio.gather(*flood)) == {Reason.UNKNOWN_KEY}
    assert issuer.fetches == 2


async def test_whoever_joins_a_refresh_that_began_before_his_key_was_published_asks_again() -> None:
    issuer = SlowIssuer(K1)
    await issuer.ready()
    issuer.now += 290
    assert await issuer.decide(request(K1)) is None, "a routine refresh has begun, and nobody waits for it"
    await issuer.asked.wait()
    issuer.published = (K1, K2)  # the issuer has read the request already: its answer is the old document
    issuer.now += 0.1
    joining = asyncio.ensure_future(issuer.decide(request(K2)))
    issuer.asked.clear()
    issuer.answer.set()
    assert await joining is None
    assert issuer.fetches == 3


async def test_while_an_issuer_hangs_requests_with_known_keys_do_not_wait() -> None:
    issuer = SlowIssuer(K1)
    await issuer.ready()
    issuer.now += 290
    for n in range(50):
        assert isinstance(issuer.engine.begin(request(K1, jti=f"j{n}")), Admit)
    await issuer.asked.wait()
    assert issuer.fetches == 2
    issuer.fails = True
    issuer.answer.set()
    assert await issuer.decide(request(K1)) is None


async def test_whoever_waits_for_a_fetch_that_fails_is_told_that_keys_are_not_there() -> None:
    issuer = SlowIssuer(K1)
    issuer.fails = True
    waiting = [asyncio.ensure_future(issuer.decide(request(K1, jti=f"j{n}"))) for n in range(20)]
    await issuer.asked.wait()
    issuer.answer.set()
    assert set(await asyncio.gather(*waiting)) == {Reason.KEYS_UNAVAILABLE}
    assert issuer.fetches == 1


class ThreadedIssuer:
    """The same for threads: a fetch waits until the barrier of all requests is passed."""

    def __init__(self, *published: Published) -> None:
        self.now = float(NOW)
        self.published = published
        self.fetches = 0
        self.answer = threading.Event()
        self.asked = threading.Event()
        ring = PublishedKeys(KeySource(name="main", algorithms=("ES256",), jwk_url=URL), chance=lambda: 0.5)
        self.engine = Engine(
            POLICY, LocalKeys(ring, ClaimNames()), fetcher=self, scheduler=ThreadScheduler(), clock=lambda: self.now
        )

    def fetch(self, call: Call) -> Reply:
        assert call.url == URL
        self.fetches += 1
        self.asked.set()
        assert self.answer.wait(30)
        return Reply(200, (), document(*(key.jwk() for key in self.published)))

    def outcomes(self, requests: list[Request], *, meanwhile: Callable[[], None]) -> list[Reason | None]:
        found: list[Reason | None] = []
        threads = [
            threading.Thread(target=lambda one=one: found.append(reason(self.engine.decide(one)))) for one in requests
        ]
        for thread in threads:
            thread.start()
        assert self.asked.wait(30)
        meanwhile()
        self.answer.set()
        for thread in threads:
            thread.join(30)
        return found


def test_threads_share_one_fetch_and_one_cooldown_too() -> None:
    issuer = ThreadedIssuer(K1)
    first = issuer.outcomes([request(K1, jti=f"j{n}") for n in range(20)], meanwhile=lambda: None)
    assert first == [None] * 20
    assert issuer.fetches == 1
    issuer.now += 1
    issuer.asked.clear()
    issuer.answer.clear()

    def valid_meanwhile() -> None:
        assert reason(issuer.engine.decide(request(K1, jti="valid"))) is None

    flood = issuer.outcomes([request(K2, kid=f"junk-{n}") for n in range(40)], meanwhile=valid_meanwhile)
    assert flood == [Reason.UNKNOWN_KEY] * 40
    assert issuer.fetches == 2


def test_a_thread_that_sees_keys_past_their_time_begins_the_refresh_and_goes_on() -> None:
    issuer = ThreadedIssuer(K1)
    issuer.answer.set()
    assert reason(issuer.engine.decide(request(K1))) is None
    issuer.now += 290
    issuer.answer.clear()
    issuer.asked.clear()
    assert reason(issuer.engine.decide(request(K1))) is None, "though the fetch hangs"
    assert issuer.asked.wait(30)
    issuer.answer.set()
    assert issuer.fetches == 2
