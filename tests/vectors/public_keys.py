"""Public keys in every form that people keep them in, and what happens to a gate that takes one for a secret."""

import base64
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from sluicegate.core.algorithms import ALGORITHMS
from tests.vectors.keys import GATE, RSA_BYTES, Party, PublicKey
from tests.vectors.vector import ALGORITHM, CLAIMS, SIGNATURE, Vector, b64, compact

BORN: Final = datetime(2025, 1, 1, tzinfo=UTC)
ENDS: Final = datetime(2100, 1, 1, tzinfo=UTC)


def vectors() -> Iterator[Vector]:
    """CVE-2015-9235: a gate that takes the algorithm from the header has just published its HMAC secret."""
    for name in ALGORITHMS:
        if ALGORITHMS[name].family != "HMAC":
            yield from _confused(name)


def _confused(name: str) -> Iterator[Vector]:
    for title, secret in published(GATE, name).items():
        for mac in ("HS256", "HS384", "HS512"):

            def sign(signed: bytes, secret: bytes = secret, hash_name: str = ALGORITHMS[mac].hash_name) -> bytes:
                return hmac.digest(secret, signed, hash_name)

            yield Vector(name, f"{mac} with the public key as {title}", compact({"alg": mac}, CLAIMS, sign), ALGORITHM)
            lying = compact({"alg": name}, CLAIMS, sign)
            yield Vector(name, f"{mac} with the public key as {title}, named {name}", lying, SIGNATURE)


def published(party: Party, algorithm: str) -> dict[str, bytes]:
    """A public key in every form in which people keep one."""
    key, signed = party.public_key(algorithm), certificate(party, algorithm)
    plain = serialization.PublicFormat.SubjectPublicKeyInfo
    pem, der = party.pem(algorithm), key.public_bytes(serialization.Encoding.DER, plain)
    forms = {
        "PEM": pem,
        "PEM without the last line's end": pem.strip(),
        "PEM with CR LF": pem.replace(b"\n", b"\r\n"),
        "the base64 of a PEM": b"".join(pem.splitlines()[1:-1]),
        "DER": der,
        "base64 of PEM": base64.b64encode(pem),
        "JWK": json.dumps(jwk(key)).encode(),
        "JWK in compact form": json.dumps(jwk(key), separators=(",", ":"), sort_keys=True).encode(),
        "JWKS": json.dumps({"keys": [jwk(key)]}).encode(),
        "a certificate": signed.public_bytes(serialization.Encoding.PEM),
        "a certificate in DER": signed.public_bytes(serialization.Encoding.DER),
    }
    if isinstance(key, rsa.RSAPublicKey):
        for title, encoding in (("PKCS#1 PEM", serialization.Encoding.PEM), ("PKCS#1 DER", serialization.Encoding.DER)):
            forms[title] = key.public_bytes(encoding, serialization.PublicFormat.PKCS1)
    forms["an SSH key"] = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return forms


def certificate(party: Party, algorithm: str) -> x509.Certificate:
    """A certificate that the party signed itself."""
    private = party.private_key(algorithm)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, party.name)])
    builder = x509.CertificateBuilder(name, name, private.public_key(), 1, BORN, ENDS)
    digest = None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(private, digest, ecdsa_deterministic=isinstance(private, ec.EllipticCurvePrivateKey) or None)


def jwk(key: PublicKey) -> dict[str, str]:
    """The key as RFC 7517 writes it."""
    match key:
        case rsa.RSAPublicKey():
            return {"kty": "RSA", "n": b64(key.public_numbers().n.to_bytes(RSA_BYTES)).decode(), "e": "AQAB"}
        case ec.EllipticCurvePublicKey():
            size = (key.curve.key_size + 7) // 8
            x, y = key.public_numbers().x, key.public_numbers().y
            curve = {256: "P-256", 384: "P-384", 521: "P-521"}[key.curve.key_size]
            return {"kty": "EC", "crv": curve, "x": b64(x.to_bytes(size)).decode(), "y": b64(y.to_bytes(size)).decode()}
        case ed25519.Ed25519PublicKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_bytes_raw()).decode()}
