"""Keys: loaded once, checked when loaded, bound to their algorithms for good. Sole importer of `cryptography`.

The key decides which algorithms it verifies; a token's header can only name one of them. HMAC secrets and
public keys are different types here, so that no text can be both (CVE-2015-9235, CVE-2022-29217).
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sluicegate.core.algorithms import ALGORITHMS, Algorithm
from sluicegate.core.secrets import looks_like_key_material, weakness
from sluicegate.errors import KeyFault

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 16384  # above it one verification costs milliseconds: a way to be slowed down by one's own key
MIN_RSA_EXPONENT = 3
MAX_RSA_EXPONENT_BITS = 256  # FIPS 186-5, A.1.1
ED25519_BYTES = 32

Check = Callable[[bytes, bytes], bool]
"""Takes what was signed and the signature; tells whether the signature is the key's."""

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
_CURVES = {curve.name: curve for curve in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)}
_ED25519_PRIME = 2**255 - 19
# y and -y of the eight points whose order divides 8: under such a "key" every message has a signature that needs no
# private key, and OpenSSL takes it.
_SMALL_ORDER = frozenset({0, 1, 0x5FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826})


class Key(msgspec.Struct, frozen=True, eq=False):
    """A verification key and the only algorithms it is for. `warnings` says what is unsafe about it.

    Two keys are one only when they are the same object: whoever reads a key anew, and wants what was verified with it
    to stand, keeps the one there is. `thumbprint` (RFC 7638) tells that the material is the same; empty where nobody
    reckoned it.
    """

    checks: dict[str, Check]
    kid: str | None = None
    warnings: tuple[str, ...] = ()
    thumbprint: str = ""

    def __repr__(self) -> str:
        """Name the algorithms, never the material."""
        return f"<Key {self.kid or ''} {' '.join(self.checks)}>"


def load(text: str, algorithms: Iterable[str], *, name: str = "sign_key") -> Key:
    """Load `sign_key`: base64 of an HMAC secret or of a raw Ed25519 key, or a PEM public key or certificate.

    Raises `KeyFault` when the key does not fit every algorithm named, is too short, or cannot be safe; `name` is what
    the fault and the key's warnings call it.
    """
    wanted = _known(algorithms)
    families = {algorithm.family for algorithm in wanted}
    if "HMAC" in families and families != {"HMAC"}:
        msg = "HMAC and public-key algorithms cannot share a key"
        raise KeyFault(msg, "name algorithms of one kind in sign_alg")
    material = text.strip()
    try:
        if families == {"HMAC"}:
            key = _load_secret(material, wanted)
        else:
            key = _bind(_load_public(material, raw_allowed=families == {"EdDSA"}), wanted)
    except KeyFault as fault:
        raise KeyFault(f"{name} {fault.problem}", fault.remedy) from fault
    return msgspec.structs.replace(key, warnings=tuple(f"{name} {warning}" for warning in key.warnings))


class RsaNumbers(NamedTuple):
    """An RSA public key: modulus and exponent."""

    modulus: int
    exponent: int


class EcPoint(NamedTuple):
    """An ECDSA public key: a point, and the curve it should be on, as `ALGORITHMS` names it."""

    curve: str
    x: int
    y: int


Material = RsaNumbers | EcPoint | bytes
"""A public key in numbers; bytes are a raw Ed25519 key."""


def from_numbers(material: Material, algorithms: Iterable[Algorithm]) -> Key:
    """Bind a public key given in numbers to algorithms.

    Raises `KeyFault` for numbers that are no key, or no safe one.
    """
    key: _PublicKey
    try:
        match material:
            case RsaNumbers(modulus, exponent):
                key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
            case EcPoint(curve, x, y):
                key = ec.EllipticCurvePublicNumbers(x, y, _CURVES[curve]()).public_key()
            case _:
                key = ed25519.Ed25519PublicKey.from_public_bytes(material)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFault("has numbers that are no key of its type", "have its issuer make a new one") from error
    return _bind(key, algorithms)


def _bind(key: _PublicKey, algorithms: Iterable[Algorithm]) -> Key:
    return Key({algorithm.name: _public_check(key, algorithm) for algorithm in algorithms})


def _known(algorithms: Iterable[str]) -> list[Algorithm]:
    names = list(dict.fromkeys(algorithms))
    unknown = [name for name in names if name not in ALGORITHMS]
    if unknown or not names:
        msg = f"sign_alg {', '.join(map(repr, unknown)) or 'is empty'}" + (" is not known" if unknown else "")
        raise KeyFault(msg, f"use one of {', '.join(ALGORITHMS)}")
    return [ALGORITHMS[name] for name in names]


def _load_secret(text: str, algorithms: list[Algorithm]) -> Key:
    needed = max(algorithm.signature_bytes for algorithm in algorithms)
    remedy = f"make a secret with: openssl rand -base64 {needed}"
    if looks_like_key_material(text.encode(errors="replace")):
        msg = "is a public key or another key file, and sign_alg is HMAC: whoever has it could sign"
        raise KeyFault(msg, "set sign_alg to the algorithm of that key, or " + remedy)
    secret = read_base64(text)
    if secret is None:
        msg = "is not base64, which an HMAC secret is written in"
        raise KeyFault(msg, remedy + '; or encode the one you have: printf %s "$SECRET" | base64 -w0')
    form: bytes | None = secret
    while form is not None:  # whoever keeps secrets in base64 encodes twice now and then
        if looks_like_key_material(form):
            msg = "decodes to a public key, a certificate or another key file, and sign_alg is HMAC"
            raise KeyFault(msg, "set sign_alg to the algorithm of that key, or " + remedy)
        form = read_base64(form.decode("ascii", "replace"))
    if len(secret) < needed:
        names = ", ".join(algorithm.name for algorithm in algorithms if algorithm.signature_bytes > len(secret))
        msg = f"has {len(secret)} bytes and {names} needs {needed} (RFC 7518, 3.2)"
        raise KeyFault(msg, remedy)
    weak = weakness(text, secret)
    if weak is not None and weak.never:
        raise KeyFault(weak.sentence, remedy)
    return Key(
        {algorithm.name: _hmac_check(secret, algorithm) for algorithm in algorithms},
        warnings=() if weak is None else (weak.sentence,),
    )


def read_base64(text: str) -> bytes | None:
    """Decode base64 or base64url, padded or not; None when it is neither."""
    standard = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _load_public(text: str, *, raw_allowed: bool) -> _PublicKey:
    data = text.encode(errors="replace")
    key: object
    try:
        if b"PRIVATE KEY-----" in data:
            msg = "is a private key, and a gate must not be able to sign"
            raise KeyFault(msg, "give the public half: openssl pkey -in key.pem -pubout")
        if b"-----BEGIN CERTIFICATE-----" in data:
            key = x509.load_pem_x509_certificate(data).public_key()
        elif b"-----BEGIN " in data:
            key = serialization.load_pem_public_key(data)
        elif raw_allowed and (raw := read_base64(text)) is not None and len(raw) == ED25519_BYTES:
            key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
        else:
            msg = "is not a PEM public key or certificate" + (", nor 32 bytes in base64" if raw_allowed else "")
            raise KeyFault(msg, 'begin it with "-----BEGIN PUBLIC KEY-----"; {file./path} reads it from a file')
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = "cannot be read as a public key or certificate"
        raise KeyFault(msg, "check it with: openssl pkey -pubin -in key.pem -text") from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        msg = f"is of a type ({type(key).__name__}) that no algorithm here uses"
        raise KeyFault(msg, "use an RSA, P-256, P-384, P-521 or Ed25519 key")
    return key


def _public_check(key: _PublicKey, algorithm: Algorithm) -> Check:
    """Bind a public key to one algorithm. Raises `KeyFault` when they do not belong together."""
    match key, algorithm.family:
        case rsa.RSAPublicKey(), "RSA" | "RSA-PSS":
            return _rsa_check(key, algorithm)
        case ec.EllipticCurvePublicKey(), "ECDSA" if key.curve.name == algorithm.curve:
            return _ecdsa_check(key, algorithm)
        case ed25519.Ed25519PublicKey(), "EdDSA":
            return _ed25519_check(key)
        case _:
            pass
    kind = (
        key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__.removesuffix("PublicKey")
    )
    msg = f"is a {kind} key, which {algorithm.name} cannot use"
    raise KeyFault(msg, f"name an algorithm of this key in sign_alg: {', '.join(_algorithms_of(key))}")


def _algorithms_of(key: _PublicKey) -> list[str]:
    match key:
        case rsa.RSAPublicKey():
            return [name for name, row in ALGORITHMS.items() if row.family in {"RSA", "RSA-PSS"}]
        case ec.EllipticCurvePublicKey():
            return [name for name, row in ALGORITHMS.items() if row.curve == key.curve.name] or ["none fits: use P-256"]
        case _:
            return ["EdDSA"]


def _verifier(verify: Callable[[bytes, bytes], None]) -> Check:
    """Turn "raises when it is wrong" into a truth value; the arguments change places on the way."""

    def check(signed: bytes, signature: bytes) -> bool:
        try:
            verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    return check


def _hmac_check(secret: bytes, algorithm: Algorithm) -> Check:
    name = algorithm.hash_name

    def check(signed: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(hmac.digest(secret, signed, name), signature)

    return check


def _ed25519_check(key: ed25519.Ed25519PublicKey) -> Check:
    y = int.from_bytes(key.public_bytes_raw(), "little") % (1 << 255) % _ED25519_PRIME
    if min(y, _ED25519_PRIME - y) in _SMALL_ORDER:
        msg = "is a point of small order, with which anybody can sign"
        raise KeyFault(msg, "make a key with: openssl genpkey -algorithm ed25519")
    return _verifier(key.verify)


def _rsa_check(key: rsa.RSAPublicKey, algorithm: Algorithm) -> Check:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        msg = f"is an RSA key of {key.key_size} bits, outside {MIN_RSA_BITS} to {MAX_RSA_BITS} (RFC 7518, 3.3)"
        raise KeyFault(msg, "make one with: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048")
    modulus, exponent = key.public_numbers().n, key.public_numbers().e
    if exponent < MIN_RSA_EXPONENT or exponent % 2 == 0 or modulus % 2 == 0:
        msg = f"has an RSA {'exponent' if modulus % 2 else 'modulus'} with which anybody can sign"
        raise KeyFault(msg, "make a new key; 65537 is the usual exponent")
    if exponent.bit_length() > MAX_RSA_EXPONENT_BITS:
        msg = f"has an RSA exponent of {exponent.bit_length()} bits, which only makes it slow"
        raise KeyFault(msg, "make a new key; 65537 is the usual exponent")
    digest = _HASHES[algorithm.hash_name]
    scheme: padding.PKCS1v15 | padding.PSS = padding.PKCS1v15()
    if algorithm.family == "RSA-PSS":  # RFC 7518, 3.5: MGF1 with the same hash, salt as long as the hash
        scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
    length = (key.key_size + 7) // 8
    check = _verifier(lambda signature, signed: key.verify(signature, signed, scheme, digest))
    return lambda signed, signature: len(signature) == length and check(signed, signature)


def _ecdsa_check(key: ec.EllipticCurvePublicKey, algorithm: Algorithm) -> Check:
    method = ec.ECDSA(_HASHES[algorithm.hash_name])
    length, half = algorithm.signature_bytes, algorithm.signature_bytes // 2
    order = key.curve.group_order

    def check(signed: bytes, signature: bytes) -> bool:
        if len(signature) != length:
            return False
        r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
        # CVE-2022-21449: zero is in no genuine signature, and must never reach arithmetic
        if not (0 < r < order and 0 < s < order):
            return False
        try:
            key.verify(encode_dss_signature(r, s), signed, method)
        except InvalidSignature:
            return False
        return True

    return check
