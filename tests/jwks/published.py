"""Keys as an issuer has them: the private half signs, the public half is published. joserfc writes the JWK."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import ECKey, OKPKey, RSAKey

from sluicegate.core.signing import mint, private_signer

_CURVES: Final = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


@dataclass(frozen=True, slots=True)
class Published:
    """One key of an issuer: follows from `label`, but for RSA, where one of each label is made for the run."""

    kid: str | None = "k1"
    algorithm: str = "ES256"
    label: str = "a"

    def jwk(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
        """Write the public half; a change to None takes a member out."""
        written = dict(self.key.as_dict(private=False)) | {"kid": self.kid} | changes
        return {name: value for name, value in written.items() if value is not None}

    def private_jwk(self) -> dict[str, Any]:
        """Write both halves, as no issuer may publish them."""
        return dict(self.key.as_dict(private=True)) | {"kid": self.kid}

    def token(self, claims: Mapping[str, Any], *, kid: str | None = "") -> bytes:
        """Sign a token that names this key; `kid` names another, or None."""
        named = self.kid if kid == "" else kid
        return mint(claims, private_signer(self.pem, self.algorithm), algorithm=self.algorithm, kid=named).encode()

    @property
    def key(self) -> RSAKey | ECKey | OKPKey:
        """The key as joserfc has it."""
        if self.algorithm == "EdDSA":
            return OKPKey.import_key(self.pem)
        return ECKey.import_key(self.pem) if self.algorithm.startswith("ES") else RSAKey.import_key(self.pem)

    @property
    def pem(self) -> bytes:
        """The private key."""
        key = rsa_key(self.label) if self.algorithm[0] in "RP" else curve_key(self.algorithm, self.label)
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@functools.cache
def rsa_key(label: str, *, bits: int = 2048) -> rsa.RSAPrivateKey:  # noqa: ARG001 - one for each label
    """Make an RSA key; the same one for the same label."""
    return rsa.generate_private_key(65537, bits)


def curve_key(algorithm: str, label: str) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    """Make a key on a curve; it follows from the label."""
    seed = hashlib.sha256(label.encode()).digest()
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    return ec.derive_private_key(int.from_bytes(seed[:31]), _CURVES[algorithm])


def document(*jwks: Mapping[str, Any]) -> bytes:
    """Write a JWK Set."""
    return json.dumps({"keys": jwks}).encode()
