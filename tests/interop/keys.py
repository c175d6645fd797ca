"""Keys as operators make them: by openssl on the command line, one for each kind of algorithm."""

import base64
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sluicegate.core.algorithms import ALGORITHMS
from tests.servers.process import program

_MAKES: Final = {
    "RSA": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ES256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "ES384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "ES512": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "EdDSA": ("-algorithm", "ed25519"),
}


@dataclass(frozen=True, slots=True)
class MadeKey:
    """One issuer's key: for HMAC the base64 of a secret, else files in PEM. `sign_keys`: each way to configure it."""

    algorithm: str
    secret: str
    private: Path | None
    sign_keys: dict[str, str]

    @property
    def private_pem(self) -> str:
        """The private key's text."""
        assert self.private is not None
        return self.private.read_text()


class Workshop:
    """Makes keys in a directory, each kind once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made: dict[str, MadeKey] = {}

    def key(self, algorithm: str) -> MadeKey:
        """The key for an algorithm; RS256 to PS512 share one."""
        family = ALGORITHMS[algorithm].family
        kind = "RSA" if family.startswith("RSA") else algorithm
        if kind not in self._made:
            self._made[kind] = self._secret(algorithm) if family == "HMAC" else self._pair(kind)
        return self._made[kind]

    def _secret(self, algorithm: str) -> MadeKey:
        size = ALGORITHMS[algorithm].signature_bytes
        text = openssl("rand", "-base64", str(size)).decode()
        return MadeKey(algorithm, text.strip(), None, {"base64": text})

    def _pair(self, kind: str) -> MadeKey:
        private, public, certificate = (self._directory / f"{kind}.{end}" for end in ("key", "pub", "crt"))
        openssl("genpkey", *_MAKES[kind], "-out", str(private))
        openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
        name = ("-subj", "/CN=auth.example.com", "-days", "1")
        openssl("req", "-x509", "-new", "-key", str(private), *name, "-out", str(certificate))
        sign_keys = {"PEM": public.read_text(), "certificate": certificate.read_text()}
        if kind == "EdDSA":
            der = openssl("pkey", "-in", str(private), "-pubout", "-outform", "DER")
            sign_keys["raw"] = base64.b64encode(der[-32:]).decode()
        return MadeKey(kind, "", private, sign_keys)


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    """Run openssl and return what it writes."""
    done = subprocess.run([program("openssl"), *arguments], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
