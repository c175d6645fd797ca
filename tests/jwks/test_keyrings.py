"""What `[stateful_jwt]` and `[[issuer]]` say about keys is what a gate does."""

import base64
import datetime as dt
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluicegate import Admit, Gate
from sluicegate.core.decision import Decision, Reason, Refuse
from sluicegate.errors import InvalidSelector, SettingsError
from tests.jwks.issuing import KEYS, Issuing, issuer
from tests.jwks.published import Published
from tests.table.tokens import EXPIRES, sign

K1 = Published("k1", label="a")
SECRETS = {name: hashlib.sha256(name.encode()).digest() for name in ("one", "two", "old")}


def key(name: str) -> str:
    return base64.b64encode(SECRETS[name]).decode()


def token(name: str, **claims: object) -> str:
    lasting: dict[str, object] = {"sub": "alice", "jti": "j1", "exp": EXPIRES}
    return sign({"alg": "HS256"}, lasting | claims, secret=SECRETS[name])


def gate_of(**settings: Any) -> Gate:  # noqa: ANN401 - any settings
    return Gate(**({"redis_addr": "disabled"} | settings))


def decide(gate: Gate, text: str) -> Decision:
    return gate.check({"Authorization": f"Bearer {text}"})


def outcome(gate: Gate, text: str) -> str | Reason | None:
    match decide(gate, text):
        case Admit(identity=identity):
            return None if identity is None else identity.id
        case Refuse(reason=reason):
            return reason


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Issuing]:
    with issuer(tmp_path / "issuer") as issuing:
        issuing.publish(K1)
        yield issuing


@pytest.mark.parametrize(("passed", "admitted"), [(-60, True), (60, False)])
def test_the_previous_secret_is_good_until_its_moment(passed: int, *, admitted: bool) -> None:
    until = dt.datetime.fromtimestamp(int(time.time()) - passed, dt.UTC).isoformat()
    with gate_of(sign_key=key("one"), previous_sign_key=key("old"), previous_sign_key_until=until) as gate:
        for _ in range(2):
            assert outcome(gate, token("one")) == "alice"
            assert outcome(gate, token("old")) == ("alice" if admitted else Reason.SIGNATURE)
            assert outcome(gate, token("two")) is Reason.SIGNATURE


def test_a_previous_secret_that_cannot_be_safe_does_not_start() -> None:
    with pytest.raises(SettingsError, match="previous_sign_key"):
        gate_of(sign_key=key("one"), previous_sign_key="c2hvcnQ=", previous_sign_key_until="2100-01-01T00:00:00Z")


def table(name: str, **settings: object) -> dict[str, object]:
    return {"name": name, "iss": f"https://{name}.example", "sign_key": key(name)} | settings


def test_every_faulty_key_of_every_issuer_is_reported_at_once() -> None:
    tables = [table("one", sign_key="short"), table("two", sign_key="c2hvcnQ=")]
    with pytest.raises(SettingsError) as caught:
        gate_of(issuer=tables, sign_key="c2hvcnQ=")
    assert [fault.key for fault in caught.value.faults] == [
        "[stateful_jwt] sign_key",
        "[[issuer]] #1 sign_key",
        "[[issuer]] #2 sign_key",
    ]


def test_each_issuer_has_algorithms_and_claims_of_its_own() -> None:
    long = {"sign_alg": ["HS512"], "sign_key": base64.b64encode(SECRETS["two"] * 2).decode()}
    tables = [table("one", user_claims=["uid"], meta_claims=["plan->tier"]), table("two", **long)]
    with gate_of(issuer=tables, meta_claims=["tier"]) as gate:
        decision = decide(gate, token("one", iss="https://one.example", tier="FREE", plan="GOLD", uid="u1"))
        assert isinstance(decision, Admit)
        assert decision.identity is not None
        assert (decision.identity.id, decision.identity.meta["tier"]) == ("u1", "GOLD")
        assert outcome(gate, token("two", iss="https://two.example")) is Reason.ALGORITHM
        assert outcome(gate, token("two", iss="https://one.example")) is Reason.SIGNATURE
        assert outcome(gate, token("one", iss="https://three.example")) is Reason.ISSUER


def test_what_an_issuer_does_not_say_is_as_the_gate_has_it() -> None:
    tables = [table("one"), table("two", audience_whitelist=["two-api"])]
    with gate_of(issuer=tables, audience_whitelist=["api"], user_claims=["uid"]) as gate:
        one, two = ({"iss": f"https://{name}.example", "uid": "u1"} for name in ("one", "two"))
        assert outcome(gate, token("one", **one, aud="api")) == "u1"
        assert outcome(gate, token("one", **one, aud="two-api")) is Reason.AUDIENCE
        assert outcome(gate, token("two", **two, aud="two-api")) == "u1"
        assert outcome(gate, token("two", **two, aud="api")) is Reason.AUDIENCE


def test_an_issuer_with_a_table_is_as_good_as_listed_and_others_must_be() -> None:
    with gate_of(issuer=[table("one")], sign_key=key("two"), issuer_whitelist=["https://listed.example"]) as gate:
        assert outcome(gate, token("one", iss="https://one.example")) == "alice"
        assert outcome(gate, token("two", iss="https://listed.example")) == "alice"
        assert outcome(gate, token("two", iss="https://other.example")) is Reason.ISSUER


def test_the_previous_secret_of_an_issuer_is_its_own() -> None:
    changed = {"previous_sign_key": key("old"), "previous_sign_key_until": "2100-01-01T00:00:00Z"}
    with gate_of(issuer=[table("one", **changed), table("two")]) as gate:
        assert outcome(gate, token("old", iss="https://one.example")) == "alice"
        assert outcome(gate, token("old", iss="https://two.example")) is Reason.SIGNATURE


def test_tenants_are_issuers_of_their_own(plain: Issuing) -> None:
    for tenant, letter in (("acme", "x"), ("globex", "y")):
        plain.publish(Published("k1", label=letter), path=f"/{tenant}{KEYS}")
    tables = [
        {
            "name": "corp-{tenant}",
            "iss": "https://{tenant}.example",
            "jwk_url": plain.url + "/{tenant}" + KEYS,
            "sign_alg": "ES256",
            "tenants": ["acme", "globex"],
        }
    ]
    claims = {"sub": "alice", "jti": "j", "exp": EXPIRES}
    acme, globex = Published("k1", label="x"), Published("k1", label="y")
    with gate_of(issuer=tables) as gate:
        assert outcome(gate, acme.token(claims | {"iss": "https://acme.example"}).decode()) == "alice"
        assert outcome(gate, globex.token(claims | {"iss": "https://globex.example"}).decode()) == "alice"
        assert outcome(gate, acme.token(claims | {"iss": "https://globex.example"}).decode()) is Reason.SIGNATURE
        assert outcome(gate, acme.token(claims | {"iss": "https://initech.example"}).decode()) is Reason.ISSUER
    assert plain.requests(f"/acme{KEYS}") == plain.requests(f"/globex{KEYS}") == 1


def test_keys_are_fetched_over_http_from_this_machine_and_from_others_when_the_operator_says_so(plain: Issuing) -> None:
    text = K1.token({"sub": "alice", "jti": "j", "exp": EXPIRES}).decode()
    with gate_of(jwk_url=plain.jwk_url, sign_alg="ES256") as gate:
        assert outcome(gate, text) == "alice"
    other = plain.jwk_url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104 - this machine, by an address that is not loopback
    with pytest.raises(SettingsError, match="over http from another machine"):
        gate_of(jwk_url=other, sign_alg="ES256")
    with gate_of(jwk_url=other, sign_alg="ES256", jwk_allow_http=True) as gate:
        assert outcome(gate, text) == "alice"


def test_a_name_that_leads_elsewhere_is_not_called_over_http(plain: Issuing) -> None:
    """What a redirect within one origin cannot do, its own settings cannot either: loopback is an address, no name."""
    plain.say("", status=302, headers={"Location": plain.jwk_url.replace("127.0.0.1", "0.0.0.0")})  # noqa: S104 - likewise
    with gate_of(jwk_url=plain.jwk_url, sign_alg="ES256") as gate:
        assert outcome(gate, K1.token({"sub": "alice", "jti": "j"}).decode()) is Reason.KEYS_UNAVAILABLE
    assert plain.requests() == 1


def test_a_jwks_uri_on_another_private_host_is_not_called(plain: Issuing, tmp_path: Path) -> None:
    """A discovery document may not choose which machine of our network is called."""
    with issuer(tmp_path / "victim") as victim:
        victim.publish(K1)
        plain.describe(jwks_uri=victim.jwk_url.replace("http:", "https:"))
        with gate_of(jwk_issuer=plain.url, sign_alg="ES256") as gate:
            text = K1.token({"sub": "alice", "jti": "j", "iss": plain.url}).decode()
            assert outcome(gate, text) is Reason.KEYS_UNAVAILABLE
        assert victim.connections() == 0


def test_revoking_a_subject_among_several_issuers_says_whose_it_is(tmp_path: Path) -> None:
    with Gate(issuer=[table("one"), table("two")], state_dir=str(tmp_path)) as gate:
        with pytest.raises(InvalidSelector, match="NAME:VALUE, where NAME is one of one, two"):
            gate.revoke(sub="alice")
        standing = gate.revoke(sub="one:alice")
        assert standing.key == "BLACKLIST:sub:one:alice"
        assert outcome(gate, token("one", iss="https://one.example")) is Reason.REVOKED
        assert outcome(gate, token("two", iss="https://two.example", jti="j2")) == "alice"
        assert [str(found.selector) for found in gate.revocations()] == ["sub:one:alice"]


def test_nothing_is_fetched_before_the_first_question(plain: Issuing) -> None:
    with gate_of(jwk_url=plain.jwk_url, sign_alg="ES256"):
        pass
    assert plain.requests() == 0
