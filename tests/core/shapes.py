"""Strategies: JSON values, claims of odd types, and tokens bent in every way that an attacker might try."""

import json
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.vectors.keys import GATE, STRANGER
from tests.vectors.vector import CLAIMS, b64, flipped

UNHURRIED: Final = settings(suppress_health_check=[HealthCheck.too_slow])
"""For what draws whole tokens: how long that takes says how busy the machine is, and nothing about the gate."""

TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
NUMBERS: Final = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -0.0, 1e300, 253402300799, 253402300800, 1900000000.5, 10**400, 4102444800]),
)
SCALARS: Final = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)
_FLAT: Final = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(TEXT, SCALARS, max_size=2))
JSON: Final = st.one_of(_FLAT, st.lists(_FLAT, max_size=3), st.dictionaries(TEXT, _FLAT, max_size=2))
"""Three levels at most: `st.recursive` goes further and takes so long that a busy machine would fail its tests."""
OBJECTS: Final = st.dictionaries(TEXT, JSON, max_size=3)

REGISTERED: Final = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "azp", "client_id", "uid", "scope")
HEADER_NAMES: Final = (
    "typ",
    "cty",
    "kid",
    "jku",
    "jwk",
    "x5u",
    "x5c",
    "x5t",
    "x5t#S256",
    "crit",
    "b64",
    "zip",
    "enc",
    "alg",
)

_ODD: Final = ["JWT", "user_123", "", " ", "a,b", "none", "4102444800", ["a", "b"], [], {}, {"a": 1}, True, False, None]
_DATES: Final = [1, 7, 1.5, 1700000000, 1700000000.5, 4102444800, 4102444800.5, -1, 10**40, [4102444800]]
_USUAL: Final = st.sampled_from([*_ODD, *_DATES])


def claims() -> st.SearchStrategy[dict[str, Any]]:
    """The usual claims, some of them replaced, removed or joined by others."""
    values = st.one_of(_USUAL, JSON)
    changed = st.dictionaries(st.sampled_from(REGISTERED), values, max_size=3)
    removed = st.sets(st.sampled_from(REGISTERED), max_size=3)
    return st.builds(_changed, st.just(CLAIMS), changed, removed, st.one_of(st.just({}), OBJECTS))


def headers(algorithm: str) -> st.SearchStrategy[dict[str, Any]]:
    """The usual header, likewise."""
    changed = st.dictionaries(st.sampled_from(HEADER_NAMES), st.one_of(_USUAL, JSON), max_size=2)
    usual = {"alg": algorithm, "typ": "JWT"}
    removed = st.sets(st.sampled_from(("typ", "alg")), max_size=1)
    return st.builds(
        _changed, st.just(usual), st.one_of(st.just({}), changed), removed, st.one_of(st.just({}), OBJECTS)
    )


def written() -> st.SearchStrategy[Callable[[object], bytes]]:
    """Ways to write JSON: compact or not, escaped or not."""
    return st.builds(_writer, st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]), st.booleans())


@st.composite
def tokens(draw: st.DrawFn, algorithm: str) -> bytes:
    """Tokens that are genuine, nearly genuine, or neither."""
    token = draw(whole_tokens(algorithm))
    bend = draw(st.one_of(st.none(), st.sampled_from(_BENDS)))
    return token if bend is None else bend(token, draw(whole_tokens(algorithm)), draw(st.integers(0, 2**16)))


@st.composite
def whole_tokens(draw: st.DrawFn, algorithm: str) -> bytes:
    """Tokens that are signed as they stand, by the gate's issuer or a stranger."""
    header, payload = draw(written())(draw(headers(algorithm))), draw(written())(draw(claims()))
    signing_input = b64(header) + b"." + b64(payload)
    party = draw(st.sampled_from([GATE, GATE, GATE, GATE, STRANGER]))
    return signing_input + b"." + b64(party.sign(algorithm, signing_input))


def _changed(
    usual: dict[str, Any], changed: dict[str, Any], removed: set[str], joined: dict[str, Any]
) -> dict[str, Any]:
    return {name: value for name, value in (joined | usual | changed).items() if name not in removed}


def _writer(separators: tuple[str, str], ascii_only: bool) -> Callable[[object], bytes]:  # noqa: FBT001 - drawn
    return lambda value: json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode()


Bend = Callable[[bytes, bytes, int], bytes]


def _flip(token: bytes, _other: bytes, place: int) -> bytes:
    return flipped(token, place % len(token), place // len(token) % 8)


def _cut(token: bytes, _other: bytes, place: int) -> bytes:
    return token[: -(place % 12) or None]


def _insert(token: bytes, _other: bytes, place: int) -> bytes:
    at = place % (len(token) + 1)
    return token[:at] + (b"=", b"\n", b" ", b".", b"A", b"==", b"+", b"%2e", b"\xff")[place % 9] + token[at:]


def _splice(token: bytes, other: bytes, place: int) -> bytes:
    mine, theirs = token.split(b"."), other.split(b".")
    return b".".join(theirs[part] if place >> part & 1 else mine[part] for part in range(3))


def _to_standard(token: bytes, _other: bytes, _place: int) -> bytes:
    return token.replace(b"-", b"+").replace(b"_", b"/")


def _padded(token: bytes, _other: bytes, place: int) -> bytes:
    parts = token.split(b".")
    part = place % 3
    parts[part] += b"=" * (-len(parts[part]) % 4)
    return b".".join(parts)


def _loosened(token: bytes, _other: bytes, place: int) -> bytes:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.find(token[-1:])
    return token[:-1] + alphabet[(last ^ 1 << place % 4) % 64 :][:1]


_BENDS: Final[list[Bend]] = [_flip, _cut, _insert, _splice, _to_standard, _padded, _loosened]
