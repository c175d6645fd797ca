"""Several issuers: each is tied to its own keys, its own claims and its own part of the store."""

import base64
import hashlib
from typing import Any

import pytest

from sluicegate.backends.memory import MemoryStore
from sluicegate.core.decision import Admit, Decision, Reason, Refuse
from sluicegate.core.fetch_keys import KeySource
from sluicegate.core.issuers import Issuer, Issuers
from sluicegate.core.keyring import FixedKeys, PublishedKeys
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.revocation import Entry, KeyLayout, Kind, Selector
from sluicegate.engine import Engine
from sluicegate.errors import InvalidSelector
from tests.table.tokens import ABSENT, NOW, mint

SECRETS = {name: hashlib.sha256(name.encode()).digest() for name in ("main", "other", "rest")}
ISS = {"main": "https://main.example", "other": "https://other.example"}
LAYOUT = KeyLayout(issuers={iss: name for name, iss in ISS.items()}, unnamed=False)
WITH_REST = KeyLayout(issuers=LAYOUT.issuers)


def ring(name: str) -> FixedKeys:
    return FixedKeys(load(base64.b64encode(SECRETS[name]).decode(), ["HS256"]))


def issuers(*, rest: bool = False) -> Issuers:
    return Issuers(
        (
            Issuer(ISS["main"], ring("main"), ClaimNames(user=("sub",), meta=(("tier", "tier"),))),
            Issuer(ISS["other"], ring("other"), ClaimNames(user=("uid",), meta=(("plan", "tier"),))),
        ),
        other=Issuer("", ring("rest"), ClaimNames()) if rest else None,
    )


class Gate:
    """A gate with two issuers, and a store in memory."""

    def __init__(self, *, rest: bool = False, **policy: Any) -> None:  # noqa: ANN401 - as `Policy`
        self.layout = WITH_REST if rest else LAYOUT
        self.store = MemoryStore()
        self.verifier = issuers(rest=rest)
        self.engine = Engine(Policy(layout=self.layout, **policy), self.verifier, state=self.store, clock=lambda: NOW)

    def decide(self, token: str) -> Decision:
        return self.engine.decide(Request(headers=((b"authorization", b"Bearer " + token.encode()),)))

    def reason(self, token: str) -> Reason | None:
        decision = self.decide(token)
        return decision.reason if isinstance(decision, Refuse) else None

    def revoke(self, selector: Selector) -> None:
        self.store.put(self.layout.key(selector), Entry("test"))


def token(issuer: str, *, signed_by: str = "", **claims: Any) -> str:  # noqa: ANN401 - any JSON
    secret = SECRETS[signed_by or issuer]
    named = {"iss": ISS[issuer]} if issuer in ISS else {}
    return mint(secret=secret, **(named | {"uid": "u1", "plan": "gold"} | claims))


def test_a_token_is_verified_with_the_keys_and_read_with_the_names_of_its_own_issuer() -> None:
    gate = Gate()
    seen = []
    for _ in range(2):  # judged, then remembered
        for name in ("main", "other"):
            decision = gate.decide(token(name))
            assert isinstance(decision, Admit)
            assert decision.identity is not None
            seen.append((decision.identity.id, decision.identity.meta["tier"], decision.identity.issuer))
    assert seen == [("alice", "FREE", ISS["main"]), ("u1", "gold", ISS["other"])] * 2


@pytest.mark.parametrize(("claimed", "signer"), [("main", "other"), ("other", "main"), ("main", "rest")])
@pytest.mark.parametrize("rest", [False, True])
def test_the_keys_of_one_issuer_are_of_no_avail_for_another(claimed: str, signer: str, *, rest: bool) -> None:
    assert Gate(rest=rest).reason(token(claimed, signed_by=signer)) is Reason.SIGNATURE


@pytest.mark.parametrize("iss", ["https://evil.example", "https://main.example/", "HTTPS://MAIN.EXAMPLE", "main", ""])
def test_an_iss_that_nobody_configured_is_refused_whoever_signed(iss: str) -> None:
    gate = Gate()
    for signer in ("main", "other"):
        assert gate.reason(token(signer, iss=iss)) is Reason.ISSUER


def test_a_token_without_iss_is_refused() -> None:
    assert Gate().reason(token("main", iss=ABSENT)) is Reason.ISSUER


def test_an_unknown_iss_fetches_nothing() -> None:
    source = KeySource(name="main", algorithms=("HS256",), jwk_url="https://main.example/keys")
    verifier = Issuers((Issuer(ISS["main"], PublishedKeys(source, chance=lambda: 0.5), ClaimNames()),))
    # this engine has nobody to ask: a question would break it
    engine = Engine(Policy(state="none"), verifier)
    decision = engine.decide(Request(headers=((b"authorization", token("other").encode()),)))
    assert isinstance(decision, Refuse)
    assert decision.reason is Reason.ISSUER


def test_what_is_in_no_table_goes_to_the_gates_own_key_where_there_is_one() -> None:
    gate = Gate(rest=True)
    assert isinstance(gate.decide(token("rest")), Admit)
    assert isinstance(gate.decide(token("rest")), Admit), "remembered"
    assert gate.reason(token("rest", signed_by="main")) is Reason.SIGNATURE
    assert gate.reason(token("rest", iss=ISS["main"])) is Reason.SIGNATURE


def test_two_issuers_with_a_subject_of_one_name_are_revoked_apart() -> None:
    gate = Gate()
    gate.revoke(Selector(Kind.SUB, "main:alice"))
    for _ in range(2):
        assert gate.reason(token("main")) is Reason.REVOKED
        assert gate.reason(token("other")) is None


@pytest.mark.parametrize(
    ("kind", "claims"), [(Kind.SID, {"sid": "s"}), (Kind.CLIENT, {"azp": "s"}), (Kind.CLIENT, {"client_id": "s"})]
)
def test_session_and_client_carry_the_issuers_name_too(kind: Kind, claims: dict[str, str]) -> None:
    gate = Gate()
    gate.revoke(Selector(kind, "other:s"))
    assert gate.reason(token("main", **claims)) is None
    assert gate.reason(token("other", **claims)) is Reason.REVOKED


@pytest.mark.parametrize("selector", [Selector(Kind.JTI, "key-1"), Selector(Kind.ISS, "https://main.example")])
def test_what_names_one_token_or_an_issuer_needs_no_name(selector: Selector) -> None:
    gate = Gate()
    gate.revoke(selector)
    assert gate.reason(token("main")) is Reason.REVOKED


@pytest.mark.parametrize("value", ["alice", "nobody:alice", ":alice", "main", "main:", "Main:alice"])
def test_a_selector_that_says_not_whose_it_is_would_select_nothing_and_is_refused(value: str) -> None:
    with pytest.raises(InvalidSelector):
        LAYOUT.key(Selector(Kind.SUB, value))


def test_the_refusal_says_how_to_write_it() -> None:
    with pytest.raises(InvalidSelector, match=r"NAME:VALUE, where NAME is one of main, other"):
        LAYOUT.key(Selector(Kind.SUB, "alice"))


def test_a_subject_of_the_gates_own_issuer_carries_no_name() -> None:
    gate = Gate(rest=True)
    gate.revoke(Selector(Kind.SUB, "alice"))
    assert gate.reason(token("rest")) is Reason.REVOKED
    assert gate.reason(token("main")) is None


@pytest.mark.parametrize("claims", [{"sub": "main:alice"}, {"sid": "other:x"}, {"azp": "main:"}])
def test_a_subject_of_the_gates_own_issuer_cannot_spell_that_of_a_named_one(claims: dict[str, str]) -> None:
    gate = Gate(rest=True)
    assert gate.reason(token("rest", **claims)) is Reason.MALFORMED
    assert gate.reason(token("main", **claims)) is None, "among its own, a named issuer may name what it likes"


def test_the_store_key_of_every_selector_is_read_back() -> None:
    for selector in (
        Selector(Kind.SUB, "main:a:b"),
        Selector(Kind.CLIENT, "other:" + "x" * 256),
        Selector(Kind.JTI, "j"),
    ):
        assert LAYOUT.selector(LAYOUT.key(selector)) == selector


def audiences(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("issuer", "aud", "admitted"),
    [
        ("main", "main-api", True),
        ("main", "api", False),
        ("main", ["x", "main-api"], True),
        ("other", "api", True),
        ("other", "main-api", False),
        ("rest", "api", True),
        ("rest", "main-api", False),
    ],
)
def test_an_issuer_may_have_audiences_of_its_own(issuer: str, aud: object, *, admitted: bool) -> None:
    gate = Gate(rest=True, audiences=audiences("api"), audiences_of={ISS["main"]: audiences("main-api")})
    expected = None if admitted else Reason.AUDIENCE
    for _ in range(2):
        assert gate.reason(token(issuer, aud=aud)) is expected


def test_what_a_key_signed_is_not_recalled_once_the_key_has_gone() -> None:
    moments = [float(NOW)]
    old = load(base64.b64encode(SECRETS["rest"]).decode(), ["HS256"])
    new = load(base64.b64encode(SECRETS["main"]).decode(), ["HS256"])
    changed = FixedKeys(new, old, previous_until=NOW + 60)
    verifier = Issuers((Issuer(ISS["main"], changed, ClaimNames()),))
    engine = Engine(Policy(state="none"), verifier, clock=lambda: moments[-1])
    by_old = Request(headers=((b"authorization", b"Bearer " + token("main", signed_by="rest").encode()),))
    for moment, admitted in ((NOW, True), (NOW + 59, True), (NOW + 60, False)):
        moments.append(moment)
        assert isinstance(engine.decide(by_old), Admit) is admitted


@pytest.mark.parametrize("iss", [[ISS["main"]], 1, {"main": 1}, None, True], ids=str)
def test_an_iss_that_is_no_string_is_malformed(iss: object) -> None:
    assert Gate(rest=True).reason(token("main", iss=iss)) is Reason.MALFORMED
