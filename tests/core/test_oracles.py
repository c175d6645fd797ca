"""What we admit, at least one of PyJWT and joserfc admits too: both are asked with the same key and algorithm."""

import time
import warnings
from typing import Final

import jwt
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from joserfc import jwt as jose
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from sluicegate.core.decision import Admit
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.token import MAX_TOKEN_BYTES, peek
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine
from tests.core.gates import minted
from tests.core.shapes import UNHURRIED, tokens
from tests.vectors.keys import GATE

ALGORITHMS: Final = ("HS256", "RS256", "PS256", "ES256", "EdDSA")

LAX: Final = Policy(state="none")
NAMES: Final = ClaimNames(user=("sub", "uid", "jti", "iss", "scope"))
"""As little as a gate can require, so that it admits as much as it can."""

ENGINES: Final = {
    name: Engine(LAX, LocalKeys(load(GATE.sign_key(name), [name]), NAMES), clock=time.time) for name in ALGORITHMS
}


def pyjwt_admits(token: bytes, algorithm: str, *, numeric_subject: bool) -> bool:
    key = GATE.secret(algorithm) if algorithm == "HS256" else GATE.pem(algorithm)
    options = {"verify_aud": False, "verify_sub": not numeric_subject}  # no audience is required here
    try:
        jwt.decode(token, key, algorithms=[algorithm], options=options)  # type: ignore[arg-type]
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
        return False
    return True


def joserfc_admits(token: bytes, algorithm: str, *, numeric_subject: bool) -> bool:
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)  # RFC 7515, 4.3: private names may stand
    registry.max_header_length = MAX_TOKEN_BYTES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # EdDSA has a new name since RFC 9864
            found = jose.decode(token, jose_key(algorithm), algorithms=[algorithm], registry=registry)
        claims = found.claims | ({"sub": str(found.claims["sub"])} if numeric_subject else {})
        jose.JWTClaimsRegistry().validate(claims)
    except (JoseError, ValueError, TypeError, RecursionError, OverflowError):
        return False
    return True


def jose_key(algorithm: str) -> OctKey | RSAKey | ECKey | OKPKey:
    match algorithm:
        case "HS256":
            return OctKey.import_key(GATE.secret(algorithm))
        case "ES256":
            return ECKey.import_key(GATE.pem(algorithm))
        case "EdDSA":
            return OKPKey.import_key(GATE.pem(algorithm))
        case _:
            return RSAKey.import_key(GATE.pem(algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@UNHURRIED
@given(data=st.data())
def test_no_token_is_admitted_that_both_oracles_refuse(algorithm: str, data: st.DataObject) -> None:
    """But for whole numbers as `sub`: RFC 7519 asks for strings, issuers write numbers, and stateful_jwt takes them."""
    token = data.draw(tokens(algorithm))
    if not isinstance(ENGINES[algorithm].decide(Request(headers=[(b"x-api-key", token)])), Admit):
        event("refused")
        return
    numeric = type(peek(token, b"").claims.get("sub")) is int
    admitted = [oracle(token, algorithm, numeric_subject=numeric) for oracle in (pyjwt_admits, joserfc_admits)]
    event(f"admitted, oracles {admitted}")
    assert any(admitted), token


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_oracles_admit_what_is_genuine(algorithm: str) -> None:
    """Otherwise they would agree with any gate that admits nothing."""
    for oracle in (pyjwt_admits, joserfc_admits):
        assert oracle(minted(algorithm=algorithm), algorithm, numeric_subject=False)
        assert not oracle(minted(algorithm=algorithm)[:-8], algorithm, numeric_subject=False)
