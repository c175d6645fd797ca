"""Keys that follow from a name, so that every run makes the same tokens. They guard nothing.

The signatures are made here from the arithmetic of their RFCs where a library would refuse to make a wrong one.
"""

import base64
import functools
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sluicegate.core.algorithms import ALGORITHMS

RSA_BYTES: Final = 256
EXPONENT: Final = 65537

HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}
# DER of the DigestInfo around a hash (RFC 8017, 9.2, note 1), up to the hash itself.
DIGEST_INFO: Final = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
# At which number the search for a prime ends; kept, because the search takes a second.
_PRIMES: Final = {"gate": (602, 304), "stranger": (68, 569)}


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def grown(label: str, size: int) -> bytes:
    """So many bytes that follow from a label and look like chance."""
    return hashlib.shake_256(label.encode()).digest(size)


@dataclass(frozen=True, slots=True)
class Party:
    """Whoever holds one key of each kind: the `gate`'s own issuer, or a `stranger`."""

    name: str

    def secret(self, algorithm: str) -> bytes:
        return grown(f"{self.name} {algorithm}", 64)

    def curve_key(self, algorithm: str) -> ec.EllipticCurvePrivateKey:
        return _curve_key(self.name, algorithm)

    def edwards_key(self) -> ed25519.Ed25519PrivateKey:
        return ed25519.Ed25519PrivateKey.from_private_bytes(grown(f"{self.name} Ed25519", 32))

    def rsa_key(self) -> rsa.RSAPrivateKey:
        return _rsa_key(self.name)

    def private_key(self, algorithm: str) -> PrivateKey:
        match ALGORITHMS[algorithm].family:
            case "ECDSA":
                return self.curve_key(algorithm)
            case "EdDSA":
                return self.edwards_key()
            case _:
                return self.rsa_key()

    def public_key(self, algorithm: str) -> PublicKey:
        return self.private_key(algorithm).public_key()

    def pem(self, algorithm: str) -> bytes:
        return self.public_key(algorithm).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign_key(self, algorithm: str) -> str:
        """What an operator writes into `sign_key` to trust this party."""
        if ALGORITHMS[algorithm].family == "HMAC":
            return base64.b64encode(self.secret(algorithm)).decode()
        return self.pem(algorithm).decode()

    def sign(self, algorithm: str, signed: bytes) -> bytes:
        """The genuine signature, the same on every run."""
        row = ALGORITHMS[algorithm]
        match row.family:
            case "HMAC":
                return hmac.digest(self.secret(algorithm), signed, row.hash_name)
            case "RSA":
                return self.raw_rsa(pkcs1(DIGEST_INFO[row.hash_name] + hashlib.new(row.hash_name, signed).digest()))
            case "RSA-PSS":
                size = hashlib.new(row.hash_name).digest_size
                return self.raw_rsa(pss(signed, hash_name=row.hash_name, salt=grown("salt", size)))
            case "ECDSA":
                r, s = self.raw_ecdsa(algorithm, signed)
                half = row.signature_bytes // 2
                return r.to_bytes(half) + s.to_bytes(half)
            case "EdDSA":
                return self.edwards_key().sign(signed)

    def raw_rsa(self, block: bytes) -> bytes:
        """RSASP1 (RFC 8017, 5.2.1) over an encoded message, whatever it is."""
        key = self.rsa_key().private_numbers()
        message = int.from_bytes(block)
        by_p, by_q = pow(message, key.dmp1, key.p), pow(message, key.dmq1, key.q)
        return (by_q + key.q * ((by_p - by_q) * key.iqmp % key.p)).to_bytes(RSA_BYTES)

    def raw_ecdsa(self, algorithm: str, signed: bytes, *, hash_name: str = "") -> tuple[int, int]:
        method = ec.ECDSA(HASHES[hash_name or ALGORITHMS[algorithm].hash_name], deterministic_signing=True)
        return decode_dss_signature(self.curve_key(algorithm).sign(signed, method))


GATE: Final = Party("gate")
STRANGER: Final = Party("stranger")


def pkcs1(digest_info: bytes, *, block_type: bytes = b"\x00\x01", padding: bytes | None = None) -> bytes:
    """EMSA-PKCS1-v1_5 (RFC 8017, 9.2), right unless told otherwise."""
    filled = b"\xff" * (RSA_BYTES - 3 - len(digest_info)) if padding is None else padding
    return block_type + filled + b"\x00" + digest_info


def pss(
    signed: bytes, *, hash_name: str, salt: bytes, mask_hash: str = "", trailer: bytes = b"\xbc", separator: int = 1
) -> bytes:
    """EMSA-PSS (RFC 8017, 9.1.1), right unless told otherwise."""
    hashed = hashlib.new(hash_name, bytes(8) + hashlib.new(hash_name, signed).digest() + salt).digest()
    size = RSA_BYTES - len(hashed) - 1
    block = bytearray(bytes(size - len(salt) - 1) + bytes([separator]) + salt)
    mask = mgf1(hashed, size, hash_name=mask_hash or hash_name)
    for place, byte in enumerate(mask):
        block[place] ^= byte
    block[0] &= 0x7F  # the modulus has a multiple of eight bits, the encoded message one less
    return bytes(block) + hashed + trailer


def mgf1(seed: bytes, size: int, *, hash_name: str) -> bytes:
    """The mask of RFC 8017, B.2.1."""
    blocks = (hashlib.new(hash_name, seed + number.to_bytes(4)).digest() for number in range(size // 20 + 1))
    return b"".join(blocks)[:size]


@functools.cache
def _curve_key(name: str, algorithm: str) -> ec.EllipticCurvePrivateKey:
    scalar = int.from_bytes(grown(f"{name} {algorithm}", 80)) % (CURVES[algorithm].group_order - 1) + 1
    return ec.derive_private_key(scalar, CURVES[algorithm])


@functools.cache
def _rsa_key(name: str) -> rsa.RSAPrivateKey:
    p, q = (_prime(f"{name} RSA {factor} {number}") for factor, number in zip("pq", _PRIMES[name], strict=True))
    d = pow(EXPONENT, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(EXPONENT, p * q),
    ).private_key()


def _prime(label: str) -> int:
    return int.from_bytes(grown(label, RSA_BYTES // 2)) | 1 << 1023 | 1 << 1022 | 1
