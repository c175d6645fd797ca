"""Tokens that are none, that are not genuine, or whose time, issuer or audience is wrong."""

import json
from typing import Any, Final

from tests.table.row import Row, bearer, someone
from tests.table.tokens import ABSENT, CLAIMS, EXPIRES, NOW, base64url, forged, mint, part, seal, sign, unsigned

_GENUINE = mint()
_HEADER, _PAYLOAD, _SIGNATURE = _GENUINE.split(".")
_TWO_JTI = json.dumps(CLAIMS).replace("{", '{"jti": "other", ')
_DEEP = json.dumps(CLAIMS).replace("{", '{"deep": ' + "[" * 40 + "]" * 40 + ", ")


def _refused(name: str, token: str, reason: str, *, gate: str = "default") -> Row:
    return Row(name=name, gate=gate, headers=bearer(token), reason=reason)


def _admitted(name: str, token: str, *, gate: str = "default", **identity: Any) -> Row:  # noqa: ANN401 - any JSON
    return Row(name=name, gate=gate, headers=bearer(token), identity=someone(**identity))


_NO_TOKEN: Final = (
    Row(name="no token", reason="missing"),
    Row(name="an empty Authorization", headers=(("Authorization", ""),), reason="missing"),
    Row(name="Bearer with nothing behind it", headers=(("Authorization", "Bearer"),), reason="missing"),
    Row(name="Basic credentials", headers=(("Authorization", "Basic YWxpY2U6c2VjcmV0"),), reason="missing"),
    Row(
        name="Digest credentials, whose parameters are no tokens",
        headers=(("Authorization", 'Digest username="alice", realm="api", response="0a4f113b"'),),
        reason="missing",
    ),
    Row(name="an empty query parameter", query="token=", reason="missing"),
    Row(name="an empty cookie", headers=(("Cookie", "session_token="),), reason="missing"),
)

_MALFORMED: Final = (
    _refused("a word", "secret", "malformed"),
    _refused("two dots and nothing else", "..", "malformed"),
    _refused("two segments", f"{_HEADER}.{_PAYLOAD}", "malformed"),
    _refused("four segments", f"{_GENUINE}.{_SIGNATURE}", "malformed"),
    _refused("padding", f"{_HEADER}=.{_PAYLOAD}.{_SIGNATURE}", "malformed"),
    _refused("loose bits at the end of the signature", _GENUINE[:-1] + chr(ord(_GENUINE[-1]) + 1), "malformed"),
    _refused("a payload that is a list", sign({"alg": "HS256"}, [CLAIMS]), "malformed"),
    _refused("a payload with two jti", seal(f"{_HEADER}.{part(_TWO_JTI)}"), "malformed"),
    _refused("a payload nested 40 deep", seal(f"{_HEADER}.{part(_DEEP)}"), "malformed"),
    _refused("no algorithm", sign({"typ": "JWT"}, CLAIMS), "malformed"),
    _refused("a critical extension", mint(header={"crit": ["exp"]}), "malformed"),
    _refused("an unencoded payload", mint(header={"b64": False}), "malformed"),
    _refused("compression", mint(header={"zip": "DEF"}), "malformed"),
    _refused("a kid that is a number", mint(header={"kid": 7}), "malformed"),
    _refused("exp as text", mint(exp=str(EXPIRES)), "malformed"),
    _refused("exp as truth", mint(exp=True), "malformed"),
    _refused("exp as null", mint(exp=None), "malformed"),
    _refused("exp past the calendar", mint(exp=1e300), "malformed"),
    _refused("exp as NaN", sign({"alg": "HS256"}, {**CLAIMS, "exp": float("nan")}), "malformed"),
    _refused("nbf as text", mint(nbf="0"), "malformed"),
    _refused("iat as a list", mint(iat=[NOW]), "malformed"),
    _refused("aud with an object in it", mint(aud=["https://api.example.com", {}]), "malformed"),
    _refused("iss as a number", mint(iss=7), "malformed"),
    _refused("jti as a number", mint(jti=7), "malformed"),
    _refused("jti as a list", mint(jti=["key-1"]), "malformed"),
    _refused("an empty jti", mint(jti=""), "malformed"),
    _refused("a jti of 257 bytes", mint(jti="k" * 257), "malformed"),
    _refused("a jti with a line break", mint(jti="key-1\r\nSET x"), "malformed"),
    _refused("a jti with a wildcard", mint(jti="key-*"), "malformed"),
    _refused("a jti with half a surrogate pair", mint(jti="key-\ud83d"), "malformed"),
    _refused("a sub that is an object", mint(sub={"id": "alice"}), "malformed"),
    _refused("a sub that is null", mint(sub=None), "malformed"),
    _refused("no jti, with a store", mint(jti=ABSENT), "jti_missing"),
)

_NOT_GENUINE: Final = (
    _refused("alg none", unsigned(), "algorithm"),
    _refused("alg none in other letters, signed", mint(header={"alg": "nOnE"}), "algorithm"),
    _refused("alg in small letters", mint(header={"alg": "hs256"}), "algorithm"),
    _refused("another HMAC", mint(header={"alg": "HS384"}), "algorithm"),
    _refused("a public-key algorithm on an HMAC key", mint(header={"alg": "RS256"}), "algorithm"),
    _refused("another secret", forged(), "signature"),
    _refused("no signature", f"{_HEADER}.{_PAYLOAD}.", "signature"),
    _refused("half a signature", f"{_HEADER}.{_PAYLOAD}.{base64url(b'x' * 16)}", "signature"),
    _refused("the signature of another token", f"{_HEADER}.{_PAYLOAD}.{mint(sub='bob').split('.')[2]}", "signature"),
    _refused(
        "a payload changed after signing", f"{_HEADER}.{part(dict(CLAIMS, sub='root'))}.{_SIGNATURE}", "signature"
    ),
    _refused("a header changed after signing", f"{part({'alg': 'HS256'})}.{_PAYLOAD}.{_SIGNATURE}", "signature"),
    _refused("a key inside a forged token", forged(header={"jwk": {"kty": "oct", "k": "AAAA"}}), "signature"),
    _refused("a key URL inside a forged token", forged(header={"jku": "https://evil.example"}), "signature"),
    _admitted("a key inside a genuine token, never read", mint(header={"jwk": {"kty": "oct", "k": "AAAA"}})),
)

_OUT_OF_TIME: Final = (
    _refused("expired", mint(exp=NOW - 1000), "expired"),
    _refused("expires this very second", mint(exp=NOW), "expired"),
    _refused("a negative exp", mint(exp=-1), "expired"),
    _admitted("expires within the second", mint(exp=NOW + 0.5), expires_at=NOW + 0.5),
    _refused("expired as long ago as the leeway", mint(exp=NOW - 60), "expired", gate="patient"),
    _admitted("expired, but within the leeway", mint(exp=NOW - 59), gate="patient", expires_at=NOW - 59),
    _refused("nbf ahead", mint(nbf=NOW + 1000), "not_yet_valid"),
    _refused("iat ahead", mint(iat=NOW + 1000), "not_yet_valid"),
    _refused("iat ahead by more than the leeway", mint(iat=NOW + 61), "not_yet_valid", gate="patient"),
    _admitted("iat ahead, but within the leeway", mint(iat=NOW + 60), gate="patient"),
    _admitted("nbf this very second", mint(nbf=NOW)),
    _admitted("no exp, where none is asked for", mint(exp=ABSENT), expires_at=None),
    _refused("no exp, where one is asked for", mint(exp=ABSENT), "expiry_missing", gate="members"),
)

_NOT_FOR_US: Final = (
    _admitted("an issuer and an audience of the lists", mint(), gate="members"),
    _admitted(
        "the other of each",
        mint(iss="https://other.example.com", aud="urn:gate"),
        gate="members",
        issuer="https://other.example.com",
    ),
    _refused("another issuer", mint(iss="https://evil.example.com"), "issuer", gate="members"),
    _refused("an issuer that begins like ours", mint(iss="https://auth.example.com.evil"), "issuer", gate="members"),
    _refused("no issuer", mint(iss=ABSENT), "issuer", gate="members"),
    _refused("another audience", mint(aud="https://web.example.com"), "audience", gate="members"),
    _refused("an audience that ours is part of", mint(aud=["https://api.example.com/v2"]), "audience", gate="members"),
    _refused("no audience", mint(aud=ABSENT), "audience", gate="members"),
    _refused("an empty audience", mint(aud=[]), "audience", gate="members"),
    _admitted("one of many audiences", mint(aud=["urn:a", "urn:b", "urn:gate"]), gate="members"),
)

_STATE: Final = (
    _refused("the store is out of reach", mint(), "state_unavailable", gate="down"),
    _refused("the store is out of reach, and the token is junk", "a.b.c", "malformed", gate="down"),
    _admitted("the store is out of reach, and that is allowed", mint(), gate="fail-open"),
    _refused("the store is out of reach, and the token is forged", forged(), "signature", gate="fail-open"),
    _admitted(
        "no store, and a jti that another gate has revoked", mint(jti="revoked"), gate="stateless", jti="revoked"
    ),
    _admitted("no store, and no jti", mint(jti=ABSENT), gate="stateless", jti=None),
    _admitted("no jti, where the hash will do", mint(jti=ABSENT), gate="any-jti", jti=None),
)

_VERDICTS: Final = tuple(
    _refused(f"a verifier that says {reason}", mint(verdict=reason), reason, gate="told")
    for reason in (
        "denied",
        "unknown_key",
        "topic",
        "verification_rate",
        "breaker_open",
        "keys_unavailable",
        "webhook_unavailable",
        "rate_limited",
    )
)

ROWS: Final = (*_NO_TOKEN, *_MALFORMED, *_NOT_GENUINE, *_OUT_OF_TIME, *_NOT_FOR_US, *_STATE, *_VERDICTS)
