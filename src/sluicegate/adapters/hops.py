"""The hops that `Forwarded` tells of (RFC 7239): read from those who are believed, and written for upstreams. Pure.

What is read is all or nothing: of a field in which one element is broken, nobody could say where the others end.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from sluicegate.adapters.forwarded import Fields, client_address

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR: Final = rb"(" + _TOKEN + rb")=(?:(" + _TOKEN + rb')|"((?:[^"\\\x00-\x1f\x7f]|\\[\x21-\x7e])*)")'
_READ_PAIR: Final = re.compile(_PAIR)
_ELEMENT: Final = rb"(?:" + _PAIR + rb"(?:;" + _PAIR + rb")*)?"
# Possessive: of spaces before nothing, each could else be before it or behind it, and all of that would be tried.
_READ_ELEMENT: Final = re.compile(rb"[ \t]*+(" + _ELEMENT + rb")[ \t]*+(?:,|$)")
_ESCAPED: Final = re.compile(rb"\\(.)")
_BARE: Final = re.compile(_TOKEN)
_HOST: Final = re.compile(rb"[0-9A-Za-z._-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
_SCHEMES: Final = frozenset({b"http", b"https", b"ws", b"wss"})
_MOST: Final = 32

_OVERRULED: Final = (b"x-forwarded", b"x-original-")
_OVERRULED_NAMES: Final = frozenset(
    {b"forwarded", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip", b"x-rewrite-url"}
)


class Hop(msgspec.Struct, frozen=True):
    """What one proxy tells of who asked it, and for what. Empty where it does not say."""

    node: bytes = b""
    """As in `for`: an address, with a port perhaps, IPv6 in brackets; `unknown`; or a name that hides it (`_a1`)."""
    proto: bytes = b""
    host: bytes = b""


def hops(headers: Fields) -> tuple[Hop, ...]:
    """Return what `Forwarded` tells, the farthest hop first; nothing where any of it is broken, or past 32 hops."""
    found: list[Hop] = []
    for name, value in headers:
        if name != b"forwarded":
            continue
        place = 0
        while place < len(value):
            element = _READ_ELEMENT.match(value, place)
            if element is None:
                return ()
            place = element.end()
            if element[1]:
                hop = _hop(element[1])
                if hop is None or len(found) == _MOST:
                    return ()
                found.append(hop)
    return tuple(found)


def told_by(found: Iterable[Hop], headers: Fields) -> Fields:
    """Return the headers with what the hops tell in the fields that upstreams know, and nothing else of that kind.

    Where `Forwarded` is what proxies write, `X-Forwarded-*` and its kin are their client's own.
    """
    kept = [field for field in headers if not _is_overruled(field[0])]
    chain = list(found)
    if chain:
        kept.append((b"x-forwarded-for", b", ".join(hop.node or b"unknown" for hop in chain)))
        last = chain[-1]
        kept += [
            (name, value)
            for name, value in ((b"x-forwarded-proto", last.proto), (b"x-forwarded-host", last.host))
            if value
        ]
    return kept


def client_by(trusted: Callable[[str], bool], *, reads_forwarded: bool) -> Callable[[str, Fields], str]:
    """Return what finds the client by the word of trusted proxies: by `X-Forwarded-For`, or by `Forwarded`."""
    if reads_forwarded:
        return lambda peer, headers: client_address(peer, told_by(hops(headers), headers), trusted)
    return lambda peer, headers: client_address(peer, headers, trusted)


def scheme_by(*, reads_forwarded: bool) -> Callable[[Fields], bytes]:
    """Return what finds the scheme that the nearest proxy was asked with, by its own word; empty where it says none.

    What comes before its last word is hearsay.
    """

    def scheme(headers: Fields) -> bytes:
        if reads_forwarded:
            found = hops(headers)
            return found[-1].proto if found else b""
        words = [value for name, value in headers if name == b"x-forwarded-proto"]
        return words[-1].rpartition(b",")[2].strip(b" \t").lower() if words else b""

    return scheme


def written(found: Iterable[Hop], *, peer: str, scheme: str, host: bytes) -> bytes:
    """Write `Forwarded` for an upstream: what was told, and our own hop behind it."""
    node = f"[{peer}]" if ":" in peer else peer or "unknown"
    own = Hop(node.encode(), scheme.encode(), host)
    return b", ".join(said for hop in (*found, own) if (said := _written(hop)))


def _hop(element: bytes) -> Hop | None:
    """Read an element; None for one that says a thing twice (RFC 7239, 4) or what cannot be."""
    said: dict[bytes, bytes] = {}
    for pair in _READ_PAIR.finditer(element):
        name = pair[1].lower()
        if name in said:
            return None
        said[name] = pair[2] if pair[2] is not None else _ESCAPED.sub(rb"\1", pair[3])
    proto, host = said.get(b"proto", b"").lower(), said.get(b"host", b"")
    if (proto and proto not in _SCHEMES) or (host and _HOST.fullmatch(host) is None):
        return None
    node = said.get(b"for", b"")
    return None if b"," in node or b" " in node else Hop(node, proto, host)


def _written(hop: Hop) -> bytes:
    pairs = ((b"for", hop.node), (b"proto", hop.proto), (b"host", hop.host))
    return b";".join(b"%b=%b" % (name, _quoted(value)) for name, value in pairs if value)


def _quoted(value: bytes) -> bytes:
    if _BARE.fullmatch(value) is not None:
        return value
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _is_overruled(name: bytes) -> bool:
    lower = name.lower()
    return lower in _OVERRULED_NAMES or lower.startswith(_OVERRULED)
