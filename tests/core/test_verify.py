"""Verifiers: what they vouch for, and what they remember."""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.core.claims import Verified, identify
from sluicegate.core.decision import Reason
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.token import digest, peek
from sluicegate.core.verify import NoKeys, Unchecked, VerifiedCache, Verifier
from sluicegate.drive import run
from tests.core.gates import UNSTATED, bearer, forged, gate, identity, minted, reason, unasked, verifier
from tests.vectors.vector import CLAIMS, NOW, compact

REQUEST = Request()


def judged(by: Verifier, token: bytes) -> Verified | Reason:
    peeked = peek(token, digest(token))
    return run(by.verify(peeked, identify(peeked, Policy()), REQUEST, NOW), unasked)


def verified(**claims: Any) -> Verified:  # noqa: ANN401 - handed on
    found = judged(verifier(), minted(**claims))
    assert isinstance(found, Verified)
    return found


def names(number: int) -> bytes:
    return digest(bytes([number]))


ETERNAL = verified(exp=4102444800)


def filled(size: int, count: int) -> VerifiedCache:
    cache = VerifiedCache(size)
    for number in range(count):
        cache.put(names(number), ETERNAL, NOW)
    return cache


@pytest.mark.parametrize("size", range(12))
def test_a_cache_never_holds_more_than_its_size(size: int) -> None:
    cache = VerifiedCache(size)
    for number in range(100):
        cache.put(names(number), ETERNAL, NOW)
        cache.get(names(number // 2), NOW)
        assert len(cache) <= size


def test_a_cache_of_nothing_remembers_nothing() -> None:
    assert filled(0, 3).get(names(0), NOW) is None


def test_what_is_used_stays_and_what_is_not_goes() -> None:
    cache = VerifiedCache(6)
    for number in range(60):
        cache.put(names(number), ETERNAL, NOW)
        assert cache.get(names(0), NOW) is ETERNAL
    assert cache.get(names(1), NOW) is None


def test_a_full_cache_lets_go_of_one_entry_for_each_that_it_takes() -> None:
    """Dropping half of it at once would stop the process while 50,000 tokens are freed."""
    cache = filled(10, 10)
    for number in range(10, 60):
        cache.put(names(number), ETERNAL, NOW)
        assert len(cache) == 10


def test_putting_a_token_again_takes_no_second_place() -> None:
    cache = VerifiedCache(4)
    for _ in range(5):
        cache.put(names(1), ETERNAL, NOW)
        cache.put(names(2), ETERNAL, NOW)
    assert len(cache) == 2


@pytest.mark.parametrize("between", [0, 1, 2, 3])
def test_no_entry_outlives_its_token_in_either_generation(between: int) -> None:
    cache = VerifiedCache(4)
    cache.put(names(0), verified(exp=NOW + 10), NOW)
    for number in range(between):
        cache.put(names(100 + number), ETERNAL, NOW)
    assert cache.get(names(0), NOW + 9.999) is not None
    assert cache.get(names(0), NOW + 10) is None
    assert cache.get(names(0), NOW) is None, "it is gone, and not only hidden"


def test_an_expired_token_is_not_put_at_all() -> None:
    cache = VerifiedCache(4)
    cache.put(names(0), verified(exp=NOW + 10), NOW + 10)
    assert len(cache) == 0


def test_a_token_without_exp_stays_as_long_as_there_is_room() -> None:
    cache = VerifiedCache(4)
    cache.put(names(0), verified(without=["exp"]), NOW)
    assert cache.get(names(0), 1e15) is not None


def test_local_keys_remember_what_they_vouched_for_and_nothing_else() -> None:
    keys = verifier()
    good, bad = minted(), forged()
    assert keys.recall(digest(good), REQUEST, NOW) is None
    assert judged(keys, bad) is Reason.SIGNATURE
    assert keys.recall(digest(bad), REQUEST, NOW) is None
    assert judged(keys, good) is keys.recall(digest(good), REQUEST, NOW)


def test_a_malformed_claim_is_refused_even_when_it_is_signed() -> None:
    keys = verifier()
    token = minted(aud=[{}])
    assert judged(keys, token) is Reason.MALFORMED
    assert keys.recall(digest(token), REQUEST, NOW) is None


def test_the_key_picks_the_algorithm() -> None:
    assert judged(verifier(), minted(algorithm="HS384")) is Reason.ALGORITHM


def test_what_vouches_is_named_in_what_is_vouched_for() -> None:
    """So that a key that is withdrawn can take its tokens along."""
    one, other = verifier(), verifier()
    keys = {cast("Verified", judged(by, minted())).key for by in (one, one, other)}
    assert len(keys) == 2


def test_unchecked_believes_whoever_names_a_real_algorithm() -> None:
    open_door = Unchecked(ClaimNames())
    assert isinstance(judged(open_door, forged()), Verified)
    for algorithm in ("none", "None", "", "HS257"):
        assert judged(open_door, compact({"alg": algorithm}, CLAIMS, lambda _: b"")) is Reason.ALGORITHM
    assert set(ALGORITHMS).isdisjoint({"none", "None", ""})


def test_unchecked_remembers_nothing_and_still_runs_the_rules() -> None:
    engine = gate(UNSTATED, verified_by=Unchecked(ClaimNames()))
    assert identity(engine.decide(bearer(forged(sub="anybody")))).id == "anybody"
    assert reason(engine.decide(bearer(forged(exp=NOW)))) is Reason.EXPIRED


def test_no_keys_vouch_for_nothing() -> None:
    assert judged(NoKeys(), minted()) is Reason.UNKNOWN_KEY
    assert reason(gate(UNSTATED, verified_by=NoKeys()).decide(bearer(minted()))) is Reason.UNKNOWN_KEY


def test_a_remembered_token_costs_no_second_signature_check() -> None:
    """The identity of its first time is the identity of its second, until nothing is remembered."""
    token = minted()
    for size, remembered in ((100, True), (0, False)):
        engine = gate(UNSTATED, verified_by=verifier(cache_size=size))
        first, second = (identity(engine.decide(bearer(token))) for _ in range(2))
        assert (first is second) is remembered


def test_threads_may_share_a_cache() -> None:
    """Whoever gets an answer gets the one that was put under that name, and nobody stumbles over another's turn."""
    cache = VerifiedCache(8)
    tokens = {names(number): verified(sub=str(number)) for number in range(16)}

    def worker(start: int) -> int:
        found = 0
        for step in range(20_000):
            name = names((start + step * 7) % 16)
            held = cache.get(name, NOW)
            if held is None:
                cache.put(name, tokens[name], NOW)
            else:
                assert held is tokens[name]
                found += 1
        return found

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = sum(pool.map(worker, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert found > 0
    assert len(cache) <= 8 + 4, "each thread may be one ahead"
