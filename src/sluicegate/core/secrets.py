"""Which texts must not be HMAC secrets, and which may be but should not."""

import hashlib
from typing import NamedTuple

_MIN_DISTINCT_BYTES = 10

# What a key file begins with, in any case and after trimming: PEM, SSH (RFC 4253), JWK (RFC 7517).
_MARKS = (
    b"-----begin",
    b"---- begin",
    b"ssh-",
    b"ecdsa-sha2-",
    b"sk-ssh-",
    b"sk-ecdsa-",
    b"openssh-key-v1",
    b"puttygen",
)

# SHA-256 of secrets that stand in documentation, tutorials and RFCs: whoever can read can sign with them. Kept
# as digests so that this file is no list to copy from. Sources: RFC 7515 A.1; jwt.io (old and new); the READMEs of
# ggicci/caddy-jwt (and the demo of stateful_jwt, which uses the same), jsonwebtoken, PyJWT and FastAPI's tutorial;
# common framework templates.
_DOCUMENTED = frozenset(
    {
        "011fc2994e39d251141540f87a69092b3f22a86767f7283de7eeedb3897bedf6",
        "1ea604f64a8a5084cb916142866daf06cdb5f69c716f7ba286dc0c1eb2c2209a",
        "3354cfcf65c7b2e6840ea6f880aede239750cb1d063950c4e8fd9fbf9ec73a32",
        "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9",
        "410abeda2232b65193b49c646fbea07c47cef2775464ad27d416ceeef6440567",
        "465d9ad5d5528ebe287b5dce4fb51620833d09b290e49ddcc70ca6c4a0aea01b",
        "4f6247d3302488b2e483cdc67a5027a6de127b09903954787428e30faf83eb49",
        "546aa91c38296763a7727de92a2d4201c848dc2d2b62142ed30a054cdad3e938",
        "570dad43de1af4c925f92c16a68a50936da42b7dd6fdeb24850507a1199aac89",
        "5eef83fe7cb71e2da053f846a07ecf933f49b66ef755ef8627be5e2fe94d7e84",
        "60931465b0b730e9d53286a2e821443f30853a50ffb6b1aa7200e10ad6ff3511",
        "730d21a80e61a8de82d12cb4c0b8057cff5a30e2dec50ce7a773513374f9164a",
        "7d5f5ad0674ec2f2960b1a34f33370a0f71471fa0e3ef0c0a692977d276dafe8",
        "861009ec4d599fab1f40abc76e6f89880cff5833c79c548c99f9045f191cd90b",
        "8617361c4aa3ef136022794b2a1f2e176ebf8772b6a7ac601ba43694fb5fa2a4",
        "8b1b17a9740c068accab5c3d0d652c8e3cc13206e70bb73b42ea41d4c2de3c12",
        "8b2d3e0a23642d82e80161725bb9b3788c64a3e113f3248b322f2b7e61938fa5",
        "94d2f2cff66c99ed705b092d60689b8c70217f5ad68cd2138a81f2453484ff13",
        "9dea66d0079e1e5d281faea70a05bf41fa2f7b4d909c3426d1b315cd19418868",
        "a064b502e61d27e94b8717290e5e1b32e36720e9fbdf952ec81a84c07128cb37",
        "b3f6f5d4f9cee4e99fe5db63234b775a205edc23efbbff87acc308626b5fd24a",
        "c8ecc9361a05e285f04c26f9572131a6deab07e9e2b865053c6f75a4d8bd2b32",
        "d48360249860833b495cd73b9d6366fc96093327b8f3cebaccc49bd8e709141b",
        "db6833593279d7373592ef70e51f3daf048c04475739f8ed024b0821fd9e7fde",
        "dfd7dc439654f313f3bb7734b467e71d701b6982cd4cb31cf7d555e723c223e9",
        "e1b85b27d6bcb05846c18e6a48f118e89f0c0587140de9fb3359f8370d0dba08",
        "eca06afcf073b8a8e56398c0719fed06f64a57f5fa180107222c53388827b7bb",
        "f6d527e6d01865481134f29788be2afe7fc3c702e1a55d7ceafac5f35199e8dc",
        "f7d838701b86c5dfb57bf95fbc5ce6df204cfc9f15ad6cdb39fd22f8776e47b6",
    }
)


class Weakness(NamedTuple):
    """What is wrong with a secret. `never`: it does not start at all."""

    sentence: str
    never: bool


def looks_like_key_material(data: bytes) -> bool:
    """Tell whether the bytes are a key file rather than a secret."""
    head = data.strip().lower()
    if head.startswith(_MARKS) or b"-----begin " in head or b" private key" in head:
        return True
    return b'"kty"' in head or _is_der(data.lstrip())


def _is_der(data: bytes) -> bool:
    """Tell whether the bytes are one ASN.1 SEQUENCE of whole elements, as keys and certificates in DER are (X.690).

    One random secret in a million is such a thing by chance. White space may follow: files end in a new line.
    """
    outer = _element(data)
    if data[:1] != b"\x30" or outer is None or outer[1].strip():
        return False
    rest = outer[0]
    while rest:
        inner = _element(rest)
        if inner is None:
            return False
        rest = inner[1]
    return True


def _element(data: bytes) -> tuple[bytes, bytes] | None:
    """Return the content of the first ASN.1 element and what follows it; None where it does not end in time."""
    start, length = 2, int.from_bytes(data[1:2])
    if length > 0x80:  # noqa: PLR2004 - the long form: so many bytes hold the length
        start += length & 0x7F
        length = int.from_bytes(data[2:start])
    end = start + length
    return (data[start:end], data[end:]) if end <= len(data) else None


def weakness(text: str, secret: bytes) -> Weakness | None:
    """Tell what is wrong with an HMAC secret of sufficient length: `text` as written, `secret` decoded."""
    for form in (text.strip().encode(), secret, secret.strip()):
        if hashlib.sha256(form).hexdigest() in _DOCUMENTED:
            return Weakness("is an example from public documentation, which everybody knows", never=True)
    if len(set(secret)) < _MIN_DISTINCT_BYTES:
        return Weakness("repeats so few bytes that it can be guessed", never=False)
    return None
