"""A gate and a real issuer: a process of its own, behind TLS, whose certificate an authority of its own has signed."""

import json
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sluicegate import Admit, AsyncGate, Gate
from sluicegate.core.decision import Decision, Reason, Refuse
from sluicegate.errors import SettingsError
from tests.jwks.issuing import KEYS, WELL_KNOWN, Issuing, issuer
from tests.jwks.published import Published
from tests.servers.certificates import Authority

K1, K2 = Published("k1", label="a"), Published("k2", label="b")


@pytest.fixture
def https(tmp_path: Path, authority: Authority) -> Iterator[Issuing]:
    with issuer(tmp_path / "issuer", authority.server("issuer")) as issuing:
        issuing.publish(K1)
        yield issuing


def token(key: Published, **claims: object) -> str:
    lasting = {"sub": "alice", "jti": "j1", "exp": int(time.time()) + 3600}
    return key.token(lasting | claims).decode()


def bearer(key: Published, **claims: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(key, **claims)}"}


def reason(decision: Decision) -> Reason | None:
    return decision.reason if isinstance(decision, Refuse) else None


def gate_of(issuing: Issuing, authority: Authority, **settings: object) -> Gate:
    keys = {"redis_addr": "disabled", "sign_alg": "ES256", "jwk_ca_file": str(authority.ca_file)}
    return Gate(**(keys | {"jwk_url": issuing.jwk_url} | settings))


def test_a_gate_verifies_with_keys_that_it_fetched(https: Issuing, authority: Authority) -> None:
    with gate_of(https, authority) as gate:
        assert isinstance(gate.check(bearer(K1)), Admit)
        assert reason(gate.check(bearer(Published("k1", label="forger")))) is Reason.SIGNATURE
        for n in range(20):
            assert isinstance(gate.check(bearer(K1, jti=f"j{n}")), Admit)
    assert https.requests() == 1


async def test_so_does_one_for_an_event_loop(https: Issuing, authority: Authority) -> None:
    keys = {"redis_addr": "disabled", "sign_alg": "ES256", "jwk_ca_file": str(authority.ca_file)}
    async with AsyncGate(jwk_url=https.jwk_url, **keys) as gate:
        assert isinstance(await gate.check(bearer(K1)), Admit)
        assert isinstance(await gate.check(bearer(K1)), Admit)
    assert https.requests() == 1


def test_the_request_that_reveals_a_rotation_is_admitted_and_the_withdrawn_key_refused_from_then_on(
    https: Issuing, authority: Authority
) -> None:
    with gate_of(https, authority) as gate:
        old = bearer(K1)
        assert isinstance(gate.check(old), Admit)
        https.publish(K2)
        assert isinstance(gate.check(bearer(K2)), Admit)
        assert reason(gate.check(old)) is Reason.UNKNOWN_KEY
    assert https.requests() == 2


def test_discovery_finds_the_keys_and_binds_them_to_the_issuer(https: Issuing, authority: Authority) -> None:
    https.describe()
    with gate_of(https, authority, jwk_url="", jwk_issuer=https.url) as gate:
        assert isinstance(gate.check(bearer(K1, iss=https.url)), Admit)
        assert reason(gate.check(bearer(K1, iss="https://other.example"))) is Reason.ISSUER
        assert reason(gate.check(bearer(K1))) is Reason.ISSUER
    assert https.requests(WELL_KNOWN) == 1


def test_a_discovery_document_of_another_issuer_lends_no_keys(https: Issuing, authority: Authority) -> None:
    https.describe(issuer=https.url + "/")
    with gate_of(https, authority, jwk_url="", jwk_issuer=https.url) as gate:
        assert reason(gate.check(bearer(K1, iss=https.url))) is Reason.KEYS_UNAVAILABLE
    assert https.requests() == 0


def test_two_issuers_share_nothing(tmp_path: Path, authority: Authority) -> None:
    certificate = authority.server("issuer")
    with (
        issuer(tmp_path / "one", certificate) as one,
        issuer(tmp_path / "two", certificate) as two,
    ):
        one.publish(K1)
        two.publish(Published("k1", label="b"))
        two.describe()
        tables = [
            {"name": "one", "iss": "https://one.example", "jwk_url": one.jwk_url, "sign_alg": "ES256"},
            {"name": "two", "iss": two.url, "discover": True, "sign_alg": "ES256", "user_claims": ["uid"]},
        ]
        with Gate(issuer=tables, redis_addr="disabled", jwk_ca_file=str(authority.ca_file)) as gate:
            by_two = Published("k1", label="b")
            found = (
                gate.check(bearer(K1, iss="https://one.example")),
                gate.check(bearer(by_two, iss=two.url, uid="bob")),
            )
            assert [
                decision.identity.id for decision in found if isinstance(decision, Admit) and decision.identity
            ] == [
                "alice",
                "bob",
            ]
            asked = one.requests() + two.requests()
            assert reason(gate.check(bearer(K1, iss=two.url))) is Reason.SIGNATURE
            assert reason(gate.check(bearer(by_two, iss="https://one.example"))) is Reason.SIGNATURE
            for n in range(50):
                assert reason(gate.check(bearer(K1, iss=f"https://evil-{n}.example"))) is Reason.ISSUER
            assert one.requests() + two.requests() == asked


def test_a_revoked_token_of_a_fetched_key_is_told_so_and_revoking_proves_it_first(
    https: Issuing, authority: Authority, tmp_path: Path
) -> None:
    with gate_of(https, authority, redis_addr="", state_dir=str(tmp_path / "state")) as gate:
        standing = gate.revoke(token(K1, jti="j7"))
        assert str(standing.selector) == "jti:j7"
        assert reason(gate.check(bearer(K1, jti="j7"))) is Reason.REVOKED
        forged = gate.revoke(token(Published("k1", label="forger"), jti="j8"))
        assert forged.selector.kind == "token"
        assert isinstance(gate.check(bearer(K1, jti="j8")), Admit)


async def test_revoking_beside_an_event_loop_proves_the_token_too(
    https: Issuing, authority: Authority, tmp_path: Path
) -> None:
    settings = {"sign_alg": "ES256", "jwk_ca_file": str(authority.ca_file), "state_dir": str(tmp_path / "state")}
    async with AsyncGate(jwk_url=https.jwk_url, **settings) as gate:
        standing = await gate.revoke(token(K1, jti="j7"))
        assert str(standing.selector) == "jti:j7"
        assert reason(await gate.check(bearer(K1, jti="j7"))) is Reason.REVOKED


def test_a_certificate_that_nobody_vouches_for_gives_no_keys(https: Issuing, authority: Authority) -> None:
    with gate_of(https, authority, jwk_ca_file="") as gate:
        assert reason(gate.check(bearer(K1))) is Reason.KEYS_UNAVAILABLE
    assert https.requests() == 0


def test_a_certificate_for_another_host_gives_no_keys(tmp_path: Path, authority: Authority) -> None:
    certificate = authority.server("elsewhere", hosts=("elsewhere.example",))
    with issuer(tmp_path / "issuer", certificate) as issuing:
        issuing.publish(K1)
        with gate_of(issuing, authority) as gate:
            assert reason(gate.check(bearer(K1))) is Reason.KEYS_UNAVAILABLE
        assert issuing.requests() == 0


def test_a_file_of_authorities_that_is_none_does_not_start(tmp_path: Path, https: Issuing) -> None:
    for name, text in (("missing.pem", None), ("empty.pem", "")):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        with pytest.raises(SettingsError, match="jwk_ca_file"):
            Gate(jwk_url=https.jwk_url, sign_alg="ES256", redis_addr="disabled", jwk_ca_file=str(path))


def test_an_issuer_that_is_down_is_no_reason_not_to_start_and_is_found_once_it_is_up(
    https: Issuing, authority: Authority
) -> None:
    https.stop()
    with gate_of(https, authority) as gate:
        assert reason(gate.check(bearer(K1))) is Reason.KEYS_UNAVAILABLE
        https.start()
        until(lambda: reason(gate.check(bearer(K1))) is None)
    assert https.requests() == 1


def until(condition: Callable[[], bool], *, within: float = 30) -> None:
    """Ask again and again until it is so."""
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, "it never was so"


def test_an_issuer_that_says_nothing_or_goes_on_and_on_is_given_up_in_time(
    https: Issuing, authority: Authority
) -> None:
    manners = ("hang", "trickle")
    for manner in manners:
        https.say("", manner=manner, path=f"/{manner}")

    def outcome(manner: str) -> tuple[Reason | None, bool]:
        before = time.monotonic()
        with gate_of(https, authority, jwk_url=f"{https.url}/{manner}") as gate:
            return reason(gate.check(bearer(K1))), time.monotonic() - before < 20

    with ThreadPoolExecutor(len(manners)) as threads:  # five seconds are what each may take
        assert set(threads.map(outcome, manners)) == {(Reason.KEYS_UNAVAILABLE, True)}


GOOD = json.dumps({"keys": [K1.jwk()]})
ANSWERS: dict[str, dict[str, Any]] = {
    "nothing": {"body": ""},
    "HTML": {"body": "<html>Sign in</html>"},
    "no keys": {"body": '{"keys": []}'},
    "a key for encryption": {"body": json.dumps({"keys": [K1.jwk(use="enc")]})},
    "a private key": {"body": json.dumps({"keys": [K1.private_jwk()]})},
    "a secret": {"body": json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}]})},
    "two keys of one kid": {"body": json.dumps({"keys": [K1.jwk(), Published("k1", label="b").jwk()]})},
    "too many keys": {"body": json.dumps({"keys": [K1.jwk()] * 101})},
    "too long": {"body": GOOD + " " * (1 << 20)},
    "500": {"body": GOOD, "status": 500},
    "404": {"body": GOOD, "status": 404},
    "a redirect elsewhere": {"body": "", "status": 302, "headers": {"Location": "https://elsewhere.example/keys"}},
    "a redirect to itself": {"body": "", "status": 302, "headers": {"Location": KEYS}},
    "compressed": {"body": GOOD, "headers": {"Content-Encoding": "gzip"}},
    "shorter than it says": {"body": GOOD, "manner": "short"},
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_no_key_set_gives_no_keys_and_takes_none_away(
    https: Issuing, authority: Authority, answer: dict[str, Any]
) -> None:
    https.say(**answer)
    with gate_of(https, authority) as gate:
        assert reason(gate.check(bearer(K1))) is Reason.KEYS_UNAVAILABLE
    https.publish(K1)
    with gate_of(https, authority) as gate:
        assert isinstance(gate.check(bearer(K1)), Admit)
        https.say(**answer)
        assert reason(gate.check(bearer(K2))) is Reason.KEYS_UNAVAILABLE
        assert isinstance(gate.check(bearer(K1, jti="j2")), Admit)


def test_a_document_of_a_gigabyte_is_not_read_to_its_end(https: Issuing, authority: Authority) -> None:
    https.say("", manner="endless")
    with gate_of(https, authority) as gate:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert reason(gate.check(bearer(K1))) is Reason.KEYS_UNAVAILABLE
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024, "kibibytes"
