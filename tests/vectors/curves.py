"""ECDSA and Ed25519 signatures that are wrong (RFC 7518, 3.4; RFC 8032, 5.1.7)."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sluicegate.core.algorithms import ALGORITHMS
from tests.vectors.keys import GATE, HASHES
from tests.vectors.vector import SIGNATURE, Altered, Vector, b64, genuine

ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
ED25519_PRIME: Final = 2**255 - 19
# y of the points whose order divides 8, as they are encoded, and in encodings that RFC 8032 forbids.
SMALL_ORDER: Final = (
    *(y.to_bytes(32, "little") for y in (0, 1, ED25519_PRIME - 1, ED25519_PRIME, ED25519_PRIME + 1)),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
)


def vectors(name: str) -> Iterator[Vector]:
    """A right ECDSA signature whose r begins with a zero byte, written shorter."""
    half = ALGORITHMS[name].signature_bytes // 2
    for attempt in range(5000):
        signing_input, _, encoded = genuine(name, jti=f"n{attempt}").rpartition(b".")
        signature = base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
        if signature[0] == 0:
            for title, short in {
                "r without its leading zero": signature[1:],
                "r with its leading zero at its end": signature[1:half] + b"\0" + signature[half:],
            }.items():
                yield Vector(name, f"signature: {title}", signing_input + b"." + b64(short), SIGNATURE)
            return


def ecdsa(name: str, signed: bytes) -> Altered:
    row = ALGORITHMS[name]
    half, n = row.signature_bytes // 2, row.order
    r, s = GATE.raw_ecdsa(name, signed)

    def raw(first: int, second: int, *, width: int = half) -> bytes:
        return first.to_bytes(width) + second.to_bytes(width)

    der = encode_dss_signature(r, s)
    yield "in DER", der
    yield "in DER, filled up to length", der.ljust(row.signature_bytes, b"\0")[: row.signature_bytes]
    limit = 1 << 8 * half
    for title, number in {"0": 0, "1": 1, "n - 1": n - 1, "n": n, "n + 1": n + 1, "the largest": limit - 1}.items():
        yield f"r is {title}", raw(number, s)
        yield f"s is {title}", raw(r, number)
        yield f"r and s are {title}", raw(number, number)
    yield "r + n", raw(r + n, s, width=half if r + n < limit else half + 1)
    yield "s + n", raw(r, s + n, width=half if s + n < limit else half + 1)
    yield "n - r", raw(n - r, s)
    yield "n - r and n - s", raw(n - r, n - s)
    yield "s and r", raw(s, r)
    for width in (half + 1, half + 16, half * 2):
        yield f"r and s of {width} bytes", raw(r, s, width=width)
    yield "a zero before r only", b"\0" + raw(r, s)
    yield "a zero before s only", raw(r, s)[:half] + b"\0" + raw(r, s)[half:]
    for other in HASHES:
        if other != row.hash_name:
            yield f"over a {other}", raw(*GATE.raw_ecdsa(name, signed, hash_name=other))
    # r = -e / d sends the verifier to the point at infinity, which has no x to compare with
    hashed = int.from_bytes(hashlib.new(row.hash_name, signed).digest()) >> max(
        0, 8 * HASHES[row.hash_name].digest_size - n.bit_length()
    )
    scalar = GATE.curve_key(name).private_numbers().private_value
    yield "of the point at infinity", raw(-hashed * pow(scalar, -1, n) % n, 12345)


def eddsa(signed: bytes) -> Altered:
    signature = GATE.sign("EdDSA", signed)
    point, s = signature[:32], int.from_bytes(signature[32:], "little")
    for times in range(1, 1 + (2**256 - 1 - s) // ED25519_ORDER):
        yield f"S + {times} L", point + (s + times * ED25519_ORDER).to_bytes(32, "little")
    for title, number in {
        "0": 0,
        "1": 1,
        "L - S": ED25519_ORDER - s,
        "L": ED25519_ORDER,
        "L - 1": ED25519_ORDER - 1,
    }.items():
        yield f"S is {title}", point + number.to_bytes(32, "little")
    for number, small in enumerate(SMALL_ORDER):
        for sign in (0, 0x80):
            encoded = small[:31] + bytes([small[31] | sign])
            yield f"R of small order {number}, sign {sign >> 7}, S is 0", encoded + bytes(32)
            yield f"R of small order {number}, sign {sign >> 7}", encoded + signature[32:]
    yield "R with its sign turned", point[:31] + bytes([point[31] ^ 0x80]) + signature[32:]
    yield "R that is no point", b"\x02" + bytes(31) + signature[32:]
    yield "R and S in big-endian order", point[::-1] + signature[:31:-1]
    yield (
        "of the SHA-512 of the message (Ed25519ph without its prefix)",
        GATE.sign("EdDSA", hashlib.sha512(signed).digest()),
    )
    context = b"SigEd25519 no Ed25519 collisions\x00\x00"
    yield "with the prefix of Ed25519ctx", GATE.sign("EdDSA", context + signed)
