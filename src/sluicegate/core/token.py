"""Reads a token without trusting it: the compact form, its header and its claims (RFC 7515, 7.1; RFC 7519).

Strict where libraries differ: exactly two dots, base64url without padding or loose bits, objects without
duplicate names, bounded depth. Whatever a verifier behind us might read in another way is malformed here.
"""

import base64
import binascii
import functools
import hashlib
import json
import re
from typing import Any, Never

import msgspec

from sluicegate.core.algorithms import ALGORITHMS

MAX_TOKEN_BYTES = 8192
MAX_KID_BYTES = 256
MAX_DEPTH = 32

_SHORTEST = 5  # `e30.e30.` less its empty parts: nothing shorter can hold two objects
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = {0: b"", 2: b"==", 3: b"="}
_LAST = {0: None, 2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
# Possessive, and content with a string that never ends, so that one pass is enough: 6 KiB of escaped quotes, which
# anybody may send, took 0.1 s with a pattern that gives back what it took.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_MEMBERS: dict[str, type] = dict.fromkeys(("typ", "cty", "kid", "jku", "x5u", "x5t", "x5t#S256"), str) | {
    "jwk": dict,
    "x5c": list,
}
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class MalformedToken(ValueError):  # noqa: N818 - names what it is; stays inside the core
    """The text is not a JSON Web Signature in compact form that the gate reads."""


class Header(msgspec.Struct, frozen=True):
    """The two members of a JOSE header that the gate uses. `kid` is only ever a dictionary key."""

    alg: str
    kid: str | None


class Peeked(msgspec.Struct, frozen=True, gc=False):
    """A token taken apart. Its claims are what somebody wrote, until a verifier has said otherwise."""

    header: Header
    payload: bytes
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes
    digest: bytes

    def __repr__(self) -> str:
        """Show the digest only: it names the token without opening anything."""
        return f"<Peeked {self.digest.hex()[:16]}>"


def digest(token: bytes) -> bytes:
    """Return the SHA-256 of the whole token: its name in caches and in the store."""
    return hashlib.sha256(token).digest()


def peek(token: bytes, fingerprint: bytes) -> Peeked:
    """Take a compact JWS apart.

    Raises `MalformedToken` with a sentence for the log; the sentence holds nothing of the token.
    """
    if not _SHORTEST <= len(token) <= MAX_TOKEN_BYTES:
        _fail("its length is out of bounds")
    if token.count(b".") != 2:  # noqa: PLR2004 - RFC 7515, 7.1: three parts
        _fail("it has not exactly two dots")
    signing_input, _, signature = token.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    text = base64url(payload)
    return Peeked(_header(header), text, _object(text), signing_input, base64url(signature), fingerprint)


def twin(peeked: Peeked) -> bytes | None:
    """Return the SHA-256 of an ECDSA token's other spelling; None where there is only one.

    Wherever (r, s) is a signature, (r, n - s) is one too, and anybody can reckon it. A token that is revoked by its
    SHA-256 would otherwise open again, written the other way.
    """
    row = ALGORITHMS.get(peeked.header.alg)
    if row is None or not row.order or len(peeked.signature) != row.signature_bytes:
        return None
    half = row.signature_bytes // 2
    s = int.from_bytes(peeked.signature[half:])
    if not 0 < s < row.order:
        return None
    signature = peeked.signature[:half] + (row.order - s).to_bytes(half)
    return digest(peeked.signing_input + b"." + base64.urlsafe_b64encode(signature).rstrip(b"="))


def base64url(part: bytes) -> bytes:
    """Decode base64url as RFC 7515 (2) has it: no padding, no white space, no loose bits at the end.

    Raises `MalformedToken`.
    """
    tail = len(part) % 4
    if tail == 1:
        _fail("a part has a length that base64url cannot have")
    last = _LAST[tail]
    if last is not None and part[-1] not in last:
        _fail("a part ends in loose bits")
    try:
        return binascii.a2b_base64(part.translate(_TO_STANDARD) + _PADDING[tail], strict_mode=True)
    except binascii.Error:
        _fail("a part is not base64url")


# A deployment sees a handful of headers and millions of tokens. Only headers that can be read are kept.
@functools.lru_cache(maxsize=512)
def _header(part: bytes) -> Header:
    fields = _object(base64url(part))
    alg, kid = fields.get("alg"), fields.get("kid")
    if not isinstance(alg, str):
        _fail("its header names no algorithm")
    for name, kind in _MEMBERS.items():
        if not isinstance(fields.get(name, kind()), kind):
            _fail(f"its header's {name} is of a wrong type")
    # RFC 7515, 4.1.11: an extension that is critical and not understood ends it; b64 (RFC 7797) and zip change
    # what was signed, enc means JWE. jwk, jku, x5u and x5c are not read: keys come from the operator only.
    for name in ("crit", "b64", "zip", "enc"):
        if name in fields:
            _fail(f"its header carries {name}")
    if kid is not None and len(kid.encode(errors="replace")) > MAX_KID_BYTES:
        _fail("its kid is too long")
    return Header(alg, kid)


def _object(text: bytes) -> dict[str, Any]:
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        _fail("its JSON is nested too deeply")
    try:
        fields = _decode(text)
        # What encodes back to the same bytes has no duplicate names. The rest is read again by a parser that
        # shows each pair: parsers differ on which of two equal names counts.
        if _encode(fields) != text:
            json.loads(text, object_pairs_hook=_without_duplicates)
    except MalformedToken:
        raise
    except (msgspec.DecodeError, ValueError, RecursionError):
        _fail("a part is not a JSON object")
    return fields


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        _fail("an object has two members of one name")
    return fields


def _depth(text: bytes) -> int:
    deepest = depth = 0
    for byte in _STRINGS.sub(b"", text).translate(None, _NO_BRACKETS):
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _fail(problem: str) -> Never:
    raise MalformedToken(problem)
