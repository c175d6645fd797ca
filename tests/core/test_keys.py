"""Which keys start, for which algorithms, and what an operator is told about the others."""

import base64
from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519

from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.core.keys import load
from sluicegate.errors import KeyFault
from tests.vectors.curves import SMALL_ORDER
from tests.vectors.keys import GATE, STRANGER, grown
from tests.vectors.public_keys import certificate, published

MESSAGE = b"signed"
ASYMMETRIC = [name for name, row in ALGORITHMS.items() if row.family != "HMAC"]
SECRET = base64.b64encode(grown("secret", 64)).decode()


def pem(key: object) -> str:
    assert hasattr(key, "public_bytes")
    encoded: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_verifies_its_own_signatures_and_no_others(algorithm: str) -> None:
    check = load(GATE.sign_key(algorithm), [algorithm]).checks[algorithm]
    assert check(MESSAGE, GATE.sign(algorithm, MESSAGE))
    assert not check(b"other", GATE.sign(algorithm, MESSAGE))
    assert not check(MESSAGE, STRANGER.sign(algorithm, MESSAGE))


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_certificate_stands_for_its_key(algorithm: str) -> None:
    text = certificate(GATE, algorithm).public_bytes(serialization.Encoding.PEM).decode()
    assert load(text, [algorithm]).checks[algorithm](MESSAGE, GATE.sign(algorithm, MESSAGE))


@pytest.mark.parametrize("decorated", ["{}", "  {}\n", "{}=", "\n{}==\n"])
def test_a_raw_ed25519_key_is_32_bytes_in_base64(decorated: str) -> None:
    raw = GATE.edwards_key().public_key().public_bytes_raw()
    text = decorated.format(base64.b64encode(raw).decode().rstrip("="))
    assert load(text, ["EdDSA"]).checks["EdDSA"](MESSAGE, GATE.sign("EdDSA", MESSAGE))


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_a_secret_may_be_written_in_any_base64(encode: object) -> None:
    assert callable(encode)
    text = encode(GATE.secret("HS256")).decode().rstrip("=")
    assert load(text, ["HS256"]).checks["HS256"](MESSAGE, GATE.sign("HS256", MESSAGE))


def test_a_key_serves_exactly_the_algorithms_named() -> None:
    key = load(GATE.sign_key("RS256"), ["RS256", "PS512", "RS256"])
    assert list(key.checks) == ["RS256", "PS512"]
    assert repr(key) == "<Key  RS256 PS512>"


@pytest.mark.parametrize(
    ("text", "algorithms", "sentence"),
    [
        pytest.param(SECRET, [], "sign_alg is empty", id="no algorithm"),
        pytest.param(SECRET, ["none"], "'none' is not known", id="none"),
        pytest.param(SECRET, ["hs256"], "'hs256' is not known", id="another case"),
        pytest.param(SECRET, ["HS256", "RS256"], "cannot share a key", id="HMAC beside a public-key algorithm"),
        pytest.param("not base64!", ["HS256"], "is not base64", id="a secret that is not base64"),
        pytest.param("\udcff" * 40, ["HS256"], "is not base64", id="a secret that is no text"),
        pytest.param("", ["HS256"], "is not base64", id="an empty secret"),
        pytest.param(base64.b64encode(bytes(range(31))).decode(), ["HS256"], "has 31 bytes", id="a short secret"),
        pytest.param(base64.b64encode(bytes(range(47))).decode(), ["HS256", "HS384"], "HS384 needs 48", id="HS384"),
        pytest.param(base64.b64encode(bytes(range(63))).decode(), ["HS512"], "needs 64", id="HS512"),
        pytest.param(SECRET, ["RS256"], "is not a PEM public key", id="a secret for RS256"),
        pytest.param("\udcff", ["RS256"], "is not a PEM public key", id="no text for RS256"),
        pytest.param(SECRET, ["EdDSA"], "nor 32 bytes in base64", id="64 bytes for EdDSA"),
        pytest.param(GATE.sign_key("RS256"), ["ES256"], "RSA key, which ES256 cannot use", id="RSA for ES256"),
        pytest.param(GATE.sign_key("ES256"), ["RS256"], "secp256r1 key, which RS256", id="P-256 for RS256"),
        pytest.param(GATE.sign_key("ES256"), ["ES384"], "secp256r1 key, which ES384", id="P-256 for ES384"),
        pytest.param(GATE.sign_key("EdDSA"), ["ES256"], "Ed25519 key, which ES256", id="Ed25519 for ES256"),
        pytest.param(GATE.sign_key("ES256"), ["ES256", "ES384"], "which ES384 cannot", id="P-256 for both"),
        pytest.param(pem(ec.generate_private_key(ec.SECP256K1()).public_key()), ["ES256"], "secp256k1", id="secp256k1"),
        pytest.param(pem(ed448.Ed448PrivateKey.generate().public_key()), ["EdDSA"], "Ed448PublicKey", id="Ed448"),
        pytest.param(pem(x25519.X25519PrivateKey.generate().public_key()), ["EdDSA"], "X25519PublicKey", id="X25519"),
        pytest.param(
            pem(rsa.RSAPublicNumbers(65537, 2**1023 + 1).public_key()), ["RS256"], "1024 bits", id="RSA of 1024 bits"
        ),
        pytest.param(
            "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", ["RS256"], "cannot be read", id="a torn PEM"
        ),
        pytest.param(
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            ["RS256"],
            "cannot be read",
            id="a torn certificate",
        ),
    ],
)
def test_a_key_that_does_not_fit_does_not_start(text: str, algorithms: Iterable[str], sentence: str) -> None:
    with pytest.raises(KeyFault, match=sentence):
        load(text, algorithms)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_private_key_does_not_start(algorithm: str) -> None:
    """A gate that could sign would be worth breaking into."""
    plain = serialization.NoEncryption()
    text = GATE.private_key(algorithm).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
    )
    with pytest.raises(KeyFault, match="must not be able to sign"):
        load(text.decode(), [algorithm])


@pytest.mark.parametrize("exponent", [1, 2])
def test_an_rsa_exponent_with_which_anybody_can_sign_does_not_start(exponent: int) -> None:
    modulus = GATE.rsa_key().public_key().public_numbers().n
    with pytest.raises((KeyFault, ValueError)):
        load(pem(rsa.RSAPublicNumbers(exponent, modulus).public_key()), ["RS256"])


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("point", SMALL_ORDER)
def test_an_ed25519_point_of_small_order_does_not_start(point: bytes, sign: int) -> None:
    """OpenSSL takes it, and S = 0 is then a signature of every eighth message."""
    text = base64.b64encode(point[:31] + bytes([point[31] | sign])).decode()
    with pytest.raises(KeyFault, match="small order"):
        load(text, ["EdDSA"])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(data, id=f"{algorithm}: {title}")
        for algorithm in ("RS256", "ES256", "ES384", "ES512", "EdDSA")
        for title, data in published(GATE, algorithm).items()
    ],
)
def test_a_public_key_is_no_secret_in_whatever_form(data: bytes) -> None:
    """As text, in base64, in base64 twice, or with a new line that a file ends in."""
    texts = [base64.b64encode(data), base64.b64encode(data + b"\n"), base64.b64encode(base64.b64encode(data))]
    if data.isascii():
        texts += [data, b"\n  " + data, data.upper()[:1] + data[1:]]
    for text in texts:
        with pytest.raises(KeyFault) as fault:
            load(text.decode(), ["HS256"])
        assert "key" in fault.value.problem
        assert text[-24:].decode() not in str(fault.value)


def test_private_keys_and_signing_requests_are_no_secrets_either() -> None:
    for algorithm in ("RS256", "ES256", "EdDSA"):
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
            data = GATE.private_key(algorithm).private_bytes(
                encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            with pytest.raises(KeyFault, match="key"):
                load(base64.b64encode(data).decode(), ["HS256"])


@pytest.mark.parametrize(
    "secret",
    [
        b"\x30" + grown("a", 63),
        b"\x30\x3e" + grown("b", 62),
        b"\x30\x81" + grown("c", 62),
        b"\x30\xff" + grown("d", 62),
        b"\x30\x3e\x02\x7f" + grown("e", 60),
        b'{"kid"' + grown("f", 58),
    ],
)
def test_chance_is_not_mistaken_for_a_key_file(secret: bytes) -> None:
    """A secret may begin with any byte."""
    assert load(base64.b64encode(secret).decode(), ["HS512"]).warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        "a-string-secret-at-least-256-bits-long",
        "TkZMNSowQmMjOVU2RUB0bm1DJkU3U1VONkd3SGZMbVk=",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    ],
)
def test_a_secret_from_documentation_does_not_start(text: str) -> None:
    """jwt.io, caddy-jwt and stateful_jwt, FastAPI, RFC 7515: as they stand there, and encoded."""
    for form in (text, text.rstrip("=") + "\n", base64.b64encode(text.encode()).decode()):
        with pytest.raises(KeyFault, match=r"public documentation|has 28 bytes"):
            load(form, ["HS256"])


def test_a_guessable_secret_starts_with_a_warning() -> None:
    (warning,) = load(base64.b64encode(b"abcdefgh" * 4).decode(), ["HS256"]).warnings
    assert "guessed" in warning
    assert load(SECRET, ["HS256", "HS384", "HS512"]).warnings == ()


def test_the_fault_names_the_setting_that_it_is_about() -> None:
    with pytest.raises(KeyFault, match=r"^issuer\[0\]\.sign_key is not base64"):
        load("!", ["HS256"], name="issuer[0].sign_key")


def test_the_orders_of_the_table_are_those_of_the_curves() -> None:
    for name in ("ES256", "ES384", "ES512"):
        assert ALGORITHMS[name].order == GATE.curve_key(name).curve.group_order
