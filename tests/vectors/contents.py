"""Headers and claims that no gate may act on, rightly signed by its issuer unless the name says by whom."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.core.decision import Reason
from tests.vectors.keys import STRANGER
from tests.vectors.public_keys import certificate, jwk
from tests.vectors.vector import (
    ALGORITHM,
    ANY_ALGORITHM,
    CLAIMS,
    MALFORMED,
    NOW,
    SIGNATURE,
    Vector,
    b64,
    compact,
    encoded,
    signer,
)

_NO_DATES: Final[dict[str, Any]] = {
    "a string": "4102444800",
    "an empty string": "",
    "an ISO date": "2100-01-01T00:00:00Z",
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "1e300": b"1e300",
    "1e999": b"1e999",
    "true": True,
    "false": False,
    "null": None,
    "a list": [4102444800],
    "an object": {"value": 4102444800},
    "after the year 9999": 253402300800,
    "milliseconds": 4102444800000,
    "an integer of 40 digits": b"1" * 40,
    "an integer of 400 digits": b"1" * 400,
    "an integer of 4300 digits": b"1" * 4300,
    "long before the calendar": -(10**30),
}
_NO_STRINGS: Final[dict[str, Any]] = {
    "true": True,
    "null": None,
    "a list": ["user_123"],
    "an empty list": [],
    "an object": {"id": "user_123"},
    "a fraction": 1.5,
    "an exponent": b"1e3",
}
_NO_NAMES: Final[dict[str, Any]] = {
    "CR LF": "a\r\nX-Auth-User-Id: root",
    "NUL": "a\0b",
    "an escape character": "a\x1b[2J",
    "DEL": "a\x7f",
    "a C1 control": "a\x85b",
    "257 bytes": "a" * 257,
    "257 bytes in 129 characters": "\u00e9" * 129,
    "5 KiB": "a" * 5000,
}


def vectors() -> Iterator[Vector]:
    """Every one of them."""
    yield from _of_alg()
    yield from _of_the_header()
    yield from _of_keys_that_the_token_brings()
    yield from _of_dates()
    yield from _of_names()
    yield from _of_the_audience()


def _claims(claim: str, value: Any) -> bytes:  # noqa: ANN401 - any JSON value, or its bytes
    text = b'"' + claim.encode() + b'":'
    rest = {name: kept for name, kept in CLAIMS.items() if name != claim}
    return encoded(rest)[:-1] + b"," + text + encoded(value) + b"}"


def _of_alg() -> Iterator[Vector]:
    for name in ALGORITHMS:
        for spelling in ("none", "None", "NONE", "nOnE", "NonE", "none ", " none", "none\0", "\u0578one", ""):
            unsigned = compact({"alg": spelling}, CLAIMS, lambda _: b"")
            yield Vector(name, f"alg {spelling!r} without a signature", unsigned, ALGORITHM)
            signed = compact({"alg": spelling}, CLAIMS, signer(name))
            yield Vector(name, f"alg {spelling!r} with a signature", signed, ALGORITHM)
        digits = name.strip("EdDSAHRP")
        for spelling in {
            name + " ",
            " " + name,
            name.lower(),
            name + "\0",
            name + "\n",
            name[:-1],
            name * 2,
            digits,
        } - {name}:
            token = compact({"alg": spelling}, CLAIMS, signer(name))
            yield Vector(name, f"alg {spelling!r}", token, ALGORITHM)
        for value in (None, 256, True, [name], {"name": name}, 1.5):
            token = compact({"alg": value}, CLAIMS, signer(name))
            yield Vector(name, f"alg {value!r}", token, MALFORMED)
        yield Vector(name, "no alg", compact({"typ": "JWT"}, CLAIMS, signer(name)), MALFORMED)
        yield Vector(name, "ALG", compact({"ALG": name}, CLAIMS, signer(name)), MALFORMED)
        yield Vector(name, "an empty header", compact({}, CLAIMS, signer(name)), MALFORMED)


def _of_the_header() -> Iterator[Vector]:
    members: dict[str, dict[str, Any]] = {
        "crit, empty": {"crit": []},
        "crit exp": {"crit": ["exp"], "exp": 1},
        "crit b64": {"crit": ["b64"], "b64": True},
        "crit of something unknown": {"crit": ["http://example.com/x"], "http://example.com/x": True},
        "crit alg": {"crit": ["alg"]},
        "crit, a string": {"crit": "exp"},
        "crit null": {"crit": None},
        "b64 false": {"b64": False},
        "b64 true": {"b64": True},
        "b64 false, without crit": {"b64": False},
        "zip DEF": {"zip": "DEF"},
        "zip null": {"zip": None},
        "enc": {"enc": "A128CBC-HS256"},
        "typ, a number": {"typ": 1},
        "typ null": {"typ": None},
        "cty, a list": {"cty": ["JWT"]},
        "kid, a number": {"kid": 1},
        "kid null": {"kid": None},
        "kid, a list": {"kid": ["a"]},
        "kid, an object": {"kid": {"$ne": ""}},
        "kid of 257 bytes": {"kid": "a" * 257},
        "kid with CR LF": {"kid": "a\r\nSet-Cookie: a=b"},
        "kid with NUL": {"kid": "key\0.pem"},
        "jwk, a string": {"jwk": "{}"},
        "x5c, a string": {"x5c": "MII"},
        "jku, a number": {"jku": 1},
        "x5u, a list": {"x5u": ["https://example.com"]},
        "x5t, a number": {"x5t": 1},
    }
    for title, member in members.items():
        token = compact({"alg": ANY_ALGORITHM} | member, CLAIMS, signer())
        yield Vector(ANY_ALGORITHM, f"header: {title}", token, MALFORMED)
    for name in ALGORITHMS:
        unencoded = b64(b'{"alg":"%s","b64":false,"crit":["b64"]}' % name.encode()) + b"." + b64(encoded(CLAIMS))
        token = unencoded + b"." + b64(signer(name)(unencoded.partition(b".")[0] + b"." + encoded(CLAIMS)))
        yield Vector(name, "a payload signed without base64 (RFC 7797)", token, MALFORMED)


def _of_keys_that_the_token_brings() -> Iterator[Vector]:
    """CVE-2018-0114: the token says which key it is to be checked with, by value, by address or by file name."""
    for name in ALGORITHMS:
        own = {"kty": "oct", "k": b64(STRANGER.secret(name)).decode()}
        chain: list[str] = []
        if ALGORITHMS[name].family != "HMAC":
            own = jwk(STRANGER.public_key(name))
            chain = [base64.b64encode(certificate(STRANGER, name).public_bytes(Encoding.DER)).decode()]
        members: dict[str, dict[str, Any]] = {
            "jwk": {"jwk": own},
            "jwk and kid": {"jwk": own | {"kid": "a"}, "kid": "a"},
            "jku": {"jku": "https://attacker.example/jwks.json", "kid": "a"},
            "jku, a file": {"jku": "file:///dev/null"},
            "x5c": {"x5c": chain},
            "x5u": {"x5u": "https://attacker.example/cert.pem"},
        }
        for title, member in members.items():
            token = compact({"alg": name} | member, CLAIMS, signer(name, party=STRANGER))
            yield Vector(name, f"signed by the key in its {title}", token, SIGNATURE)
    for kid in (
        "/dev/null",
        "../../../../dev/null",
        "x' UNION SELECT '",
        "$(cat /dev/null)",
        "|true",
        "file:///dev/null",
        "",
    ):
        for secret in (b"", b"\0", kid.encode()):

            def sign(signed: bytes, secret: bytes = secret) -> bytes:
                return hmac.digest(secret, signed, hashlib.sha256)

            token = compact({"alg": ANY_ALGORITHM, "kid": kid}, CLAIMS, sign)
            yield Vector(ANY_ALGORITHM, f"kid {kid!r}, HMAC with {secret!r}", token, SIGNATURE)


def _of_dates() -> Iterator[Vector]:
    for claim in ("exp", "nbf", "iat"):
        for title, value in _NO_DATES.items():
            token = compact({"alg": ANY_ALGORITHM}, _claims(claim, value), signer())
            yield Vector(ANY_ALGORITHM, f"{claim}: {title}", token, MALFORMED)
    for claim, reason in (("exp", Reason.EXPIRED), ("nbf", Reason.NOT_YET_VALID), ("iat", Reason.NOT_YET_VALID)):
        past = claim == "exp"
        for value in (
            (NOW, NOW - 0.001, NOW - 86400, 1, 0, -0.0, -1, -1e9) if past else (NOW + 0.001, NOW + 1, 4102444800)
        ):
            token = compact({"alg": ANY_ALGORITHM}, _claims(claim, value), signer())
            yield Vector(ANY_ALGORITHM, f"{claim}: {value}, judged at {NOW}", token, frozenset({reason}))


def _of_names() -> Iterator[Vector]:
    for claim in ("jti", "sub", "iss", "sid", "azp", "client_id"):
        wrong = _NO_NAMES | _NO_STRINGS
        if claim in {"jti", "iss"}:
            wrong = wrong | {"a number": 1, "a large number": 2**64, "zero": 0}
        if claim in {"sid", "azp", "client_id"}:
            del wrong["null"]  # no claims of RFC 7519, and issuers write null for "none"
        for title, value in wrong.items():
            token = compact({"alg": ANY_ALGORITHM}, _claims(claim, value), signer())
            yield Vector(ANY_ALGORITHM, f"{claim}: {title}", token, MALFORMED)
    for title, value in {"empty": "", "*": "*", "a pattern": "key_*"}.items():
        token = compact({"alg": ANY_ALGORITHM}, _claims("jti", value), signer())
        yield Vector(ANY_ALGORITHM, f"jti: {title}", token, MALFORMED)
    without = {name: value for name, value in CLAIMS.items() if name != "jti"}
    token = compact({"alg": ANY_ALGORITHM}, without, signer())
    yield Vector(ANY_ALGORITHM, "jti: none", token, frozenset({Reason.JTI_MISSING}))
    for title, value in {"empty": "", "blank": "   "}.items():
        token = compact({"alg": ANY_ALGORITHM}, _claims("sub", value), signer())
        yield Vector(ANY_ALGORITHM, f"sub: {title}", token, frozenset({Reason.USER_CLAIM}))
    nobody = {name: value for name, value in CLAIMS.items() if name != "sub"}
    token = compact({"alg": ANY_ALGORITHM}, nobody, signer())
    yield Vector(ANY_ALGORITHM, "sub: none", token, frozenset({Reason.USER_CLAIM}))


def _of_the_audience() -> Iterator[Vector]:
    for title, value in {
        "a list with an object in it": ["https://api.example.com", {}],
        "a list with a list in it": [["https://api.example.com"]],
        "a list with null in it": ["https://api.example.com", None],
        "a list with a number in it": ["https://api.example.com", 1],
        "an object": {"https://api.example.com": True},
        "a number": 1,
        "true": True,
        "null": None,
    }.items():
        token = compact({"alg": ANY_ALGORITHM}, _claims("aud", value), signer())
        yield Vector(ANY_ALGORITHM, f"aud: {title}", token, MALFORMED)
