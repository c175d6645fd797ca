"""One token that no gate may admit, and the reasons that it may be refused for."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.core.decision import Reason
from tests.vectors.keys import GATE, Party

CLAIMS: Final[dict[str, Any]] = {
    "iss": "https://auth.example.com",
    "sub": "user_123",
    "aud": ["https://api.example.com"],
    "exp": 4102444800,
    "iat": 1700000000,
    "jti": "api_key_abc123",
    "tier": "PREMIUM",
}
"""What the tokens say: real claims, with 1 January 2100 as `exp`."""

NOW: Final = 1800000000.0
"""When they are judged, in seconds since the epoch."""

ANY_ALGORITHM: Final = "HS256"
"""The gate of the tokens whose defect has nothing to do with the algorithm."""

SIGNATURE: Final = frozenset({Reason.SIGNATURE})
MALFORMED: Final = frozenset({Reason.MALFORMED})
ALGORITHM: Final = frozenset({Reason.ALGORITHM})

Sign = Callable[[bytes], bytes]
Altered = Iterator[tuple[str, bytes]]
"""Signatures that are wrong, each with what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Vector:
    """`algorithm` is the gate's: it holds the key of `GATE` for that one, and for no other."""

    algorithm: str
    name: str
    token: bytes
    reasons: frozenset[Reason]


def b64(data: bytes) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def encoded(value: object) -> bytes:
    """Compact JSON, or the bytes given in its place."""
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def compact(header: object, payload: object, sign: Sign) -> bytes:
    """A token of these two JSON values, or of these bytes in their place."""
    signing_input = b64(encoded(header)) + b"." + b64(encoded(payload))
    return signing_input + b"." + b64(sign(signing_input))


def signer(algorithm: str = ANY_ALGORITHM, *, party: Party = GATE) -> Sign:
    """The gate's own issuer, or somebody else."""
    return lambda signed: party.sign(algorithm, signed)


def genuine(algorithm: str = ANY_ALGORITHM, **claims: object) -> bytes:
    """A token that the gate of this algorithm admits."""
    return compact({"alg": algorithm, "typ": "JWT"}, CLAIMS | claims, signer(algorithm))


def flipped(data: bytes, place: int, bit: int) -> bytes:
    """The same bytes but for one bit."""
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
