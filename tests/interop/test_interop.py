"""Tokens that others make open the gate, and those that the gate's own signer makes are read by others."""

import base64
import json
import time
from collections.abc import Callable

import jwt
import pytest

from sluicegate.backends.memory import MemoryStore
from sluicegate.core import signing
from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.core.decision import Admit, Decision, Reason, Refuse
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.revocation import Entry
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine
from sluicegate.errors import KeyFault
from tests.interop.keys import Workshop
from tests.interop.makers import MAKERS, Maker

CLAIMS = {
    "iss": "https://auth.example.com",
    "sub": "user_123",
    "aud": ["https://api.example.com"],
    "jti": "api_key_abc123",
    "tier": "PREMIUM",
    "name": "Zoë 中",
}

each_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
each_maker = pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("keys"))


def gate(sign_key: str, algorithm: str) -> tuple[Callable[[str], Decision], MemoryStore]:
    store = MemoryStore()
    names = ClaimNames(meta=(("tier", "tier"), ("name", "name")))
    engine = Engine(Policy(require_exp=True), LocalKeys(load(sign_key, [algorithm]), names), state=store)
    return lambda token: engine.decide(Request(headers=[(b"authorization", b"Bearer " + token.encode())])), store


def current(**claims: object) -> dict[str, object]:
    now = int(time.time())
    return CLAIMS | {"iat": now - 60, "exp": now + 3600} | claims


def promoted(token: str) -> str:
    """The same token with another tier, as its bearer might like it."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = base64.urlsafe_b64encode(json.dumps(claims | {"tier": "ENTERPRISE"}).encode()).decode().rstrip("=")
    return f"{header}.{changed}.{signature}"


@each_algorithm
@each_maker
def test_a_token_that_others_make_opens_the_gate(algorithm: str, maker: Maker, workshop: Workshop) -> None:
    """With the key in every form in which it can be configured."""
    key = workshop.key(algorithm)
    token = maker(algorithm, key, current())
    for sign_key in key.sign_keys.values():
        decide, store = gate(sign_key, algorithm)
        decision = decide(token)
        assert isinstance(decision, Admit), decision
        assert decision.identity is not None
        assert (decision.identity.id, decision.identity.jti) == ("user_123", "api_key_abc123")
        assert dict(decision.identity.meta) == {"tier": "PREMIUM", "name": "Zoë 中"}
        assert _reason(decide(promoted(token))) is Reason.SIGNATURE
        store.put("BLACKLIST:key:api_key_abc123", Entry("cancelled"))
        assert _reason(decide(token)) is Reason.REVOKED


@each_maker
def test_an_expired_token_is_expired_whoever_made_it(maker: Maker, workshop: Workshop) -> None:
    key = workshop.key("ES256")
    decide, _ = gate(key.sign_keys["PEM"], "ES256")
    assert _reason(decide(maker("ES256", key, current(exp=int(time.time()) - 1)))) is Reason.EXPIRED


@each_algorithm
def test_a_token_that_our_signer_makes_is_read_by_others(algorithm: str, workshop: Workshop) -> None:
    key = workshop.key(algorithm)
    if ALGORITHMS[algorithm].family == "HMAC":
        sign, verify_with = signing.secret_signer(key.secret, algorithm), base64.b64decode(key.secret)
    else:
        sign = signing.private_signer(key.private_pem.encode(), algorithm)
        verify_with = key.sign_keys["PEM"].encode()
    token = signing.mint(current(), sign, algorithm=algorithm, kid="k1")
    assert jwt.decode(token, verify_with, algorithms=[algorithm], audience=CLAIMS["aud"])["name"] == "Zoë 中"
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    decide, _ = gate(next(iter(key.sign_keys.values())), algorithm)
    assert isinstance(decide(token), Admit)


@each_algorithm
def test_our_signer_takes_no_key_of_another_algorithm(algorithm: str, workshop: Workshop) -> None:
    other = "ES384" if algorithm != "ES384" else "ES256"
    with pytest.raises(KeyFault):
        signing.private_signer(workshop.key(other).private_pem.encode(), algorithm)
    with pytest.raises(KeyFault, match="cannot be read"):
        signing.private_signer(b"-----BEGIN PRIVATE KEY-----", algorithm)


def _reason(decision: Decision) -> Reason:
    assert isinstance(decision, Refuse), decision
    return decision.reason
