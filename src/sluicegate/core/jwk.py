"""A JSON Web Key Set, as its issuer publishes it, made into keys (RFC 7517; RFC 7518, 6; RFC 8037, 2).

Whoever reads the document can read it whole, so a secret or a private key in it is no key any more. A key that cannot
be used is left out and the others count; one that ought not to be there, or is unsafe, is warned about besides.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Never, cast

import msgspec

from sluicegate.core.algorithms import ALGORITHMS, Algorithm
from sluicegate.core.keys import EcPoint, Key, Material, RsaNumbers, from_numbers
from sluicegate.core.token import MAX_KID_BYTES, Header, MalformedToken, base64url
from sluicegate.errors import KeyFault

MAX_DOCUMENT_BYTES: Final = 1 << 20
MAX_KEYS: Final = 100
MAX_TRIED: Final = 4
"""Keys that are tried on a token that names none: each costs a signature check, and anybody may send one."""

_MAX_NUMBER_CHARACTERS: Final = 4096  # base64url of 24,576 bits; RSA ends at 16,384
_SHOWN_CHARACTERS: Final = 64
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES: Final = {"P-256": ("secp256r1", 32), "P-384": ("secp384r1", 48), "P-521": ("secp521r1", 66)}
_REMEDY: Final = "have its issuer replace it"


class InvalidKeySet(ValueError):  # noqa: N818 - names what it is; stays inside the core
    """A document that is no key set, or in which nothing could verify a token. The sentence is for the log."""


class KeySet(msgspec.Struct, frozen=True):
    """The usable keys of one document. `warnings` are sentences for the operator.

    What follows is reckoned once: `named` finds the one key of a `kid` and an algorithm, `fitting` those of an
    algorithm, in the document's order.
    """

    keys: tuple[Key, ...]
    warnings: tuple[str, ...] = ()
    named: Mapping[tuple[str, str], Key] = {}
    fitting: Mapping[str, tuple[Key, ...]] = {}

    def __post_init__(self) -> None:
        """Reckon it."""
        named = {(key.kid, name): key for key in self.keys if key.kid is not None for name in key.checks}
        names = {name for key in self.keys for name in key.checks}
        fitting = {name: tuple(key for key in self.keys if name in key.checks) for name in names}
        msgspec.structs.force_setattr(self, "named", named)
        msgspec.structs.force_setattr(self, "fitting", fitting)

    def candidates(self, header: Header) -> tuple[Key, ...]:
        """Return the keys that may have signed a token with this header: one at most where it names a `kid`.

        Without one, the first four that fit its algorithm: an issuer that publishes several has to name the key
        (OpenID Connect Core, 10.1), and most that do not publish one or two.
        """
        if header.kid:
            key = self.named.get((header.kid, header.alg))
            return () if key is None else (key,)
        return self.fitting.get(header.alg, ())[:MAX_TRIED]

    def keeping(self, earlier: "KeySet") -> "KeySet":
        """Return this set with the key objects of an earlier one wherever nothing about the key has changed."""
        held = {_identity(key): key for key in earlier.keys}
        return KeySet(tuple(held.get(_identity(key), key) for key in self.keys), self.warnings)


def _identity(key: Key) -> tuple[str | None, str, frozenset[str]]:
    return key.kid, key.thumbprint, frozenset(key.checks)


def parse(document: bytes, algorithms: Iterable[str]) -> KeySet:
    """Read a JWK Set. Its keys verify these algorithms, as far as their type, curve and `alg` allow, and no others.

    Raises `InvalidKeySet` for what is no key set of at most 1 MiB and 100 keys, or holds no key that could be used.
    """
    allowed = tuple(ALGORITHMS[name] for name in algorithms)
    items = _items(document)
    found: dict[tuple[str | None, str], Key] = {}
    warnings: list[str] = []
    for number, item in enumerate(items, start=1):
        try:
            key = _read(item, allowed)
        except KeyFault as fault:
            warnings.append(f"{_name(item, number)} {fault.problem}: left out")
            continue
        if key is not None:
            # listed once for each of its algorithms, as some do, it is still one key
            twin = found.get((key.kid, key.thumbprint))
            checks = key.checks if twin is None else twin.checks | key.checks
            found[key.kid, key.thumbprint] = msgspec.structs.replace(key, checks=checks)
    keys = _without_ambiguous(tuple(found.values()), warnings)
    if not keys:
        _fail(
            f"none of its {len(items)} keys can verify {', '.join(algorithm.name for algorithm in allowed)}"
            + "".join(f"; {warning}" for warning in warnings[:MAX_TRIED])
        )
    return KeySet(keys, tuple(warnings))


def members(document: bytes) -> dict[str, Any]:
    """Read a JSON object of at most 1 MiB, whatever type its server gave it.

    Raises `InvalidKeySet`, also for members of one name: parsers differ on which of them counts (RFC 7517, 4).
    """
    if len(document) > MAX_DOCUMENT_BYTES:
        _fail("it is longer than 1 MiB")
    try:
        fields = json.loads(document.decode("utf-8-sig"), object_pairs_hook=_distinct, parse_constant=_no_constant)
    except InvalidKeySet:
        raise
    except (ValueError, RecursionError):
        _fail("it is not JSON")
    if not isinstance(fields, dict):
        _fail("it is not a JSON object")
    return cast("dict[str, Any]", fields)


def _items(document: bytes) -> list[Any]:
    items = members(document).get("keys")
    if not isinstance(items, list):
        _fail('it has no "keys", so it is no JWK Set (RFC 7517, 5)')
    if len(items) > MAX_KEYS:
        _fail(f"it has {len(items)} keys, and more than {MAX_KEYS} are no issuer's")
    return items


def _read(jwk: object, allowed: Iterable[Algorithm]) -> Key | None:
    """Return a key, or None for one that is none of ours: of another type, or for another purpose.

    Raises `KeyFault` for one that an operator should know of.
    """
    if not isinstance(jwk, dict):
        raise KeyFault("is no JSON object", _REMEDY)
    kty, kid = _text(jwk, "kty"), _text(jwk, "kid") or None
    if not _PRIVATE.isdisjoint(jwk):
        raise KeyFault("is private or secret and stands where everybody can read it", _REMEDY)
    if kid is not None and len(kid.encode(errors="replace")) > MAX_KID_BYTES:
        raise KeyFault(f"has a kid of more than {MAX_KID_BYTES} bytes", _REMEDY)
    if not _verifies(jwk):
        return None
    material = _material(jwk, kty)
    alg = _text(jwk, "alg")
    own = [one for one in allowed if alg in {"", one.name} and _fits(one, material)]
    if material is None or not own:
        return None
    return msgspec.structs.replace(from_numbers(material, own), kid=kid, thumbprint=_thumbprint(material))


def _verifies(jwk: Mapping[str, Any]) -> bool:
    """Tell whether `use` and `key_ops`, where they stand, both let the key verify (RFC 7517, 4.2 and 4.3)."""
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or len(set(map(str, operations))) != len(operations):
        raise KeyFault("has key_ops that are no list of different operations", _REMEDY)
    return _text(jwk, "use") in {"", "sig"} and "verify" in operations


def _material(jwk: Mapping[str, Any], kty: str) -> Material | None:
    """Return the numbers of a key; None for a type or curve that no algorithm here uses (RFC 7517, 5: ignored)."""
    curve = "" if kty == "RSA" else _text(jwk, "crv")
    match kty:
        case "RSA":
            return RsaNumbers(int.from_bytes(_octets(jwk, "n")), int.from_bytes(_octets(jwk, "e")))
        case "EC" if curve in _CURVES:
            name, size = _CURVES[curve]
            return EcPoint(name, int.from_bytes(_octets(jwk, "x", size)), int.from_bytes(_octets(jwk, "y", size)))
        case "OKP" if curve == "Ed25519":
            return _octets(jwk, "x", 32)
        case _:
            return None


def _fits(algorithm: Algorithm, material: Material | None) -> bool:
    match material:
        case RsaNumbers():
            return algorithm.family in {"RSA", "RSA-PSS"}
        case EcPoint(curve=curve):
            return algorithm.curve == curve
        case bytes():
            return algorithm.family == "EdDSA"
        case _:
            return False


def _thumbprint(material: Material) -> str:
    """Return the JWK thumbprint (RFC 7638, 3), from the numbers: a leading zero makes no other key."""
    match material:
        case RsaNumbers(modulus, exponent):
            parts = {"e": _unsigned(exponent), "kty": "RSA", "n": _unsigned(modulus)}
        case EcPoint(curve, x, y):
            crv, size = next((crv, size) for crv, (name, size) in _CURVES.items() if name == curve)
            parts = {"crv": crv, "kty": "EC", "x": _encode(x.to_bytes(size)), "y": _encode(y.to_bytes(size))}
        case _:
            parts = {"crv": "Ed25519", "kty": "OKP", "x": _encode(material)}
    return _encode(hashlib.sha256(msgspec.json.encode(parts)).digest())


def _without_ambiguous(keys: tuple[Key, ...], warnings: list[str]) -> tuple[Key, ...]:
    """Leave out every key whose `kid` and algorithm name another key too.

    Different types under one `kid` are allowed (RFC 7517, 4.5): the algorithm tells them apart. Two of one type are
    not: which of them counts would be chance. The rest of the document stands, so that one slip of the issuer stops
    the tokens of that `kid` and no others.
    """
    first: dict[tuple[str, str], Key] = {}
    doubtful: set[str] = set()
    for key in keys:
        if key.kid is not None and any(first.setdefault((key.kid, name), key) is not key for name in key.checks):
            doubtful.add(key.kid)
    warnings.extend(f"the kid {_shown(kid)} names two different keys: both left out" for kid in sorted(doubtful))
    return tuple(key for key in keys if key.kid not in doubtful)


def _text(jwk: Mapping[str, Any], name: str) -> str:
    value = jwk.get(name, "")
    if not isinstance(value, str):
        raise KeyFault(f"has a {name} that is no string", _REMEDY)
    return value


def _octets(jwk: Mapping[str, Any], name: str, size: int | None = None) -> bytes:
    text = _text(jwk, name)
    try:
        octets = base64url(text.encode(errors="replace")) if len(text) <= _MAX_NUMBER_CHARACTERS else b""
    except MalformedToken:
        octets = b""
    if not octets or size not in {None, len(octets)}:
        raise KeyFault(f"has no {name} as RFC 7518 (6) asks for", _REMEDY)
    return octets


def _unsigned(number: int) -> str:
    return _encode(number.to_bytes((number.bit_length() + 7) // 8))


def _encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _name(item: object, number: int) -> str:
    kid = item.get("kid") if isinstance(item, dict) else None
    return f"key {number}" + (f" (kid {_shown(kid)})" if isinstance(kid, str) else "")


def _shown(kid: str) -> str:
    return ascii(kid[:_SHOWN_CHARACTERS])


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        _fail("an object in it has two members of one name")
    return fields


def _no_constant(name: str) -> Never:
    _fail(f"it holds {name}, which is not JSON")


def _fail(problem: str) -> Never:
    raise InvalidKeySet(problem)
