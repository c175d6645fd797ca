"""The signature algorithms of RFC 7518 (3.1) and RFC 8037 that the gate verifies, as a table."""

from typing import Literal

import msgspec

Family = Literal["HMAC", "RSA", "RSA-PSS", "ECDSA", "EdDSA"]


class Algorithm(msgspec.Struct, frozen=True):
    """One row: its family, hash, and what its key must be."""

    name: str
    family: Family
    hash_name: str
    curve: str = ""
    signature_bytes: int = 0
    """Exact length of a signature; 0 where the key's own length says."""


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("HS256", "HMAC", "sha256", signature_bytes=32),
        Algorithm("HS384", "HMAC", "sha384", signature_bytes=48),
        Algorithm("HS512", "HMAC", "sha512", signature_bytes=64),
        Algorithm("RS256", "RSA", "sha256"),
        Algorithm("RS384", "RSA", "sha384"),
        Algorithm("RS512", "RSA", "sha512"),
        Algorithm("PS256", "RSA-PSS", "sha256"),
        Algorithm("PS384", "RSA-PSS", "sha384"),
        Algorithm("PS512", "RSA-PSS", "sha512"),
        Algorithm("ES256", "ECDSA", "sha256", "secp256r1", 64),
        Algorithm("ES384", "ECDSA", "sha384", "secp384r1", 96),
        Algorithm("ES512", "ECDSA", "sha512", "secp521r1", 132),
        Algorithm("EdDSA", "EdDSA", "sha512", "Ed25519", 64),
    )
}
