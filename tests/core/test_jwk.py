"""What a document says is a key becomes one, or is left out; nothing in it makes a key that could not be safe."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from sluicegate.core.jwk import MAX_DOCUMENT_BYTES, MAX_KEYS, MAX_TRIED, InvalidKeySet, KeySet, parse
from sluicegate.core.token import Header, digest, peek
from tests.jwks.published import Published, document, rsa_key

PUBLIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
ALGORITHMS = ("RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA")


def read(*jwks: Any, algorithms: tuple[str, ...] = PUBLIC) -> KeySet:  # noqa: ANN401 - any JSON
    return parse(document(*jwks), algorithms)


def refused(*jwks: Any, algorithms: tuple[str, ...] = PUBLIC) -> str:  # noqa: ANN401 - any JSON
    with pytest.raises(InvalidKeySet) as caught:
        read(*jwks, algorithms=algorithms)
    return str(caught.value)


def base64url(number: int, size: int | None = None) -> str:
    octets = number.to_bytes(size or (number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=="))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_published_key_verifies_what_its_private_half_signed_and_nothing_else(algorithm: str) -> None:
    own, foreign = Published("k", algorithm), Published("k", algorithm, label="b")
    (key,) = read(own.jwk()).candidates(Header(algorithm, "k"))
    for signer, holds in ((own, True), (foreign, False)):
        token = signer.token({"sub": "alice"})
        peeked = peek(token, digest(token))
        assert key.checks[algorithm](peeked.signing_input, peeked.signature) is holds


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_thumbprint_is_that_of_rfc_7638(algorithm: str) -> None:
    published = Published("k", algorithm)
    assert read(published.jwk()).keys[0].thumbprint == published.key.thumbprint()


def test_a_leading_zero_in_a_number_makes_no_other_key() -> None:
    jwk = Published("k", "RS256").jwk()
    padded = jwk | {"n": base64url(number(jwk["n"]), 257)}
    assert read(padded).keys[0].thumbprint == read(jwk).keys[0].thumbprint


@pytest.mark.parametrize(
    ("algorithm", "fits"),
    [
        ("RS256", {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        ("ES256", {"ES256"}),
        ("ES384", {"ES384"}),
        ("ES512", {"ES512"}),
        ("EdDSA", {"EdDSA"}),
    ],
)
def test_a_key_is_for_the_algorithms_of_its_type_and_curve(algorithm: str, fits: set[str]) -> None:
    assert set(read(Published("k", algorithm).jwk()).keys[0].checks) == fits


def test_alg_narrows_a_key_to_one_algorithm() -> None:
    keys = read(Published("k", "RS256").jwk(alg="PS256"))
    assert set(keys.keys[0].checks) == {"PS256"}
    assert keys.candidates(Header("RS256", "k")) == ()


def test_no_key_is_for_an_algorithm_that_the_operator_did_not_name() -> None:
    jwks = [Published("r", "RS256").jwk(), Published("e", "ES256").jwk()]
    keys = read(*jwks, algorithms=("ES256",))
    assert [(key.kid, set(key.checks)) for key in keys.keys] == [("e", {"ES256"})]


@pytest.mark.parametrize("algorithms", [("HS256",), ("HS256", "HS384", "HS512")])
def test_a_public_key_is_never_an_hmac_secret(algorithms: tuple[str, ...]) -> None:
    assert "can verify HS256" in refused(Published().jwk(), Published("o", "EdDSA").jwk(), algorithms=algorithms)


def test_a_secret_in_the_document_is_left_out_with_a_warning_and_the_others_count() -> None:
    secret = OctKey.generate_key(256).as_dict(private=True) | {"kid": "s"}
    keys = read(secret, Published().jwk(), algorithms=("ES256", "HS256"))
    assert [key.kid for key in keys.keys] == ["k1"]
    assert "kid 's'" in keys.warnings[0]
    assert "everybody can read it" in keys.warnings[0]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_published_private_key_is_left_out_with_a_warning_that_does_not_repeat_it(algorithm: str) -> None:
    private = Published("fire", algorithm).private_jwk()
    keys = read(private, Published().jwk())
    assert [key.kid for key in keys.keys] == ["k1"]
    assert "kid 'fire'" in keys.warnings[0]
    assert "private" in keys.warnings[0]
    assert private["d"] not in keys.warnings[0]


@pytest.mark.parametrize("member", ["p", "q", "dp", "dq", "qi", "oth"])
def test_any_private_member_counts(member: str) -> None:
    assert "private" in refused(Published("k", "RS256").jwk(**{member: "AQ"}))


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"use": "enc", "key_ops": ["verify"]},
        {"alg": "RSA-OAEP"},
    ],
    ids=str,
)
def test_a_key_for_another_use_is_left_out_without_a_word(members: dict[str, Any]) -> None:
    keys = read(Published("other", "RS256").jwk(**members), Published().jwk())
    assert [key.kid for key in keys.keys] == ["k1"]
    assert keys.warnings == ()


@pytest.mark.parametrize(
    "members", [{"use": "sig"}, {"key_ops": ["verify"]}, {"use": "sig", "key_ops": ["verify"]}], ids=str
)
def test_a_key_that_says_it_verifies_does(members: dict[str, Any]) -> None:
    assert read(Published().jwk(**members)).keys


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"n": base64url((1 << 2047) | 1), "e": "AA"}, "no key of its type"),
        ({"e": "AQ"}, "no key of its type"),
        ({"e": "Ag"}, "no key of its type"),
        ({"e": base64url(1 << 17)}, "no key of its type"),
        ({"e": base64url((1 << 300) + 1)}, "exponent of 301 bits"),
        ({"n": base64url(1 << 2047)}, "modulus with which anybody can sign"),
        ({"n": base64url((1 << 1023) + 1)}, "1024 bits, outside 2048"),
        ({"n": base64url((1 << 16384) + 1)}, "16385 bits, outside 2048"),
        ({"n": "A" * 5000}, "has no n"),
        ({"n": None}, "has no n"),
        ({"n": 65537}, "n that is no string"),
        ({"n": "AQAB="}, "has no n"),
        ({"e": "AQAC\n"}, "has no e"),
        ({"e": "AQAd+"}, "has no e"),
        ({"key_ops": "verify"}, "key_ops"),
        ({"key_ops": ["verify", "verify"]}, "key_ops"),
        ({"use": 1}, "use that is no string"),
        ({"alg": ["RS256"]}, "alg that is no string"),
        ({"kid": 7}, "kid that is no string"),
        ({"kid": "k" * 257}, "kid of more than 256 bytes"),
        ({"kty": 1}, "kty that is no string"),
    ],
    ids=str,
)
def test_an_rsa_key_that_cannot_be_safe_is_left_out_with_a_warning(changes: dict[str, Any], says: str) -> None:
    keys = read(Published("bad", "RS256").jwk(**changes), Published().jwk())
    assert [key.kid for key in keys.keys] == ["k1"]
    assert len(keys.warnings) == 1
    assert says in keys.warnings[0]


@pytest.mark.parametrize(
    ("algorithm", "changes", "says"),
    [
        ("ES256", {"x": base64url(1, 32)}, "no key of its type"),
        ("ES256", {"x": base64url(0, 32), "y": base64url(0, 32)}, "no key of its type"),
        ("ES256", {"x": base64url((1 << 256) - 1)}, "no key of its type"),
        ("ES256", {"x": base64url(1, 31)}, "has no x"),
        ("ES256", {"x": base64url(1, 33)}, "has no x"),
        ("ES512", {"x": base64url(1, 65)}, "has no x"),
        ("ES256", {"y": None}, "has no y"),
        ("ES256", {"crv": "P-384"}, "has no x"),
        ("ES256", {"crv": 256}, "crv that is no string"),
        ("EdDSA", {"x": base64url(1, 31)}, "has no x"),
        ("EdDSA", {"x": base64.urlsafe_b64encode(bytes([1]) + bytes(31)).rstrip(b"=").decode()}, "small order"),
        ("EdDSA", {"x": base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()}, "small order"),
    ],
    ids=str,
)
def test_a_point_that_is_not_on_its_curve_or_on_none_is_left_out_with_a_warning(
    algorithm: str, changes: dict[str, Any], says: str
) -> None:
    keys = read(Published("bad", algorithm).jwk(**changes), Published().jwk())
    assert [key.kid for key in keys.keys] == ["k1"]
    assert len(keys.warnings) == 1
    assert says in keys.warnings[0]


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "x"},
        {"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "x"},
        {"kty": "OKP", "crv": "Ed448", "x": "AA", "kid": "x"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "x"},
        {"kid": "x"},
        {"kty": "rsa", "n": "AQ", "e": "AQAB"},
    ],
    ids=str,
)
def test_a_type_or_curve_that_nobody_here_uses_is_ignored(jwk: dict[str, Any]) -> None:
    keys = read(jwk, Published().jwk())
    assert [key.kid for key in keys.keys] == ["k1"]
    assert keys.warnings == ()


@pytest.mark.parametrize("item", [None, 1, "key", [], True])
def test_an_item_that_is_no_object_is_left_out_with_a_warning(item: object) -> None:
    keys = read(item, Published().jwk())
    assert len(keys.keys) == 1
    assert keys.warnings == ("key 1 is no JSON object: left out",)


def test_of_two_different_keys_under_one_kid_neither_counts_and_the_rest_of_the_document_does() -> None:
    keys = read(Published("twice", label="a").jwk(), Published("twice", label="b").jwk(), Published("k2").jwk())
    assert [key.kid for key in keys.keys] == ["k2"]
    assert "'twice' names two different keys" in keys.warnings[0]


def test_a_third_key_of_a_type_of_its_own_does_not_save_the_kid_that_names_two() -> None:
    jwks = [Published("t", label="a").jwk(), Published("t", "EdDSA").jwk(), Published("t", label="b").jwk()]
    assert [key.kid for key in read(*jwks, Published("k2").jwk()).keys] == ["k2"]


def test_keys_of_different_types_may_share_a_kid_and_the_algorithm_tells_them_apart() -> None:
    keys = read(Published("k", "RS256").jwk(), Published("k", "ES256").jwk(), Published("k", "ES384").jwk())
    for algorithm, fits in (("RS256", 6), ("ES256", 1), ("ES384", 1)):
        (key,) = keys.candidates(Header(algorithm, "k"))
        assert len(key.checks) == fits
    assert keys.warnings == ()


def test_one_key_listed_once_for_each_of_its_algorithms_is_one_key() -> None:
    published = Published("k", "RS256")
    keys = read(published.jwk(alg="RS256"), published.jwk(alg="PS256"), published.jwk(alg="RS256"))
    assert [set(key.checks) for key in keys.keys] == [{"RS256", "PS256"}]


def test_a_token_that_names_a_key_is_tried_with_that_key_only() -> None:
    keys = read(Published("k1").jwk(), Published("k2", label="b").jwk(), Published(None, label="c").jwk())
    (key,) = keys.candidates(Header("ES256", "k2"))
    assert key.kid == "k2"
    assert keys.candidates(Header("ES256", "k3")) == ()
    assert keys.candidates(Header("ES384", "k2")) == ()


def test_a_token_that_names_no_key_is_tried_with_a_few_that_fit() -> None:
    """Bounded, because anybody may send one and each costs a signature check."""
    jwks = [Published(f"k{n}", label=str(n)).jwk() for n in range(MAX_TRIED + 3)]
    keys = read(Published("r", "RS256").jwk(), *jwks)
    for unnamed in (None, ""):
        assert [key.kid for key in keys.candidates(Header("ES256", unnamed))] == ["k0", "k1", "k2", "k3"]


@pytest.mark.parametrize("kid", [None, ""])
def test_a_key_without_a_kid_is_for_tokens_without_one(kid: str | None) -> None:
    keys = read(Published().jwk(kid=kid))
    assert len(keys.candidates(Header("ES256", None))) == 1
    assert keys.candidates(Header("ES256", "k1")) == ()


def test_an_unchanged_key_stays_the_same_object_and_a_changed_one_does_not() -> None:
    before = read(Published("same").jwk(), Published("swapped").jwk(), Published("rsa", "RS256").jwk())
    after = read(
        Published("same").jwk(use="sig"),
        Published("swapped", label="b").jwk(),
        Published("rsa", "RS256").jwk(alg="RS256"),
    ).keeping(before)
    kept = {key.kid: key in before.keys for key in after.keys}
    assert kept == {"same": True, "swapped": False, "rsa": False}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not JSON"),
        (b"<html>Sign in</html>", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"keys"', "not a JSON object"),
        (b"{}", 'no "keys"'),
        (b'{"keys": null}', 'no "keys"'),
        (b'{"keys": {"k": {}}}', 'no "keys"'),
        (b'{"keys": []}', "none of its 0 keys"),
        (b'{"keys": [], "keys": []}', "two members of one name"),
        (b'{"keys": [NaN]}', "NaN"),
        (b'{"keys": [1e999999]}', "none of its 1 keys"),
        (b'{"keys": [' + b"9" * 5000 + b"]}", "not JSON"),
        (b'{"keys": ' + b"[" * 100_000, "not JSON"),
        (b'{"keys": "\xff"}', "not JSON"),
        ('{"keys": []}'.encode("utf-16"), "not JSON"),
        (b" " * (MAX_DOCUMENT_BYTES + 1), "longer than 1 MiB"),
        (document(*[Published().jwk()] * (MAX_KEYS + 1)), "more than 100 are no issuer's"),
        (json.dumps(Published().jwk()).encode(), 'no "keys"'),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_document_that_is_no_key_set_is_refused_whole(text: bytes, says: str) -> None:
    with pytest.raises(InvalidKeySet, match=says):
        parse(text, ("ES256",))


def test_two_members_of_one_name_inside_a_key_refuse_the_document() -> None:
    """RFC 7517 (4): parsers differ on which of them counts."""
    text = document(Published().jwk()).replace(b'"kty"', b'"kty": "RSA", "kty"')
    with pytest.raises(InvalidKeySet, match="two members of one name"):
        parse(text, ("ES256",))


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse(b"\xef\xbb\xbf" + document(Published().jwk()), ("ES256",)).keys


def test_a_document_without_a_usable_key_says_what_was_wrong_with_those_it_has() -> None:
    weak = Published("weak", "RS256").jwk(n=base64url((1 << 1023) + 1))
    says = refused(weak, Published("e").jwk(use="enc"), algorithms=("RS256", "ES256"))
    assert "none of its 2 keys can verify RS256, ES256" in says
    assert "kid 'weak'" in says


def test_a_kid_cannot_break_a_line_of_the_log() -> None:
    keys = read(Published("a\nb\x1b[31m" + "c" * 200).private_jwk(), Published().jwk())
    assert keys.warnings[0].isprintable()
    assert len(keys.warnings[0]) < 200


def test_a_strong_key_of_another_size_counts() -> None:
    numbers = rsa_key("large", bits=3072).public_key().public_numbers()
    jwk = {"kty": "RSA", "n": base64url(numbers.n), "e": "AQAB", "kid": "large"}
    assert read(jwk).keys[0].kid == "large"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = ("kty", "kid", "use", "key_ops", "alg", "crv", "x", "y", "n", "e", "d", "k")


def outcome(text: bytes) -> KeySet | None:
    try:
        return parse(text, PUBLIC)
    except InvalidKeySet:
        return None


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_a_key_set_or_is_refused(text: bytes) -> None:
    assert outcome(text) is None


@given(
    st.sampled_from(ALGORITHMS),
    st.dictionaries(st.sampled_from(MEMBERS), JSON | st.text("AQgw-_=", max_size=90), min_size=1, max_size=3),
)
def test_no_change_to_a_jwk_breaks_more_than_its_own_key(algorithm: str, changes: dict[str, Any]) -> None:
    found = outcome(document(Published("own", "EdDSA", label="b").jwk(), Published("k", algorithm).jwk() | changes))
    assert found is not None
    assert any(key.kid == "own" for key in found.keys) or changes.get("kid") == "own"
