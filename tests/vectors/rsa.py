"""RSA signatures that are wrong: encoded messages that RFC 8017 does not allow, and numbers that are no signature."""

import base64
import hashlib
import itertools
from collections.abc import Iterator
from typing import Final

from sluicegate.core.algorithms import ALGORITHMS
from tests.vectors.keys import DIGEST_INFO, GATE, HASHES, RSA_BYTES, grown, pkcs1, pss
from tests.vectors.vector import SIGNATURE, Altered, Vector, b64, flipped, genuine

_SALT_MAX: Final = RSA_BYTES - 2
# Tokens whose signature begins with a zero byte; every 256th does, and looking for one takes seconds.
_LEADING_ZERO: Final = {"RS256": "k383", "PS256": "k24"}


def altered(name: str, signed: bytes) -> Altered:
    """Wrong signatures of this text."""
    of_its_padding = _pkcs1 if ALGORITHMS[name].family == "RSA" else _pss
    return itertools.chain(of_its_padding(name, signed), _numbers(name, signed))


def vectors(name: str) -> Iterator[Vector]:
    """Right signatures of another length: as numbers they are the same."""
    modulus = GATE.rsa_key().public_key().public_numbers().n
    for attempt in range(100):
        signing_input, _, encoded = genuine(name, jti=f"n{attempt}").rpartition(b".")
        number = int.from_bytes(base64.urlsafe_b64decode(encoded + b"=="))
        if number + modulus < 1 << 8 * RSA_BYTES:
            token = signing_input + b"." + b64((number + modulus).to_bytes(RSA_BYTES))
            yield Vector(name, "signature: signature + n, of the right length", token, SIGNATURE)
            break
    if name in _LEADING_ZERO:
        signing_input, _, encoded = genuine(name, jti=_LEADING_ZERO[name]).rpartition(b".")
        signature = base64.urlsafe_b64decode(encoded + b"==")
        assert signature[0] == 0
        token = signing_input + b"." + b64(signature[1:])
        yield Vector(name, "signature: its leading zero left out", token, SIGNATURE)


def _pkcs1(name: str, signed: bytes) -> Altered:
    own = ALGORITHMS[name].hash_name
    digest = hashlib.new(own, signed).digest()
    info, right = DIGEST_INFO[own], DIGEST_INFO[own] + digest
    missing_null = bytes([0x30, info[1] - 2, 0x30, info[3] - 2]) + info[4:-4] + info[-2:]
    room = RSA_BYTES - 3 - len(right)
    blocks = {
        "no NULL in the DigestInfo": pkcs1(missing_null + digest),
        "NULL with a content": pkcs1(
            bytes([0x30, info[1] + 1, 0x30, info[3] + 1]) + info[4:-4] + b"\x05\x01\x00" + info[-2:] + digest
        ),
        "lengths in long form": pkcs1(b"\x30\x81" + right[1:]),
        "an indefinite length": pkcs1(b"\x30\x80" + right[2:] + b"\x00\x00"),
        "a SET for a SEQUENCE": pkcs1(b"\x31" + right[1:]),
        "hash without DigestInfo": pkcs1(digest),
        "hash cut short": pkcs1(right[:-1]),
        "hash of another message": pkcs1(info + hashlib.new(own, b"x").digest()),
        "an empty hash": pkcs1(info[:-1] + b"\x00"),
        "a byte after the hash": pkcs1(right + b"\x00"),
        "eight bytes of padding, then garbage after the hash": pkcs1(right + bytes(room - 8), padding=b"\xff" * 8),
        "no padding, then garbage after the hash": pkcs1(right + bytes(room), padding=b""),
        "garbage between padding and separator": pkcs1(right, padding=b"\xff" * 8 + bytes(range(1, room - 7))),
        "block type 0": pkcs1(right, block_type=b"\x00\x00"),
        "block type 2": pkcs1(right, block_type=b"\x00\x02"),
        "block type 2, random padding": pkcs1(
            right, block_type=b"\x00\x02", padding=grown(name, room).replace(b"\0", b"\1")
        ),
        "a first byte that is not zero": pkcs1(right, block_type=b"\x01\x01"),
        "padding of zeros": pkcs1(right, padding=bytes(room)),
        "padding that ends early": pkcs1(right, padding=b"\xff" * (room - 1) + b"\x00"),
        "no separator": b"\x00\x01" + b"\xff" * (room + 1) + right,
        "hash first": b"\x00\x01" + right + b"\x00" + b"\xff" * room,
    }
    for place in (0, 1, room // 2, room - 1):
        filled = b"\xff" * room
        blocks[f"padding byte {place} is 0xfe"] = pkcs1(right, padding=flipped(filled, place, 0))
    for other in (*DIGEST_INFO, "md5"):
        if other != own:
            hashed = hashlib.new(other, signed).digest()
            wrong = DIGEST_INFO.get(other, b"\x30\x20\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00\x04\x10")
            blocks[f"hashed with {other}"] = pkcs1(wrong + hashed)
            blocks[f"hashed with {other}, named {own}"] = pkcs1(info[:-1] + bytes([len(hashed)]) + hashed)
            blocks[f"hashed with {own}, named {other}"] = pkcs1(wrong[:-1] + bytes([len(digest)]) + digest)
    yield from ((title, GATE.raw_rsa(block)) for title, block in blocks.items())
    yield "a PSS signature", GATE.sign(name.replace("RS", "PS"), signed)


def _pss(name: str, signed: bytes) -> Altered:
    own = ALGORITHMS[name].hash_name
    size = HASHES[own].digest_size
    longest = _SALT_MAX - size
    for length in (0, 1, size - 1, size + 1, longest):
        yield f"salt of {length} bytes", GATE.raw_rsa(pss(signed, hash_name=own, salt=grown("salt", length)))
    salt = grown("salt", size)
    for other in ("sha1", *HASHES):
        if other != own:
            yield f"mask with {other}", GATE.raw_rsa(pss(signed, hash_name=own, salt=salt, mask_hash=other))
            yield f"hashed with {other}", GATE.raw_rsa(pss(signed, hash_name=other, salt=grown("salt", size)))
            masked = pss(signed, hash_name=other, salt=salt, mask_hash=own)
            yield f"hashed with {other}, mask with {own}", GATE.raw_rsa(masked)
    for trailer in (b"\x00", b"\xbb", b"\xcc", b"\xff"):
        yield f"trailer {trailer.hex()}", GATE.raw_rsa(pss(signed, hash_name=own, salt=salt, trailer=trailer))
    for separator in (0, 2, 0x81):
        wrong = pss(signed, hash_name=own, salt=salt, separator=separator)
        yield f"separator {separator}", GATE.raw_rsa(wrong)
    right = pss(signed, hash_name=own, salt=salt)
    yield "padding that is not zero", GATE.raw_rsa(flipped(right, 8, 0))
    yield "another salt than the hashed", GATE.raw_rsa(flipped(right, RSA_BYTES - size - 2, 0))
    yield "a PKCS#1 v1.5 signature", GATE.sign(name.replace("PS", "RS"), signed)


def _numbers(name: str, signed: bytes) -> Altered:
    modulus = GATE.rsa_key().public_key().public_numbers().n
    for title, number in {"0": 0, "1": 1, "2": 2, "n - 1": modulus - 1, "n": modulus, "n + 1": modulus + 1}.items():
        yield f"the number {title}", number.to_bytes(RSA_BYTES)
    genuine_number = int.from_bytes(GATE.sign(name, signed))
    yield "n - signature", (modulus - genuine_number).to_bytes(RSA_BYTES)
    yield "signature + n, one byte longer", (genuine_number + modulus).to_bytes(RSA_BYTES + 1)
    yield "the encoded message, not signed", pkcs1(DIGEST_INFO["sha256"] + hashlib.sha256(signed).digest())
