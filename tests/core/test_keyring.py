"""Keys behind a URL: what counts, when they are fetched, and who waits for it."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from sluicegate.core.claims import Verified, identify
from sluicegate.core.decision import Reason
from sluicegate.core.events import Refreshed
from sluicegate.core.fetch_keys import KeySource
from sluicegate.core.freshness import COOLDOWN, LAST_GOOD
from sluicegate.core.keyring import FixedKeys, PublishedKeys
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.token import digest, peek
from sluicegate.core.verify import LocalKeys
from tests.jwks.published import Published, document
from tests.jwks.world import URL, World
from tests.table.tokens import mint

POLICY = Policy(state="none", require_jti=False)
K1, K2, K3 = Published("k1", label="a"), Published("k2", label="b"), Published("k3", label="c")


class Gate:
    """Verifies with the keys of one URL, in a world of its own."""

    def __init__(self, *published: Published, algorithms: tuple[str, ...] = ("ES256",)) -> None:
        self.world = World()
        self.ring = PublishedKeys(KeySource(name="main", algorithms=algorithms, jwk_url=URL), chance=lambda: 0.5)
        self.verifier = LocalKeys(self.ring, ClaimNames())
        if published:
            self.publish(*published)

    def publish(self, *published: Published, cache_control: str = "") -> None:
        self.world.publish(document(*(key.jwk() for key in published)), cache_control=cache_control)

    def verify(self, token: bytes) -> Verified | Reason:
        peeked = peek(token, digest(token))
        flow = self.verifier.verify(peeked, identify(peeked, POLICY), Request(), self.world.now)
        return self.world.run(flow)

    def recalls(self, token: bytes) -> bool:
        return self.verifier.recall(digest(token), Request(), self.world.now) is not None

    def admits(self, token: bytes) -> bool:
        return self.recalls(token) or isinstance(self.verify(token), Verified)

    @property
    def fetches(self) -> int:
        return len(self.world.calls)

    @property
    def told(self) -> Refreshed:
        event = self.world.events[-1]
        assert isinstance(event, Refreshed)
        return event


def token(key: Published, claims: Mapping[str, Any] | None = None, **how: Any) -> bytes:  # noqa: ANN401 - as `Published.token`
    return key.token(claims or {"sub": "alice"}, **how)


def test_the_first_request_waits_for_the_keys_and_is_verified_with_them() -> None:
    gate = Gate(K1)
    assert isinstance(gate.verify(token(K1)), Verified)
    assert gate.fetches == 1


def test_fresh_keys_are_not_fetched_again() -> None:
    gate = Gate(K1)
    for n in range(20):
        gate.verify(token(K1, {"sub": str(n)}))
        gate.world.now += 10
    assert gate.fetches == 1


def test_without_keys_the_answer_is_that_they_are_not_there_and_the_issuer_is_asked_with_pauses() -> None:
    gate = Gate()
    gate.world.fail()
    outcomes = {gate.verify(token(K1)) for _ in range(50)}
    assert outcomes == {Reason.KEYS_UNAVAILABLE}
    assert gate.fetches == 1
    gate.publish(K1)
    assert gate.verify(token(K1)) is Reason.KEYS_UNAVAILABLE
    gate.world.now += 1
    assert gate.admits(token(K1))


def test_when_they_are_due_one_request_begins_the_refresh_and_none_waits() -> None:
    gate = Gate(K1)
    known = token(K1)
    gate.admits(known)
    gate.world.now += 290
    assert not gate.recalls(known), "the remembered take the long way, or nobody would ask again"
    assert all(isinstance(gate.verify(known), Verified) for _ in range(5))
    assert (gate.fetches, len(gate.world.begun)) == (1, 1)
    gate.world.catch_up()
    assert gate.fetches == 2
    assert gate.recalls(known)


def test_the_issuer_says_how_long_its_keys_are_fresh() -> None:
    gate = Gate()
    gate.publish(K1, cache_control="max-age=3600")
    gate.verify(token(K1))
    gate.world.now += 2000
    gate.verify(token(K1))
    assert gate.world.begun == []


def test_a_withdrawn_key_stops_working_with_the_refresh_and_takes_along_what_it_signed() -> None:
    gate = Gate(K1, K2)
    old, kept = token(K1), token(K2)
    assert gate.admits(old)
    assert gate.admits(kept)
    gate.publish(K2)
    gate.world.now += 290
    gate.verify(kept)
    gate.world.catch_up()
    assert (gate.told.withdrawn, gate.told.outcome) == (1, "replaced")
    assert gate.recalls(kept), "an unchanged key keeps what was verified with it"
    assert not gate.recalls(old)
    assert gate.verify(old) is Reason.UNKNOWN_KEY


def test_new_material_under_the_same_kid_takes_along_what_the_old_one_signed() -> None:
    gate = Gate(K1)
    old = token(K1)
    assert gate.admits(old)
    swapped = Published("k1", label="other")
    gate.publish(swapped)
    gate.world.now += 290
    gate.verify(old)
    gate.world.catch_up()
    assert not gate.recalls(old)
    assert gate.verify(old) is Reason.SIGNATURE
    assert gate.admits(token(swapped))


def test_another_type_under_the_same_kid_does_not_verify_tokens_of_the_old_one() -> None:
    gate = Gate(Published("k1", "RS256"), algorithms=("RS256", "ES256"))
    old = Published("k1", "RS256").token({"sub": "alice"})
    assert gate.admits(old)
    gate.publish(Published("k1", "ES256"))
    gate.world.now += 290
    gate.verify(old)
    gate.world.catch_up()
    assert not gate.recalls(old)
    assert gate.verify(old) is Reason.UNKNOWN_KEY
    assert gate.admits(Published("k1", "ES256").token({"sub": "alice"}))


def test_a_key_that_comes_back_does_not_bring_back_what_was_remembered_of_it() -> None:
    gate = Gate(K1, K2)
    old = token(K1)
    gate.admits(old)
    for keys in ((K2,), (K1, K2)):
        gate.publish(*keys)
        gate.world.now += 290
        gate.verify(token(K2))
        gate.world.catch_up()
    assert not gate.recalls(old)
    assert gate.admits(old)


def test_the_request_that_reveals_a_rotation_is_admitted() -> None:
    gate = Gate(K1)
    gate.admits(token(K1))
    gate.publish(K1, K2)
    gate.world.now += 1
    assert isinstance(gate.verify(token(K2)), Verified)
    assert gate.fetches == 2


def test_whoever_waited_for_keys_is_asked_about_again() -> None:
    """His token may have been revoked while he waited; one that was verified at once need not be asked about twice."""
    gate = Gate(K1)
    first = token(K1)
    waited, at_once = gate.verify(first), gate.verify(token(K1, {"sub": "bob"}))
    assert isinstance(waited, Verified)
    assert isinstance(at_once, Verified)
    assert (waited.asked, at_once.asked) == (True, False)
    assert gate.recalls(first)


def test_unknown_kids_cost_one_fetch_a_cooldown_however_many_there_are() -> None:
    gate = Gate(K1)
    gate.admits(token(K1))
    gate.world.now += 1
    for round_ in range(3):
        for n in range(500):
            gate.world.now += 0.01
            assert gate.verify(token(K2, kid=f"{round_}-{n}")) is Reason.UNKNOWN_KEY
        assert gate.fetches == 2 + round_
        assert gate.admits(token(K1, {"sub": f"{round_}"}))
        gate.world.now += COOLDOWN


def test_unknown_kids_never_drop_good_keys_and_an_issuer_in_trouble_is_not_asked_more() -> None:
    gate = Gate(K1)
    gate.admits(token(K1))
    gate.world.fail()
    for _ in range(200):
        gate.world.now += 0.1
        assert gate.verify(token(K2)) is Reason.KEYS_UNAVAILABLE, "whether the kid is known cannot be told"
    assert gate.fetches == 2
    assert gate.admits(token(K1))


def test_a_forgery_under_a_known_kid_is_no_reason_to_fetch() -> None:
    gate = Gate(K1)
    gate.admits(token(K1))
    gate.world.now += 1
    for n in range(20):
        assert gate.verify(token(K2, {"n": n}, kid="k1")) is Reason.SIGNATURE
    assert gate.fetches == 1


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES384", "EdDSA", "HS256"])
def test_an_algorithm_that_the_operator_did_not_name_is_no_reason_to_fetch(algorithm: str) -> None:
    gate = Gate(K1)
    gate.admits(token(K1))
    gate.world.now += 1
    foreign = (
        mint(header={"kid": "k9"}).encode()
        if algorithm == "HS256"
        else Published("k9", algorithm).token({"sub": "alice"})
    )
    assert gate.verify(foreign) is Reason.ALGORITHM
    assert gate.fetches == 1


def test_a_token_that_names_no_key_is_admitted_after_a_rotation_too() -> None:
    unnamed = {"kid": None}
    gate = Gate(Published(None, label="a"))
    assert gate.admits(token(K1, **unnamed))
    gate.publish(Published(None, label="b"))
    gate.world.now += 1
    assert gate.admits(token(K2, **unnamed))
    assert gate.fetches == 2
    assert gate.verify(token(K3, **unnamed)) is Reason.SIGNATURE
    assert gate.fetches == 2, "and its forgeries cost one fetch a cool-down like all the others"


def test_keys_found_by_the_first_fetch_are_not_looked_for_in_a_second() -> None:
    gate = Gate(K1)
    assert gate.verify(token(K2)) is Reason.UNKNOWN_KEY
    assert gate.fetches == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html></html>", document(), document(K1.private_jwk()), b'{"keys": 1}'], ids=str
)
def test_a_refresh_that_brings_no_keys_keeps_the_last_good_ones(body: bytes) -> None:
    gate = Gate(K1)
    gate.admits(token(K1))
    gate.world.publish(body)
    gate.world.now += 290
    gate.verify(token(K1))
    gate.world.catch_up()
    assert gate.told.outcome == "failed"
    assert gate.told.keys == 1
    assert gate.told.detail
    assert gate.admits(token(K1, {"sub": "bob"}))


def test_last_good_keys_count_for_a_day_and_then_no_longer() -> None:
    gate = Gate(K1)
    known = token(K1)
    gate.admits(known)
    gate.world.fail()
    passed = 0
    while passed < LAST_GOOD - 30:
        gate.world.now += 30
        passed += 30
        assert gate.admits(known), f"after {passed} s"
        gate.world.catch_up()
    gate.world.now += 30
    assert not gate.recalls(known)
    assert gate.verify(known) is Reason.KEYS_UNAVAILABLE
    gate.publish(K1)
    gate.world.now += 60
    assert gate.admits(known)


def test_an_outage_is_asked_about_with_pauses_that_grow() -> None:
    gate = Gate(K1)
    gate.admits(token(K1))
    gate.world.fail()
    gate.world.now += 290
    for n in range(3600):
        gate.admits(token(K1, {"n": n % 7}))
        gate.world.catch_up()
        gate.world.now += 1
    assert 60 <= gate.fetches <= 130


def test_a_refresh_says_what_came_of_it() -> None:
    gate = Gate(K1, K2)
    gate.world.taking = 0.25
    gate.verify(token(K1))
    assert gate.told == Refreshed(service="main", outcome="replaced", keys=2, added=2, age=0.0, took=0.25)
    gate.publish(K2, K3)
    gate.world.now += 290
    gate.verify(token(K2))
    gate.world.catch_up()
    assert gate.told == Refreshed(service="main", outcome="replaced", keys=2, added=1, withdrawn=1, age=0.0, took=0.25)
    gate.world.fail()
    gate.world.now += 290
    gate.verify(token(K2))
    gate.world.catch_up()
    assert (gate.told.outcome, gate.told.keys, gate.told.age) == ("failed", 2, 290.25)
    assert "refused" in gate.told.detail


def test_a_warning_about_a_key_is_told_once() -> None:
    gate = Gate()
    gate.world.publish(document(K1.jwk(), Published("fire", label="x").private_jwk()))
    gate.verify(token(K1))
    assert "kid 'fire'" in gate.told.warnings[0]
    gate.world.now += 290
    gate.verify(token(K1))
    gate.world.catch_up()
    assert gate.told.outcome == "unchanged"
    assert gate.told.warnings == ()


def test_the_previous_secret_counts_until_its_time_and_takes_its_tokens_along() -> None:
    world = World()
    secrets = {name: hashlib.sha256(name.encode()).digest() for name in ("new", "old", "other")}
    new, old = (load(base64.b64encode(secrets[name]).decode(), ["HS256"]) for name in ("new", "old"))
    verifier = LocalKeys(FixedKeys(new, old, previous_until=world.now + 60), ClaimNames())
    signed = {name: mint(secret=secret).encode() for name, secret in secrets.items()}

    def outcome(name: str) -> Verified | Reason:
        peeked = peek(signed[name], digest(signed[name]))
        return world.run(verifier.verify(peeked, identify(peeked, POLICY), Request(), world.now))

    def recalls(name: str) -> bool:
        return verifier.recall(digest(signed[name]), Request(), world.now) is not None

    assert isinstance(outcome("new"), Verified)
    assert isinstance(outcome("old"), Verified)
    assert outcome("other") is Reason.SIGNATURE
    assert recalls("old")
    world.now += 60
    assert not recalls("old")
    assert outcome("old") is Reason.SIGNATURE
    assert recalls("new")
