"""Taking a token apart without trusting it."""

import hashlib
import json

import pytest

from sluicegate.core.token import MalformedToken, _depth, base64url, digest, peek, twin
from tests.core.gates import minted
from tests.vectors.keys import GATE
from tests.vectors.vector import CLAIMS, b64, compact, encoded, signer


def whole(header: object, payload: object) -> bytes:
    return compact(header, payload, signer())


def test_a_token_is_taken_into_its_parts_and_named_by_its_sha256() -> None:
    token = minted(header={"kid": "k1"})
    peeked = peek(token, digest(token))
    assert (peeked.header.alg, peeked.header.kid) == ("HS256", "k1")
    assert peeked.claims == CLAIMS
    assert peeked.payload == encoded(CLAIMS)
    assert peeked.signing_input + b"." + b64(peeked.signature) == token
    assert peeked.digest == hashlib.sha256(token).digest()


def test_a_repr_names_the_token_and_opens_nothing() -> None:
    token = minted()
    assert repr(peek(token, digest(token))) == f"<Peeked {hashlib.sha256(token).hexdigest()[:16]}>"


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        pytest.param(b"a.b", "length", id="too short to hold two objects"),
        pytest.param(b"a" * 8193, "length", id="longer than 8 KiB"),
        pytest.param(b"eyJh.eyJh", "two dots", id="one dot"),
        pytest.param(b"e30.e30.e30.", "two dots", id="three dots"),
        pytest.param(b"eyJhbGciOiJIUzI1NiJ9.e30.A", "cannot have", id="one character in the last group"),
        pytest.param(b"eyJhbGciOiJIUzI1NiJ9.e30.AB", "loose bits", id="bits that mean nothing"),
        pytest.param(b"eyJhbGciOiJIUzI1NiJ9.e3+=.AA", "base64url", id="another alphabet"),
        pytest.param(b"W10.e30.AA", "JSON object", id="a header that is a list"),
        pytest.param(b"e30.e30.AA", "no algorithm", id="a header without alg"),
    ],
)
def test_what_is_no_compact_jws_is_malformed(token: bytes, sentence: str) -> None:
    with pytest.raises(MalformedToken, match=sentence):
        peek(token, b"")


@pytest.mark.parametrize(
    ("member", "sentence"),
    [
        ({"crit": ["exp"]}, "crit"),
        ({"b64": True}, "b64"),
        ({"zip": "DEF"}, "zip"),
        ({"enc": "A128GCM"}, "enc"),
        ({"alg": 1}, "no algorithm"),
        ({"alg": None}, "no algorithm"),
        ({"kid": 1}, "kid is of a wrong type"),
        ({"kid": "é" * 129}, "kid is too long"),
        ({"typ": 1}, "typ is of a wrong type"),
        ({"jwk": "x"}, "jwk is of a wrong type"),
        ({"x5c": "x"}, "x5c is of a wrong type"),
    ],
    ids=str,
)
def test_a_header_that_means_more_than_the_gate_reads_is_malformed(member: dict[str, object], sentence: str) -> None:
    token = whole({"alg": "HS256"} | member, CLAIMS)
    with pytest.raises(MalformedToken, match=sentence):
        peek(token, b"")


def test_keys_in_the_header_are_not_read() -> None:
    """RFC 7515, 4.1.2 to 4.1.8: the operator says which key it is."""
    extra = {"jwk": {"kty": "oct"}, "jku": "https://x.example", "x5c": ["MII"], "x5u": "https://x.example", "x5t": "x"}
    assert peek(whole({"alg": "HS256"} | extra, CLAIMS), b"").header.kid is None


@pytest.mark.parametrize(
    "text", ['{"a": 1}', ' {"a":1}\n', '{"a":1.0e1}', '{"\\u0061":"\\u00e9"}', '{"a":{"b":1},"c":{"b":2}}']
)
def test_json_need_not_be_compact(text: str) -> None:
    """What is written in another way, and by no name twice, is read by the slower parser and taken."""
    assert peek(whole({"alg": "HS256"}, text.encode()), b"").claims == json.loads(text)


@pytest.mark.parametrize("number", [2**53 + 1, 2**64, -(2**63) - 1, 10**300])
def test_integers_keep_every_digit(number: int) -> None:
    assert peek(minted(n=number), b"").claims["n"] == number


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        (b"{}", 1),
        (b'{"a":[1,{"b":[]}]}', 4),
        (b'{"a":"[[[{{{"}', 1),
        (b'{"a":"\\"[[[","b":[]}', 2),
        (b'{"a":[],"b":[],"c":[]}', 2),
        (b'"[[[', 0),
        (b'"\\', 0),
    ],
)
def test_depth_counts_brackets_outside_strings(text: bytes, depth: int) -> None:
    assert _depth(text) == depth


def test_depth_is_reckoned_in_one_pass_whatever_the_bytes() -> None:
    """A pattern that tries again from each quote would need minutes here, and this test would end with them."""
    assert _depth(b"[" * 33 + b'"\\' * 1_000_000) == 33


@pytest.mark.parametrize("depth", [31, 32])
def test_32_levels_are_read_and_33_are_not(depth: int) -> None:
    payload = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    token = whole({"alg": "HS256"}, payload)
    if depth < 32:
        assert peek(token, b"").claims["a"]
    else:
        with pytest.raises(MalformedToken, match="too deeply"):
            peek(token, b"")


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert peek(minted(rights=[{"a": [1]}] * 40), b"").claims["rights"][39] == {"a": [1]}


@pytest.mark.parametrize("size", range(65))
def test_base64url_is_read_as_it_is_written(size: int) -> None:
    data = bytes(range(191, 191 + size))
    assert base64url(b64(data)) == data


@pytest.mark.parametrize(
    "text", [b"A", b"AAAAA", b"AB", b"AAB", b"AA==", b"AA=", b"A A", b"AAA\n", b"+/+/", b"\xff\xff"]
)
def test_base64url_has_one_spelling_for_each_value(text: bytes) -> None:
    with pytest.raises(MalformedToken):
        base64url(text)


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_an_ecdsa_token_has_a_twin_and_its_twin_is_itself(algorithm: str) -> None:
    """(r, n - s) is a signature wherever (r, s) is, so whoever holds a token can write it in a second way."""
    token = minted(algorithm=algorithm)
    other = twisted(token, algorithm)
    assert other != token
    assert twin(peek(token, b"")) == digest(other)
    assert twin(peek(other, b"")) == digest(token)


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "PS256", "EdDSA"])
def test_other_tokens_have_no_twin(algorithm: str) -> None:
    assert twin(peek(minted(algorithm=algorithm), b"")) is None


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), b"\xff" * 64])
def test_what_is_no_ecdsa_signature_has_no_twin(signature: bytes) -> None:
    assert twin(peek(compact({"alg": "ES256"}, CLAIMS, lambda _: signature), b"")) is None


def twisted(token: bytes, algorithm: str) -> bytes:
    """The same token with n - s in place of s."""
    signing_input, _, signature = token.rpartition(b".")
    raw = base64url(signature)
    half = len(raw) // 2
    order = GATE.curve_key(algorithm).curve.group_order
    s = order - int.from_bytes(raw[half:])
    return signing_input + b"." + b64(raw[:half] + s.to_bytes(half))
