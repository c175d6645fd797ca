"""What the Caddy plugin stateful_jwt gets wrong, and its heirs must not: each test fails on the plugin's behaviour."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.core.decision import Decision, Reason, Refuse
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy, Sources
from sluicegate.core.request import Request, is_preflight
from sluicegate.core.verify import LocalKeys
from sluicegate.errors import KeyFault, StateUnavailable
from sluicegate.ports import Record
from tests.core.gates import UNSTATED, bearer, forged, gate, identity, minted, reason, store_of
from tests.vectors.keys import GATE
from tests.vectors.public_keys import published
from tests.vectors.vector import CLAIMS, compact

CANCELLED = {"BLACKLIST:key:dead": "cancelled"}
DEAD = minted(jti="dead", tier="FREE")
TIERS = ClaimNames(meta=(("tier", "tier"),))

JUNK = {
    "unsigned": compact({"alg": "none"}, CLAIMS | {"jti": "other", "tier": "ENTERPRISE"}, lambda _: b""),
    "without a signature": compact({"alg": "HS256"}, CLAIMS | {"jti": "other", "tier": "ENTERPRISE"}, lambda _: b""),
    "forged": forged(jti="other", tier="ENTERPRISE"),
    "expired": minted(jti="other", tier="ENTERPRISE", exp=1),
    "no token": b"junk",
}

Beside = Callable[[bytes, bytes], Request]

BESIDE: dict[str, Beside] = {
    "query": lambda token, junk: Request(query=b"token=" + junk, headers=bearer(token).headers),
    "cookie": lambda token, junk: Request(headers=[*bearer(token).headers, (b"cookie", b"session_token=" + junk)]),
    "header": lambda token, junk: Request(headers=[(b"x-api-key", junk), *bearer(token).headers]),
    "repeated header": lambda token, junk: bearer(junk, token),
    "repeated header, behind": bearer,
    "folded header": lambda token, junk: Request(
        headers=[(b"authorization", b"Bearer " + junk + b", Bearer " + token)]
    ),
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
def test_rule_1_a_junk_token_does_not_launder_a_revoked_one(beside: Beside, junk: bytes) -> None:
    """The plugin asks about the first token that parses, and lets in whichever verifies."""
    assert reason(gate(standing=CANCELLED).decide(beside(DEAD, junk))) is Reason.REVOKED


def test_rule_1_two_genuine_tokens_are_asked_about_each_for_itself() -> None:
    for request in (bearer(DEAD, minted(sub="living")), bearer(minted(sub="living"), DEAD)):
        assert identity(gate(standing=CANCELLED).decide(request)).id == "living"


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
def test_rule_2_a_junk_token_does_not_set_the_tier(beside: Beside, junk: bytes) -> None:
    """The plugin reads `meta_claims` from the first candidate, unverified."""
    who = identity(gate(names=TIERS).decide(beside(minted(tier="FREE"), junk)))
    assert (who.meta["tier"], who.jti) == ("FREE", CLAIMS["jti"])


@pytest.mark.parametrize("bound", ALGORITHMS)
@pytest.mark.parametrize("named", ALGORITHMS)
def test_rule_3_the_key_picks_the_algorithm_and_not_the_header(bound: str, named: str) -> None:
    """Also between algorithms that the same key could serve, as RS256, RS512 and PS256."""
    engine = gate(UNSTATED, verified_by=LocalKeys(load(GATE.sign_key(bound), [bound]), ClaimNames()))
    decision = engine.decide(bearer(minted(algorithm=named)))
    if named == bound:
        assert identity(decision).id == CLAIMS["sub"]
    else:
        assert reason(decision) is Reason.ALGORITHM


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "ES512", "EdDSA"])
@pytest.mark.parametrize("hmac", ["HS256", "HS384", "HS512"])
def test_rule_4_a_public_key_pasted_as_base64_does_not_become_a_secret(algorithm: str, hmac: str) -> None:
    for data in published(GATE, algorithm).values():
        with pytest.raises(KeyFault):
            load(base64.b64encode(data).decode(), [hmac])


class Flaky:
    """A store that is out of reach for its first questions."""

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self._store = store_of(CANCELLED)

    def find(self, keys: tuple[str, ...]) -> Mapping[str, str | None]:
        """Fail, or answer."""
        if self._failures:
            self._failures -= 1
            raise StateUnavailable("connection refused")
        return self._store.find(keys)


def test_rule_5_a_first_failure_does_not_turn_revocation_off_for_ever() -> None:
    """Under `fail_open`, the plugin whose first dial failed never asks again."""
    engine = gate(Policy(state="admit"), state=Flaky(failures=3))
    for _ in range(3):
        assert identity(engine.decide(bearer(DEAD))).jti == "dead"
    for _ in range(3):
        assert reason(engine.decide(bearer(DEAD))) is Reason.REVOKED


def test_rule_5_a_store_that_cannot_answer_has_not_said_that_nothing_stands() -> None:
    """The plugin reads any reply that it does not understand, a cluster's MOVED among them, as "not revoked"."""
    engine = gate(state=Flaky(failures=1))
    assert reason(engine.decide(bearer(minted()))) is Reason.STATE_UNAVAILABLE


def test_rule_5_a_store_that_is_disabled_is_not_there_to_be_asked() -> None:
    """The plugin dials the host called `disabled`."""
    assert identity(gate(UNSTATED).decide(bearer(DEAD))).jti == "dead"
    with pytest.raises(ValueError, match="needs a store"):
        gate(UNSTATED, state=Flaky(failures=1))


def test_rule_6_query_tokens_can_be_switched_off() -> None:
    """The plugin takes an empty list for "the defaults"."""
    request = Request(query=b"token=%s&access_token=%s&api_key=%s" % (minted(), minted(), minted()))
    assert identity(gate().decide(request)).id == CLAIMS["sub"]
    assert gate(Policy(sources=Sources(query=()))).decide(request) == Refuse(reason=Reason.MISSING)


class Kept:
    """An observer that keeps the last record."""

    record: Record

    def decided(self, record: Record) -> None:
        """Keep it."""
        self.record = record


@pytest.mark.parametrize(
    "token", [minted(), DEAD, forged(), minted(exp=1), minted()[:-1], minted() + b"=", minted(jti=7), minted(aud=7)]
)
@pytest.mark.parametrize("beside", [bearer, lambda token: Request(query=b"token=" + token)])
def test_rule_6_no_part_of_a_token_reaches_what_is_logged(beside: Callable[[bytes], Request], token: bytes) -> None:
    seen = Kept()
    gate(standing=CANCELLED, observer=seen).decide(beside(token))
    shown = repr(seen.record)
    assert not any(part and part.decode() in shown for part in token.split(b"."))


def test_rule_7_only_the_bearer_of_a_genuine_token_learns_that_it_was_revoked() -> None:
    """With the plugin, anybody who writes `jti` into an unsigned token is told."""
    engine = gate(standing=CANCELLED)
    assert reason(engine.decide(bearer(DEAD))) is Reason.REVOKED

    def told(jti: str) -> list[Decision]:
        unsigned = compact({"alg": "none"}, CLAIMS | {"jti": jti}, lambda _: b"")
        cut = minted(jti=jti)[:-4]
        return [engine.decide(bearer(token)) for token in (unsigned, forged(jti=jti), cut, forged(jti=jti, exp=1))]

    assert told("dead") == told("living")


def test_rule_7_a_malformed_claim_tells_nothing_either() -> None:
    engine = gate(standing=CANCELLED)
    assert reason(engine.decide(bearer(forged(jti="dead", aud=7)))) is Reason.SIGNATURE
    assert engine.decide(bearer(minted(jti="dead", aud=7))) == engine.decide(bearer(minted(jti="living", aud=7)))


def test_rule_8_a_preflight_is_known_for_what_it_is() -> None:
    """The plugin asks it for a token, which no browser sends, so no page gets through."""
    asked = [(b"origin", b"https://app.example.com"), (b"access-control-request-method", b"POST")]
    assert is_preflight(Request(method="OPTIONS", headers=asked))
    assert not is_preflight(Request(method="POST", headers=asked))
    assert not is_preflight(Request(method="OPTIONS", headers=[*asked, (b"content-length", b"7")]))


@pytest.mark.parametrize(
    ("claim", "value", "kept"),
    [
        ("level", 7, 7),
        ("level", 0, 0),
        ("level", 2**53 + 1, 2**53 + 1),
        ("level", 10**30, 10**30),
        ("level", 0.1, 0.1),
        ("roles", ["a", "b"], ("a", "b")),
        ("roles", [], ()),
        ("mfa", False, False),
        ("org", {"id": [1, {"x": None}]}, {"id": (1, {"x": None})}),
    ],
)
def test_rule_10_no_claim_vanishes_for_its_type(claim: str, value: Any, kept: Any) -> None:  # noqa: ANN401 - any JSON value
    """The plugin keeps strings, and formats other values through a float or not at all."""
    names = ClaimNames(meta=((claim, claim),))
    assert identity(gate(names=names).decide(bearer(minted(**{claim: value})))).meta[claim] == kept


@pytest.mark.parametrize(("one", "other"), [(2**53, 2**53 + 1), (10**18, 10**18 + 1), (10**30, 10**30 + 1), (1, 10)])
def test_rule_10_large_numeric_subjects_do_not_collide(one: int, other: int) -> None:
    """Through a float, 9007199254740993 is 9007199254740992: two users with one name, and one revocation for both."""
    engine = gate(standing={f"BLACKLIST:sub:{one}": "abuse"})
    assert identity(gate().decide(bearer(minted(sub=one)))).id == str(one)
    assert reason(engine.decide(bearer(minted(sub=one)))) is Reason.REVOKED
    assert identity(engine.decide(bearer(minted(sub=other)))).id == str(other)


def test_rule_10_lists_name_users_too() -> None:
    names = ClaimNames(user=("groups", "sub"))
    engine = gate(names=names)
    assert identity(engine.decide(bearer(minted(groups=["a", "b"])))).id == "a,b"
    assert identity(engine.decide(bearer(minted(groups=[])))).id == CLAIMS["sub"]
