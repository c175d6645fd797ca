"""Signatures that are wrong, for every algorithm: the defects that Project Wycheproof keeps test groups about."""

import base64
import hashlib
import hmac
from collections.abc import Iterator

from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.core.decision import Reason
from tests.vectors import curves, rsa
from tests.vectors.keys import GATE, STRANGER, grown
from tests.vectors.vector import (
    ALGORITHM,
    CLAIMS,
    MALFORMED,
    SIGNATURE,
    Altered,
    Vector,
    b64,
    compact,
    flipped,
    genuine,
    signer,
)


def vectors() -> Iterator[Vector]:
    """Every one of them; the header and payload are those of a genuine token unless the name says otherwise."""
    for name in ALGORITHMS:
        signing_input, _, encoded = genuine(name).rpartition(b".")
        signature = base64.urlsafe_b64decode(encoded + b"==")
        for defect, altered in (*_of_any_kind(name, signing_input, signature), *_of_its_kind(name, signing_input)):
            assert altered != signature, f"{name}: {defect} leaves the signature as it is"
            yield Vector(name, f"signature: {defect}", signing_input + b"." + b64(altered), SIGNATURE)
        yield from _altered_contents(name, genuine(name))
        yield from _of_other_algorithms(name)
        match ALGORITHMS[name].family:
            case "RSA" | "RSA-PSS":
                yield from rsa.vectors(name)
            case "ECDSA":
                yield from curves.vectors(name)


def _of_any_kind(name: str, signed: bytes, signature: bytes) -> Altered:
    size = len(signature)
    for place in range(size):
        bit = grown(f"{name} {place}", 1)[0] % 8
        yield f"bit {bit} of byte {place} flipped", flipped(signature, place, bit)
    yield "empty", b""
    yield "of another key", STRANGER.sign(name, signed)
    yield "of another token", GATE.sign(name, signed + b"x")
    yield "of the payload alone", GATE.sign(name, signed.partition(b".")[2])
    yield "of the decoded parts", GATE.sign(name, b"".join(map(_decoded, signed.split(b"."))))
    yield "of nothing", GATE.sign(name, b"")
    for length in (1, 8, 16, size // 2, size - 1):
        yield f"its first {length} bytes", signature[:length]
        yield f"its last {length} bytes", signature[-length:]
    yield "a zero before it", b"\0" + signature
    yield "a zero after it", signature + b"\0"
    yield "twice", signature * 2
    yield "backwards", signature[::-1]
    yield "its halves swapped", signature[size // 2 :] + signature[: size // 2]
    for byte in (0x00, 0x01, 0x7F, 0x80, 0xFF):
        yield f"all {byte:#04x}", bytes([byte]) * size
    yield "in hex", signature.hex().encode()
    yield "in base64 once more", b64(signature)


def _of_its_kind(name: str, signed: bytes) -> Altered:
    match ALGORITHMS[name].family:
        case "HMAC":
            return _hmac(name, signed)
        case "RSA" | "RSA-PSS":
            return rsa.altered(name, signed)
        case "ECDSA":
            return curves.ecdsa(name, signed)
        case "EdDSA":
            return curves.eddsa(signed)


def _hmac(name: str, signed: bytes) -> Altered:
    secret, row = GATE.secret(name), ALGORITHMS[name]
    for other in ("md5", "sha1", "sha256", "sha384", "sha512", "sha3_256"):
        mac = hmac.digest(secret, signed, other)
        if other != row.hash_name:
            yield f"HMAC with {other}", mac
            yield f"HMAC with {other}, cut to length", mac[: row.signature_bytes]
    for title, key in {
        "the empty key": b"",
        "the key's base64": base64.b64encode(secret),
        "the key and a new line": secret + b"\n",
        "half the key": secret[: len(secret) // 2],
        "the token's header as key": signed.partition(b".")[0],
    }.items():
        yield f"HMAC with {title}", hmac.digest(key, signed, row.hash_name)
    yield "a hash of key and message", hashlib.new(row.hash_name, secret + signed).digest()
    yield "a hash of message and key", hashlib.new(row.hash_name, signed + secret).digest()
    yield "a hash of the message", hashlib.new(row.hash_name, signed).digest()


def _altered_contents(name: str, token: bytes) -> Iterator[Vector]:
    """One bit of each byte of header and payload: what comes out may not even be JSON."""
    parts = token.split(b".")
    for index, title in enumerate(("header", "payload")):
        content = _decoded(parts[index])
        for place in range(len(content)):
            bit = grown(f"{name} {title} {place}", 1)[0] % 8
            altered = list(parts)
            altered[index] = b64(flipped(content, place, bit))
            reasons = frozenset({Reason.SIGNATURE, Reason.MALFORMED, Reason.ALGORITHM, Reason.JTI_MISSING})
            yield Vector(name, f"{title}: bit {bit} of byte {place} flipped", b".".join(altered), reasons)
    swapped = [*parts[:2][::-1], parts[2]]
    yield Vector(name, "header and payload swapped", b".".join(swapped), MALFORMED)


def _of_other_algorithms(name: str) -> Iterator[Vector]:
    for other in ALGORITHMS:
        if other != name:
            yield Vector(name, f"a genuine {other} token", genuine(other), ALGORITHM)
            lying = compact({"alg": name}, CLAIMS, signer(other))
            yield Vector(name, f"signed with {other}, named {name}", lying, SIGNATURE)


def _decoded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
