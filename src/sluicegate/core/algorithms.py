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
    order: int = 0
    """How many points the curve's generator reaches (FIPS 186-5); 0 where there is no ECDSA."""


_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P384 = (1 << 384) - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D
_P521 = (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7

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
        Algorithm("ES256", "ECDSA", "sha256", "secp256r1", 64, _P256),
        Algorithm("ES384", "ECDSA", "sha384", "secp384r1", 96, _P384),
        Algorithm("ES512", "ECDSA", "sha512", "secp521r1", 132, _P521),
        Algorithm("EdDSA", "EdDSA", "sha512", "Ed25519", 64),
    )
}
