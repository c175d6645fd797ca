"""Tokens made by others: openssl on the command line, jsonwebtoken on Node, PyJWT, joserfc."""

import base64
import json
import subprocess
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from joserfc import jwt as jose
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from sluicegate.core.algorithms import ALGORITHMS
from tests.interop.keys import MadeKey, openssl
from tests.servers.process import program

Claims = Mapping[str, Any]
Maker = Callable[[str, MadeKey, Claims], str]

_NODE: Final = Path(__file__).with_name("node")


def by_openssl(algorithm: str, key: MadeKey, claims: Claims) -> str:
    """What a shell script would do: printf, openssl, tr."""
    signing_input = ".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": algorithm}, claims))
    return f"{signing_input}.{_base64url(_signed_by_openssl(algorithm, key, signing_input.encode()))}"


def by_jsonwebtoken(algorithm: str, key: MadeKey, claims: Claims) -> str:
    """jsonwebtoken, and Node's own crypto for EdDSA."""
    assert (_NODE / "node_modules" / "jsonwebtoken").is_dir(), "jsonwebtoken is not here: `make test` installs it"
    text = key.secret if ALGORITHMS[algorithm].family == "HMAC" else key.private_pem
    wanted = [{"algorithm": algorithm, "key": text, "claims": claims, "header": {"kid": "from-node"}}]
    done = subprocess.run(
        [program("node"), str(_NODE / "mint.cjs")],
        input=json.dumps(wanted).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    (token,) = json.loads(done.stdout)
    assert isinstance(token, str)
    return token


def by_pyjwt(algorithm: str, key: MadeKey, claims: Claims) -> str:
    """What PyJWT makes."""
    secret = base64.b64decode(key.secret) if ALGORITHMS[algorithm].family == "HMAC" else key.private_pem
    return jwt.encode(dict(claims), secret, algorithm=algorithm, headers={"kid": "from-pyjwt"})


def by_joserfc(algorithm: str, key: MadeKey, claims: Claims) -> str:
    """What joserfc makes."""
    own: OctKey | RSAKey | ECKey | OKPKey
    match ALGORITHMS[algorithm].family:
        case "HMAC":
            own = OctKey.import_key(base64.b64decode(key.secret))
        case "ECDSA":
            own = ECKey.import_key(key.private_pem)
        case "EdDSA":
            own = OKPKey.import_key(key.private_pem)
        case _:
            own = RSAKey.import_key(key.private_pem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # EdDSA has a new name since RFC 9864, and few issuers use it
        return jose.encode({"alg": algorithm, "kid": "from-joserfc"}, dict(claims), own, algorithms=[algorithm])


MAKERS: Final[Mapping[str, Maker]] = {
    "openssl": by_openssl,
    "jsonwebtoken": by_jsonwebtoken,
    "PyJWT": by_pyjwt,
    "joserfc": by_joserfc,
}


def _signed_by_openssl(algorithm: str, key: MadeKey, data: bytes) -> bytes:
    row = ALGORITHMS[algorithm]
    digest, private = f"-{row.hash_name}", str(key.private)
    match row.family:
        case "HMAC":
            secret = base64.b64decode(key.secret).hex()
            return openssl("dgst", digest, "-mac", "HMAC", "-macopt", f"hexkey:{secret}", "-binary", data=data)
        case "RSA":
            return openssl("dgst", digest, "-sign", private, data=data)
        case "RSA-PSS":
            pss = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
            return openssl("dgst", digest, *pss, "-sign", private, data=data)
        case "ECDSA":
            return _raw(openssl("dgst", digest, "-sign", private, data=data), row.signature_bytes // 2)
        case "EdDSA":
            assert key.private is not None
            message = key.private.with_suffix(".message")  # a signature in one go needs a file, whose size is known
            message.write_bytes(data)
            return openssl("pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", str(message))


def _raw(der: bytes, half: int) -> bytes:
    """Turn SEQUENCE { INTEGER r, INTEGER s } into r and s of equal length (RFC 7518, 3.4)."""
    at = 2 if der[1] < 0x80 else 3
    numbers = []
    for _ in range(2):
        size = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2 : at + 2 + size]))
        at += 2 + size
    assert at == len(der)
    return b"".join(number.to_bytes(half) for number in numbers)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
