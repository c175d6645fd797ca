"""Signs tokens, for `sluicegate token mint` and the demo. Nothing that serves requests imports this."""

import base64
import hmac
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sluicegate.core.algorithms import ALGORITHMS, Algorithm
from sluicegate.core.keys import load, read_base64
from sluicegate.errors import KeyFault

Sign = Callable[[bytes], bytes]

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def mint(claims: Mapping[str, Any], sign: Sign, *, algorithm: str, kid: str | None = None) -> str:
    """Return a signed token in compact form (RFC 7515, 7.1)."""
    header = {"alg": algorithm, "typ": "JWT"} | ({} if kid is None else {"kid": kid})
    signing_input = b".".join(_base64url(msgspec.json.encode(part)) for part in (header, claims))
    return (signing_input + b"." + _base64url(sign(signing_input))).decode()


def secret_signer(sign_key: str, algorithm: str) -> Sign:
    """Return a signer for one of HS256, HS384, HS512, with the secret as `sign_key` holds it.

    Raises `KeyFault` for a secret that the gate would not take either.
    """
    load(sign_key, [algorithm])
    secret = read_base64(sign_key) or b""
    name = ALGORITHMS[algorithm].hash_name
    return lambda signed: hmac.digest(secret, signed, name)


def private_signer(pem: bytes, algorithm: str) -> Sign:
    """Return a signer for a private key in PEM.

    Raises `KeyFault` when the key cannot be read or is not for this algorithm.
    """
    row = ALGORITHMS[algorithm]
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFault("the private key cannot be read", "give an unencrypted PEM file") from error
    match key, row.family:
        case rsa.RSAPrivateKey(), "RSA":
            return lambda signed: key.sign(signed, padding.PKCS1v15(), _HASHES[row.hash_name])
        case rsa.RSAPrivateKey(), "RSA-PSS":
            digest = _HASHES[row.hash_name]
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return lambda signed: key.sign(signed, pss, digest)
        case ec.EllipticCurvePrivateKey(), "ECDSA" if key.curve.name == row.curve:
            return lambda signed: _raw_ecdsa(key, signed, row)
        case ed25519.Ed25519PrivateKey(), "EdDSA":
            return key.sign
        case _:
            raise KeyFault(f"the private key is not for {algorithm}", "name the algorithm of this key with --alg")


def _raw_ecdsa(key: ec.EllipticCurvePrivateKey, signed: bytes, row: Algorithm) -> bytes:
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(_HASHES[row.hash_name])))
    half = row.signature_bytes // 2
    return r.to_bytes(half) + s.to_bytes(half)


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
