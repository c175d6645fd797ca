"""Forged, mangled and misused tokens against a running gateway."""

import json
from contextlib import suppress
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.attacks.scene import CLAIMS, Scene
from tests.cli.sluicegate import bearer
from tests.table.tokens import ABSENT, base64url, part, seal, sign, unsigned
from tests.wire import Response, connected, request

_DOTS: Final = [0, 1, 3, 4, 8000]


def verdict(response: Response) -> tuple[int, str]:
    """Return status and reason."""
    return response.status, json.loads(response.body)["reason"]


@pytest.mark.parametrize("other", ["query", "cookie", "header", "repeated", "folded"])
def test_a_junk_token_beside_a_revoked_one_launders_nothing(attacked: Scene, other: str) -> None:
    attacked.revoke(jti="laundered")
    revoked, junk = attacked.mint(jti="laundered"), unsigned(jti="somebody-else")
    response = {
        "query": lambda: attacked.get(f"/x?token={junk}", bearer(revoked)),
        "cookie": lambda: attacked.get("/x", bearer(revoked), ("Cookie", f"session_token={junk}")),
        "header": lambda: attacked.get("/x", ("X-API-Key", junk), bearer(revoked)),
        "repeated": lambda: attacked.get("/x", bearer(junk), bearer(revoked)),
        "folded": lambda: attacked.get("/x", ("Authorization", f"Bearer {junk}, Bearer {revoked}")),
    }[other]()
    assert (response.status, json.loads(response.body)["error"]) == (401, "api_key_blacklisted")
    assert response.header("X-Error-Type") == "api_key_blacklisted"


def test_a_junk_token_sets_no_tier(attacked: Scene) -> None:
    junk = unsigned(jti="other", tier="ENTERPRISE", sub="root")
    seen = attacked.seen(f"/x?api_key={junk}", bearer(attacked.mint(tier="FREE")))
    told = {name: value for name, value in seen if name.startswith("x-auth-user")}
    assert (told["x-auth-user-tier"], told["x-auth-user-id"]) == ("FREE", "alice")
    assert dict(seen)["x-user-tier"] == "FREE"


@pytest.mark.parametrize(
    "alg", ["none", "NonE", "NONE", "", "hs256", "Hs256", "HS256 ", "HS384", "RS256", "ES256", 256, None, ["HS256"]]
)
def test_the_header_names_no_other_algorithm_than_the_key_s(attacked: Scene, alg: Any) -> None:  # noqa: ANN401
    header = part({"alg": alg, "typ": "JWT"})
    for token in (seal(f"{header}.{part(CLAIMS)}", secret=attacked.secret), f"{header}.{part(CLAIMS)}."):
        assert attacked.get("/x", bearer(token)).status == 401


def test_no_algorithm_at_all_is_refused(attacked: Scene) -> None:
    assert verdict(attacked.get("/x", bearer(sign({}, CLAIMS, secret=attacked.secret)))) == (401, "malformed")


def test_a_changed_bit_in_any_byte_of_the_signature_is_refused(attacked: Scene) -> None:
    token = attacked.mint(jti="bits")
    body, _, signature = token.rpartition(".")
    with connected(attacked.gateway.address) as wire:
        for place in range(len(signature)):
            other = "B" if signature[place] == "A" else "A"
            changed = f"{body}.{signature[:place]}{other}{signature[place + 1 :]}"
            wire.send(request("/x", bearer(changed)))
            assert wire.receive().status == 401, place


def test_parts_that_do_not_belong_together_are_refused(attacked: Scene) -> None:
    header, payload, signature = attacked.mint(jti="one").split(".")
    other = attacked.mint(jti="two").split(".")
    for token in (
        f"{header}.{payload}.",
        f"{header}.{payload}.{other[2]}",
        f"{header}.{other[1]}.{signature}",
        f"{payload}.{header}.{signature}",
        f"{signature}.{payload}.{header}",
        f"{part({'alg': 'HS256'})}.{payload}.{signature}",
        f"{header}.{payload}.{signature}=",
        f"{header}.{payload}.{signature}%3D",
        f"{header}={payload}.{signature}",
    ):
        assert attacked.get("/x", bearer(token)).status == 401, token


@pytest.mark.parametrize("dots", _DOTS)
def test_any_other_number_of_dots_is_refused(attacked: Scene, dots: int) -> None:
    assert verdict(attacked.get("/x", bearer("." * dots if dots != 1 else "a.b"))) in {
        (401, "malformed"),
        (401, "missing"),
    }


@pytest.mark.parametrize("size", [8193, 9000, 60_000, 1 << 20])
def test_an_oversized_token_is_refused_wherever_it_stands(attacked: Scene, size: int) -> None:
    long = base64url(b"a" * size)
    for raw in (
        request("/x", bearer(long)),
        request(f"/x?token={long}"),
        request("/x", ("Cookie", f"session_token={long}")),
    ):
        with connected(attacked.gateway.address) as wire:
            with suppress(ConnectionError):  # it has heard enough
                wire.send(raw)
            assert wire.receive().status in {401, 414, 431}


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"zip": "DEF"},
        {"enc": "A128GCM"},
        {"kid": 7},
        {"kid": "x" * 5000},
    ],
)
def test_extensions_of_the_header_are_refused(attacked: Scene, header: dict[str, Any]) -> None:
    assert attacked.get("/x", bearer(attacked.mint(header))).status == 401


def test_a_key_in_the_token_is_not_read(attacked: Scene) -> None:
    key = {"kty": "oct", "k": base64url(b"k" * 32)}
    header = {"alg": "HS256", "jwk": key, "jku": "http://127.0.0.1:9/jwks", "x5u": "http://127.0.0.1:9/x"}
    assert attacked.get("/x", bearer(sign(header, CLAIMS, secret=b"k" * 32))).status == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": "4102444800"},
        {"exp": "NaN"},
        {"exp": -1},
        {"exp": 0},
        {"exp": True},
        {"exp": None},
        {"exp": []},
        {"exp": {}},
        {"nbf": 4_102_444_800},
        {"nbf": "1"},
        {"nbf": True},
        {"iat": 4_102_444_800},
        {"iat": "1"},
        {"aud": [{"a": 1}]},
        {"aud": 7},
        {"aud": ["a", None]},
        {"iss": 7},
        {"iss": ["a"]},
        {"sub": ""},
        {"sub": ABSENT},
        {"sub": []},
        {"sub": {}},
        {"sub": "x" * 257},
        {"sub": "a\r\nX-Auth-User-Id: root"},
        {"sid": [7]},
        {"azp": {}},
    ],
    ids=str,
)
def test_claims_of_a_wrong_kind_are_refused(attacked: Scene, claims: dict[str, Any]) -> None:
    assert attacked.get("/x", bearer(attacked.mint(**claims))).status == 401


@pytest.mark.parametrize(
    "exp",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e300",
        "1" * 5000,
        "0x7fffffff",
        "4102444800.",
        "+4102444800",
        "04102444800",
    ],
)
def test_an_expiry_that_is_no_json_number_in_bounds_is_refused(attacked: Scene, exp: str) -> None:
    payload = json.dumps(CLAIMS).replace(str(CLAIMS["exp"]), exp)
    token = seal(f"{part({'alg': 'HS256'})}.{base64url(payload.encode())}", secret=attacked.secret)
    assert attacked.get("/x", bearer(token)).status == 401


@pytest.mark.parametrize(
    "payload",
    [
        '{"sub":"alice","sub":"root","jti":"a","exp":4102444800}',
        '{"jti":"revoked","sub":"alice","exp":4102444800,"jti":"fresh"}',
        '{"jti":"a","\\u006ati":"b","sub":"alice","exp":4102444800}',
        '["sub"]',
        "null",
        '"sub"',
        "",
        "[" * 5000,
        '{"sub":"alice","jti":"a","x":' + "[" * 3000 + "]" * 3000 + "}",
        '{"sub":"alice","jti":"a"} ',
        '{"sub":"alice","jti":"a"}{}',
        '\ufeff{"sub":"alice","jti":"a"}',
        '{"sub":"\\ud800","jti":"a"}',
    ],
    ids=lambda payload: payload[:32],
)
def test_a_payload_that_could_be_read_in_two_ways_is_refused(attacked: Scene, payload: str) -> None:
    token = seal(f"{part({'alg': 'HS256'})}.{base64url(payload.encode())}", secret=attacked.secret)
    status = attacked.get("/x", bearer(token)).status
    # white space around JSON is JSON (RFC 8259, 2)
    assert status == (200 if payload.endswith("} ") else 401)


@pytest.mark.parametrize(
    "jti",
    [
        7,
        ["a"],
        {"a": 1},
        True,
        "",
        None,
        ABSENT,
        "x" * 257,
        "x" * 5000,
        "a\r\nDEL b",
        "\x00",
        "a\u0085b",
        "\x7f",
        "*",
        "[a-z]*",
    ],
)
def test_a_jti_of_a_wrong_shape_is_refused(attacked: Scene, jti: Any) -> None:  # noqa: ANN401
    assert attacked.get("/x", bearer(attacked.mint(jti=jti))).status == 401


@pytest.mark.parametrize(
    "jti",
    [
        "?",
        "[a-z]",
        "../sub:alice",
        "sub:alice",
        ":sub:alice",
        "BLACKLIST:sub:alice",
        "'; DROP TABLE revocation; --",
        "%00",
        "a b",
        "é",
        "e\u0301",
    ],
)
def test_a_jti_names_itself_and_nothing_else(attacked: Scene, jti: str) -> None:
    token, neighbour = attacked.mint(jti=jti), attacked.mint(jti="neighbour", note="x")
    attacked.revoke(jti=jti)
    assert verdict(attacked.get("/x", bearer(token))) == (401, "revoked")
    assert attacked.get("/x", bearer(neighbour)).status == 200
    assert attacked.get("/x", bearer(attacked.mint(jti=jti + "x"))).status == 200
    attacked.operator.restore(jti=jti)
    assert attacked.get("/x", bearer(token)).status == 200


@pytest.mark.parametrize("claim", ["sub", "sid", "azp", "client_id"])
def test_what_a_claim_holds_touches_no_key_of_another_kind(attacked: Scene, claim: str) -> None:
    attacked.revoke(jti="key-of-jti")
    claims: dict[str, Any] = {"jti": "own", claim: "key-of-jti"}
    token = attacked.mint(**claims)
    assert attacked.get("/x", bearer(token)).status == 200


def test_nobody_learns_of_a_jti_without_a_genuine_token(attacked: Scene) -> None:
    attacked.revoke(jti="secretly-revoked")
    for token in (
        unsigned(jti="secretly-revoked"),
        sign({"alg": "HS256"}, {**CLAIMS, "jti": "secretly-revoked"}, secret=b"w" * 32),
    ):
        response = attacked.get("/x", bearer(token))
        assert json.loads(response.body)["error"] == "invalid_token"
        assert response.header("X-Error-Type") is None


def test_nine_different_tokens_are_too_many_and_none_of_them_is_tried(attacked: Scene) -> None:
    junk = ",".join(f"Bearer {unsigned(jti=f'j{n}')}" for n in range(8))
    response = attacked.get("/x", ("Authorization", junk), bearer(attacked.mint()))
    assert verdict(response) == (401, "malformed")


@pytest.mark.parametrize("attacked", ["embedded"], indirect=True)
def test_a_public_key_is_no_secret_for_hmac(attacked: Scene) -> None:
    """The attack of CVE-2015-9235 against a gate with an RSA key, and the same key given to HS256 does not start."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = attacked.config.path.read_text()
    other = attacked.config.path.with_name("rsa.toml")
    before = next(line for line in text.splitlines() if line.startswith("sign_key"))
    other.write_text(text.replace(before, f"sign_key = {json.dumps(pem.decode())}\nsign_alg = 'RS256'"))
    config = type(attacked.config)(other)
    for secret in (pem, pem.rstrip(), pem.replace(b"\n", b"\r\n")):
        forged = sign({"alg": "HS256"}, CLAIMS, secret=secret)
        assert config.run("token", "verify", forged).code == 1
    other.write_text(text.replace(before, f"sign_key = {json.dumps(pem.decode())}\nsign_alg = 'HS256'"))
    assert config.run("check").code == 2
