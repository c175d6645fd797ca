"""The decision: each credential judged whole, and the one that got furthest reported."""

from typing import Literal

import pytest

from sluicegate.core.decide import decide
from sluicegate.core.decision import Admit, Reason, Refuse
from sluicegate.core.flow import FindRevocation, Hits
from sluicegate.core.policy import ClaimNames, Policy, Requirement
from sluicegate.core.request import Request, Source
from sluicegate.core.revocation import KeyLayout
from sluicegate.core.token import digest
from sluicegate.drive import run
from sluicegate.errors import StateUnavailable
from tests.core.gates import UNSTATED, Unreachable, bearer, forged, gate, identity, minted, reason, verifier
from tests.core.test_token import twisted
from tests.vectors.vector import CLAIMS, NOW, compact, signer

CANCELLED = {"BLACKLIST:key:dead": "cancelled"}
DEAD = minted(jti="dead")


def test_a_genuine_token_is_let_in_with_its_identity_and_where_it_stood() -> None:
    decision = gate().decide(bearer(minted()))
    assert isinstance(decision, Admit)
    assert identity(decision).id == "user_123"
    assert decision.source == Source("header", "Authorization")
    assert decision.state_unknown is False


def test_a_revoked_token_is_refused_with_the_stores_reason_and_its_names() -> None:
    assert gate(standing=CANCELLED).decide(bearer(DEAD)) == Refuse(
        reason=Reason.REVOKED,
        detail="cancelled",
        source=Source("header", "Authorization"),
        jti="dead",
        subject="user_123",
    )


def test_a_remembered_token_is_asked_about_every_time() -> None:
    keys = verifier()
    open_gate, shut = gate(verified_by=keys), gate(verified_by=keys, standing=CANCELLED)
    for _ in range(2):
        identity(open_gate.decide(bearer(DEAD)))
        assert reason(shut.decide(bearer(DEAD))) is Reason.REVOKED


@pytest.mark.parametrize("state", ["refuse", "admit"])
def test_a_store_that_is_away_is_away_for_a_remembered_token_too_and_is_asked_once(
    state: Literal["refuse", "admit"],
) -> None:
    keys, store = verifier(), Unreachable()
    identity(gate(verified_by=keys).decide(bearer(DEAD)))
    decision = gate(Policy(state=state), verified_by=keys, state=store).decide(bearer(DEAD))
    assert decision.state_unknown
    assert isinstance(decision, Admit if state == "admit" else Refuse)
    assert store.asked == 1


@pytest.mark.parametrize(
    ("key", "claims"),
    [
        ("BLACKLIST:sub:user_123", {}),
        ("BLACKLIST:sub:7", {"sub": 7}),
        ("BLACKLIST:sid:s1", {"sid": "s1"}),
        ("BLACKLIST:client:app", {"azp": "app"}),
        ("BLACKLIST:client:app", {"client_id": "app"}),
        ("BLACKLIST:kid:k1", {"header": {"kid": "k1"}}),
        ("BLACKLIST:iss:https://auth.example.com", {}),
        (f"BLACKLIST:token:{digest(minted()).hex()}", {}),
    ],
)
def test_each_selector_revokes_what_it_selects(key: str, claims: dict[str, object]) -> None:
    engine = gate(standing={key: "security"})
    assert reason(engine.decide(bearer(minted(**claims)))) is Reason.REVOKED  # type: ignore[arg-type]
    other = minted(sub="other", iss="https://other.example.com", jti="other")
    assert identity(engine.decide(bearer(other))).id == "other"


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_a_token_revoked_by_its_sha256_stays_revoked_however_it_is_written(algorithm: str) -> None:
    """The other spelling of an ECDSA signature is genuine, so the gate must know both for one token."""
    token = minted(algorithm=algorithm, without=["jti"])
    other = twisted(token, algorithm)
    policy, keys = Policy(require_jti=False), verifier(algorithm=algorithm)
    for spelling in (token, other):
        assert identity(gate(policy, verified_by=keys).decide(bearer(spelling))).id == "user_123"
    for revoked in (token, other):
        engine = gate(policy, verified_by=keys, standing={f"BLACKLIST:token:{digest(revoked).hex()}": "security"})
        for spelling in (token, other):
            assert reason(engine.decide(bearer(spelling))) is Reason.REVOKED


@pytest.mark.parametrize(
    ("issued", "expected"),
    [({"iat": 1700000000}, Reason.REVOKED), ({"iat": 1700000001}, None), ({"without": ["iat"]}, Reason.REVOKED)],
)
def test_a_cut_off_spares_a_fresh_login(issued: dict[str, object], expected: Reason | None) -> None:
    engine = gate(standing={"BLACKLIST:sub:user_123": '{"not_before":1700000000}'})
    decision = engine.decide(bearer(minted(**issued)))  # type: ignore[arg-type]
    assert (reason(decision) if isinstance(decision, Refuse) else None) is expected


def test_an_iat_of_the_future_does_not_slip_past_a_cut_off() -> None:
    engine = gate(standing={"BLACKLIST:sub:user_123": '{"not_before":1700000000}'})
    assert reason(engine.decide(bearer(minted(iat=NOW + 1)))) is Reason.NOT_YET_VALID


def test_without_a_jti_there_is_no_way_in_while_there_is_a_store() -> None:
    token = minted(without=["jti"])
    assert reason(gate().decide(bearer(token))) is Reason.JTI_MISSING
    assert identity(gate(UNSTATED).decide(bearer(token))).jti is None
    assert identity(gate(Policy(require_jti=False)).decide(bearer(token))).jti is None


@pytest.mark.parametrize(("auth", "expected"), [("required", Reason.MISSING), ("optional", None), ("off", None)])
def test_a_request_without_a_token_is_anonymous_where_that_is_allowed(auth: str, expected: Reason | None) -> None:
    decision = gate(Policy(auth=auth)).decide(Request())  # type: ignore[arg-type]
    assert decision == (Admit() if expected is None else Refuse(reason=expected))


def test_an_anonymous_caller_meets_no_requirement() -> None:
    route = Policy(auth="optional", requirement=Requirement(scopes=frozenset({"read"})))
    assert reason(gate(route).decide(Request())) is Reason.MISSING


@pytest.mark.parametrize("token", [b"junk", forged(), DEAD, minted(exp=1)])
def test_optional_still_refuses_a_bad_token_and_off_lets_it_in_without_a_name(token: bytes) -> None:
    assert isinstance(gate(Policy(auth="optional"), standing=CANCELLED).decide(bearer(token)), Refuse)
    assert gate(Policy(auth="off"), standing=CANCELLED).decide(bearer(token)) == Admit()


def test_off_names_whoever_earns_it() -> None:
    assert identity(gate(Policy(auth="off")).decide(bearer(minted()))).id == "user_123"


def test_a_gate_that_is_off_stays_off_on_every_route() -> None:
    route = Policy(auth="off").with_route(auth="required", requirement=Requirement(scopes=frozenset({"x"})))
    assert gate(route).decide(Request()) == Admit()


def test_the_first_credential_that_passes_whole_lets_the_request_in() -> None:
    request = Request(
        query=b"token=" + forged(), headers=[(b"authorization", b"Bearer " + DEAD), (b"x-api-key", minted(sub="good"))]
    )
    decision = gate(standing=CANCELLED).decide(request)
    assert identity(decision).id == "good"
    assert isinstance(decision, Admit)
    assert decision.source == Source("header", "X-API-Key")


FURTHER_AND_FURTHER = [
    (b"junk", Reason.MALFORMED),
    (compact({"alg": "none"}, CLAIMS, lambda _: b""), Reason.ALGORITHM),
    (minted(without=["jti"]), Reason.JTI_MISSING),
    (forged(), Reason.SIGNATURE),
    (minted(exp=1), Reason.EXPIRED),
    (minted(nbf=NOW + 1), Reason.NOT_YET_VALID),
    (minted(iss="x"), Reason.ISSUER),
    (minted(aud="x"), Reason.AUDIENCE),
    (minted(sub=""), Reason.USER_CLAIM),
    (DEAD, Reason.REVOKED),
    (minted(), Reason.SCOPE),
]


@pytest.mark.parametrize("second", range(len(FURTHER_AND_FURTHER)))
@pytest.mark.parametrize("first", range(len(FURTHER_AND_FURTHER)))
def test_the_refusal_that_got_furthest_is_reported_whatever_the_order(first: int, second: int) -> None:
    strict = Policy(
        issuers=frozenset({CLAIMS["iss"]}),
        audiences=frozenset(CLAIMS["aud"]),
        requirement=Requirement(scopes=frozenset({"admin"})),
    )
    cases = [FURTHER_AND_FURTHER[number] for number in (first, second)]
    request = bearer(*(token for token, _ in cases))
    assert reason(gate(strict, standing=CANCELLED).decide(request)) is cases[second > first][1]


def test_a_route_says_which_scopes_it_needs() -> None:
    route = Policy(requirement=Requirement(scopes=frozenset({"b", "a"})))
    decision = gate(route).decide(bearer(minted()))
    assert isinstance(decision, Refuse)
    assert (decision.reason, decision.needed, decision.subject) == (Reason.SCOPE, ("a", "b"), "user_123")


def test_two_different_tokens_can_be_one_too_many() -> None:
    single = gate(Policy(multiple_tokens="refuse"))
    assert identity(single.decide(bearer(minted(), minted()))).id == "user_123"
    assert reason(single.decide(bearer(minted(), b"junk"))) is Reason.MULTIPLE_TOKENS
    assert isinstance(gate(Policy(multiple_tokens="refuse", auth="off")).decide(bearer(minted(), b"junk")), Admit)


@pytest.mark.parametrize("request_", [bearer(*(b"%d" % n for n in range(9))), bearer(b"a" * 8193)])
def test_more_than_any_honest_client_sends_is_malformed(request_: Request) -> None:
    for auth in ("required", "optional"):
        assert reason(gate(Policy(auth=auth)).decide(request_)) is Reason.MALFORMED


def test_a_refusal_names_nobody_until_the_token_is_genuine() -> None:
    for token in (b"junk", forged(), compact({"alg": "none"}, CLAIMS, lambda _: b"")):
        decision = gate().decide(bearer(token))
        assert isinstance(decision, Refuse)
        assert (decision.jti, decision.subject) == (None, None)
        assert CLAIMS["jti"] not in repr(decision)


class TestStoreOutOfReach:
    def test_closed_refuses_everything_that_would_have_to_be_asked_about(self) -> None:
        engine = gate(state=Unreachable())
        for token in (minted(), minted(exp=1), DEAD):
            decision = engine.decide(bearer(token))
            assert reason(decision) is Reason.STATE_UNAVAILABLE
            assert isinstance(decision, Refuse)
            assert decision.state_unknown
        assert reason(engine.decide(bearer(b"junk"))) is Reason.MALFORMED
        assert reason(engine.decide(bearer(forged()))) is Reason.SIGNATURE

    def test_open_lets_in_what_is_genuine_and_says_that_its_state_is_unknown(self) -> None:
        engine = gate(Policy(state="admit"), state=Unreachable())
        decision = engine.decide(bearer(minted()))
        assert isinstance(decision, Admit)
        assert decision.state_unknown
        assert reason(engine.decide(bearer(forged()))) is Reason.SIGNATURE
        assert reason(engine.decide(bearer(minted(exp=1)))) is Reason.EXPIRED

    def test_open_does_not_admit_what_the_store_said_stands_before_it_went_away(self) -> None:
        class GoneHalfWay:
            def find(self, keys: tuple[str, ...]) -> Hits:  # noqa: ARG002 - the protocol's
                raise StateUnavailable("gone", stands=True)

        open_ = gate(Policy(state="admit"), state=GoneHalfWay())
        assert reason(open_.decide(bearer(minted()))) is Reason.REVOKED
        assert reason(gate(state=GoneHalfWay()).decide(bearer(minted()))) is Reason.STATE_UNAVAILABLE

    @pytest.mark.parametrize("state", ["refuse", "admit"])
    def test_one_deadline_a_request_however_many_tokens_it_carries(self, state: str) -> None:
        store = Unreachable()
        gate(Policy(state=state), state=store).decide(  # type: ignore[arg-type]
            bearer(*(minted(jti=f"k{number}", exp=1) for number in range(8)))
        )
        assert store.asked == 1

    def test_it_is_asked_again_for_the_next_request(self) -> None:
        store = Unreachable()
        engine = gate(Policy(state="admit"), state=store)
        for _ in range(3):
            engine.decide(bearer(minted()))
        assert store.asked == 3

    def test_open_does_not_mean_that_a_known_revocation_is_forgotten(self) -> None:
        """A store that answers for the first token and fails for the second has refused the first."""

        class Failing:
            def __init__(self) -> None:
                self.answers = [CANCELLED]

            def find(self, keys: tuple[str, ...]) -> Hits:
                return self.answers.pop() if self.answers else Unreachable().find(keys)

        engine = gate(Policy(state="admit"), state=Failing())
        assert reason(engine.decide(bearer(DEAD, forged()))) is Reason.REVOKED


def test_a_store_that_answers_none_has_not_said_that_nothing_stands() -> None:
    """An adapter that forgets its `return` must not open the gate."""

    class Forgetful:
        def find(self, keys: tuple[str, ...]) -> Hits:  # noqa: ARG002 - the protocol's
            return None  # type: ignore[return-value]

    with pytest.raises(TypeError):
        gate(state=Forgetful()).decide(bearer(DEAD))


def test_one_verifier_may_serve_two_gates_with_keys_of_their_own() -> None:
    """What the first remembers was asked about under the first one's keys, and says nothing to the second's store."""
    keys = verifier()
    first = gate(verified_by=keys)
    layout = KeyLayout(blacklist_prefix="REVOKED:", selector_prefix="REVOKED_")
    second = gate(Policy(layout=layout), verified_by=keys, standing={"REVOKED:dead": "cancelled"})
    assert identity(first.decide(bearer(DEAD))).jti == "dead"
    assert reason(second.decide(bearer(DEAD))) is Reason.REVOKED
    assert identity(first.decide(bearer(DEAD))).jti == "dead"
    alike = gate(Policy(layout=KeyLayout()), verified_by=keys)
    assert identity(alike.decide(bearer(DEAD))) is identity(first.decide(bearer(DEAD)))


def test_a_remembered_token_without_jti_still_needs_one_where_the_policy_says_so() -> None:
    keys, token = verifier(), minted(without=["jti"])
    identity(gate(UNSTATED, verified_by=keys).decide(bearer(token)))
    assert reason(gate(verified_by=keys).decide(bearer(token))) is Reason.JTI_MISSING


def test_a_remembered_token_meets_each_routes_requirement_anew() -> None:
    keys, token = verifier(), minted(scope="read")
    identity(gate(UNSTATED, verified_by=keys).decide(bearer(token)))
    route = Policy(state="none", requirement=Requirement(claims=(("tier", ("GOLD",)),)))
    assert reason(gate(route, verified_by=keys).decide(bearer(token))) is Reason.CLAIM


def test_a_remembered_token_ends_with_its_exp() -> None:
    keys, token = verifier(), minted(exp=NOW + 10)
    identity(gate(UNSTATED, verified_by=keys).decide(bearer(token)))
    assert reason(gate(UNSTATED, verified_by=keys, now=NOW + 10).decide(bearer(token))) is Reason.EXPIRED
    lenient = Policy(state="none", leeway=5.0)
    assert identity(gate(lenient, verified_by=keys, now=NOW + 10).decide(bearer(token))).id == "user_123"


def test_state_is_asked_once_a_genuine_credential_and_never_about_a_forged_one() -> None:
    """Forgeries put no load on the store, and their refusal takes no longer where the `jti` they name is revoked."""
    asked: list[FindRevocation] = []

    def answer(question: FindRevocation) -> Hits:
        asked.append(question)
        return {}

    tokens = (forged(), forged(jti="dead"), minted(exp=1), minted())
    run(decide(bearer(*tokens), Policy(), verifier(), NOW), answer)  # type: ignore[arg-type]
    assert [question.keys[0] for question in asked] == ["BLACKLIST:key:api_key_abc123"] * 2


def test_an_identity_without_a_user_claim_is_none_even_when_the_route_asks_nothing() -> None:
    names = ClaimNames(user=("email",))
    assert reason(gate(names=names).decide(bearer(minted()))) is Reason.USER_CLAIM
    dead = gate(names=names, standing=CANCELLED).decide(bearer(DEAD))
    assert isinstance(dead, Refuse)
    assert (dead.reason, dead.subject) == (Reason.REVOKED, None)


def test_a_token_need_not_be_compact_json() -> None:
    header, payload = b'{ "typ": "JWT",\n "alg": "HS256" }', b' {"sub": "a", "jti": "b", "exp": 1900000000.5}\n'
    assert identity(gate().decide(bearer(compact(header, payload, signer())))).expires_at == 1900000000.5
