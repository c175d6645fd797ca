"""Tokens for the table: written by hand, so that no library stands between a row and its bytes."""

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Mapping
from typing import Any, Final

SECRET: Final = hashlib.sha256(b"the table of Sluicegate").digest()
NOW: Final = 1_800_000_000
"""What every clock of the table shows, in seconds since the epoch."""

ISSUED: Final = NOW - 3600
EXPIRES: Final = 4_102_444_800  # far ahead, so that a shape whose clock is the real one agrees

CLAIMS: Final[Mapping[str, Any]] = {
    "iss": "https://auth.example.com",
    "sub": "alice",
    "aud": ["https://api.example.com"],
    "iat": ISSUED,
    "exp": EXPIRES,
    "jti": "key-1",
    "tier": "FREE",
    "scope": "read write",
}


class Absent:
    """In place of a claim's value: the claim is not there at all."""

    def __repr__(self) -> str:
        """Name it alike in every process: tests are named after their parameters."""
        return "ABSENT"


ABSENT: Final = Absent()


def mint(*, header: Mapping[str, Any] | None = None, secret: bytes = SECRET, **claims: Any) -> str:  # noqa: ANN401 - any JSON
    """Sign the usual claims, changed as given, with HS256."""
    chosen = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ABSENT}
    return sign({"alg": "HS256", "typ": "JWT", **(header or {})}, chosen, secret=secret)


def sign(header: Mapping[str, Any], claims: Any, *, secret: bytes = SECRET) -> str:  # noqa: ANN401 - any JSON
    """Sign any header and payload with HMAC-SHA-256, whatever the header says."""
    return seal(f"{part(header)}.{part(claims)}", secret=secret)


def seal(signing_input: str, *, secret: bytes = SECRET) -> str:
    """Put the signature to a text."""
    return f"{signing_input}.{base64url(hmac.digest(secret, signing_input.encode(), 'sha256'))}"


def part(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Write one part of a token. A text stands for its own bytes: what no encoder would write."""
    return base64url((value if isinstance(value, str) else json.dumps(value)).encode())


def base64url(data: bytes) -> str:
    """Encode without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(**claims: Any) -> str:  # noqa: ANN401 - any JSON
    """Write the usual claims, changed as given, under `alg: none`."""
    return f"{part({'alg': 'none'})}.{part({**CLAIMS, **claims})}."


def forged(**claims: Any) -> str:  # noqa: ANN401 - any JSON
    """Sign the usual claims, changed as given, with a secret that is not the gate's."""
    return mint(secret=b"somebody else's secret, as long as it must be", **claims)


def padded_to(length: int) -> str:
    """Sign a genuine token of exactly this many bytes."""
    lengthened = ("x" * size for size in itertools.count(length * 3 // 4 - 400))
    # base64 skips a length in four: the header, which is encoded apart, makes up for it
    tokens = (mint(header={"typ": "JWT" + more}, note=note) for note in lengthened for more in ("", "+", "++"))
    shorter = itertools.dropwhile(lambda token: len(token) < length, tokens)
    return next(token for token in shorter if len(token) == length)


def digest(token: str) -> str:
    """Return the SHA-256 of a token in hex, as the store names it."""
    return hashlib.sha256(token.encode()).hexdigest()
