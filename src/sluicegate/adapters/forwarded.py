"""What proxies say about where a request came from, whom to believe, and what must not travel on. Pure."""

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, final

from sluicegate.adapters.render import MANAGED_PREFIX, fold

Fields = Sequence[tuple[bytes, bytes]]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that concern one connection only, in lower case (RFC 9110, 7.6.1; `HTTP2-Settings` is RFC 7540, 3.2.1)."""

UNIX: Final = "unix"
"""Among trusted networks: whoever reaches us through a Unix socket. Never trusted unless named."""

_MAX_HOPS: Final = 32
_MOST_KEPT: Final = 1024
_LONGEST_KEPT: Final = 64  # no field that anybody knows is longer; what an attacker makes up takes no memory

_ENTRY: Final = re.compile(
    rb"\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?|([0-9.]{7,15})(?::[0-9]{1,5})?|([0-9A-Fa-f:.]{2,45})"
)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_SCHEMES: Final = frozenset({b"http", b"https", b"ws", b"wss"})
_NO_OPTIONS: Final = frozenset({b"keep-alive", b"close"})

# Who the client is and what it asked for, as proxies tell each other. An upstream that believes them believes
# whoever wrote them last, so from a peer that is no trusted proxy they are lies.
_TELLING_PREFIXES: Final = (b"x-forwarded", b"x-original-")
_TELLING: Final = frozenset(
    {b"forwarded", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip", b"x-rewrite-url"}
)
# RFC 9110, 7.6.1: what is meant for every recipient is never a connection option. A client that names such a field
# wants somebody behind us to take its absence for something (CVE-2022-1388, CVE-2022-31813).
_END_TO_END_PREFIXES: Final = (b"accept", b"access-control-", b"content-", b"if-", b"sec-", b"x-api-", b"x-auth-")
_END_TO_END: Final = frozenset(
    {
        b"authorization",
        b"cache-control",
        b"cookie",
        b"date",
        b"expect",
        b"host",
        b"idempotency-key",
        b"last-event-id",
        b"origin",
        b"pragma",
        b"range",
        b"referer",
        b"traceparent",
        b"tracestate",
        b"user-agent",
        b"via",
        b"x-csrf-token",
        b"x-request-id",
        b"x-requested-with",
    }
)
# Spelt with `_`, these reach a CGI-like upstream under the name of the real one: a second length, a second framing.
_NEVER_MISSPELT: Final = HOP_BY_HOP | {b"content-length", b"content-type"}

_PASS, _DROP, _MANAGED, _OPTIONS, _TOLD, _CHAIN, _PROTO, _HOST = range(8)
_FATES: Final = {b"x-forwarded-for": _CHAIN, b"x-forwarded-proto": _PROTO, b"x-forwarded-host": _HOST}


def trusts(networks: Iterable[IPv4Network | IPv6Network | str]) -> Callable[[str], bool]:
    """Compile networks, once, into a question: is this peer a trusted proxy.

    Addresses are texts; an IPv4 address mapped into IPv6 is the IPv4 address; a peer on a Unix socket has the empty
    one and is trusted only where `"unix"` is among the networks. No networks: nobody is trusted. Raises `ValueError`
    for a text that is no network.
    """
    given = list(networks)
    ranges = [_unmapped(ip_network(one)) for one in given if one != UNIX]
    local = UNIX in given
    if not given:
        return _nobody

    @functools.lru_cache(maxsize=4096)
    def trusted(peer: str) -> bool:
        address = _read(peer.partition("%")[0])
        return local if not peer else address is not None and any(address in network for network in ranges)

    return trusted


def client_address(peer: str, headers: Fields, trusted: Callable[[str], bool]) -> str:
    """Return who is asking: the rightmost address of `X-Forwarded-For` that is no trusted proxy.

    Believed only when the peer itself is trusted, and only as far as trusted proxies wrote it: what is no address
    ends the walk at the proxy that passed it on. Ports are dropped.
    """
    if not trusted(peer):
        return _plain(peer)
    address = _plain(peer)
    for entry in itertools.islice(_backwards(headers), _MAX_HOPS):
        found = _entry(entry)
        if found is None:
            break
        address = str(found)
        if not trusted(address):
            break
    return address


def managed(name: bytes, extra: frozenset[bytes]) -> bool:
    """Tell whether only the gate may set this header: `X-Auth-User-*`, or one of `extra`, in any spelling.

    `extra` holds the route's `header_up` names, folded. (Caddy GHSA-7r4p-vjf4-gxv4, Traefik CVE-2026-39858.)
    """
    folded = fold(name)
    return folded.startswith(MANAGED_PREFIX.encode()) or folded in extra


def without_managed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that a client may send: all but `X-Auth-User-*` in any spelling."""
    return [field for field in headers if _ANY_ROUTE[field[0]] != _MANAGED]


def upstream_headers(
    headers: Fields,
    *,
    peer: str,
    trusted: bool,
    scheme: str,
    host: bytes,
    extra: frozenset[bytes],
    identity: list[tuple[bytes, bytes]],
) -> list[tuple[bytes, bytes]]:
    """Return what the upstream gets: the client's headers less what ends here, then ours.

    Ends here: hop-by-hop fields and those that `Connection` may name, managed ones, `Forwarded`, and, unless the peer
    is a trusted proxy, whatever else tells of the client (`X-Forwarded-*`, `X-Original-*`, `X-Real-IP`, …). From a
    trusted one this passes, `X-Forwarded-For` with the peer added and `-Proto` and `-Host` as its last words had them.
    `identity` comes last, and wins over any `X-Forwarded-*` of ours that a route sets itself.
    """
    kept: list[tuple[bytes, bytes]] = []
    named: set[bytes] = set()
    told: list[tuple[int, bytes]] = []
    fates = _fates(extra) if extra else _ANY_ROUTE
    if len(dict(headers)) != len(headers):
        headers = _unrepeated(headers)
    for field in headers:
        fate = fates[field[0]]
        if fate == _PASS or (fate == _TOLD and trusted):
            kept.append(field)
        elif fate == _OPTIONS:
            named |= _connection_options(field[1], extra)
        elif fate >= _CHAIN and trusted:
            told.append((fate, field[1]))
    if named:
        kept = [field for field in kept if field[0].lower() not in named]
    chain = [value for fate, value in told if fate == _CHAIN]
    if peer:
        chain.append(_plain(peer).encode())
    kept += [
        (name, value)
        for name, value in (
            (b"X-Forwarded-For", b", ".join(chain)),
            (b"X-Forwarded-Proto", _told_proto(told) or scheme.encode()),
            (b"X-Forwarded-Host", _told_host(told) or host),
        )
        if value and not (extra and fold(name) in extra)
    ]
    kept += identity
    return kept


def _unrepeated(headers: Fields) -> Fields:
    """Join cookies into one field, and leave out `Authorization` where it came more than once.

    Of two `Cookie` fields Node.js makes one with `;` and gunicorn one with `,`, which are other cookies (RFC 6265,
    5.4, and RFC 9113, 8.2.3, have the first). A strict reader stops at what is no pair, so nothing but `; ` parts them
    (RFC 6265, 4.2.1). Of two `Authorization` fields Node.js takes the first, gunicorn joins them, and nginx refuses the
    request: whichever was meant, the upstream hears of the identity from us.
    """
    names = [name.lower() for name, _ in headers]
    cookies = [value for name, (_, value) in zip(names, headers, strict=True) if name == b"cookie"]
    joined = [b"; ".join(filter(None, [value.strip(b" \t;") for value in cookies]))] if len(cookies) > 1 else cookies
    twice = names.count(b"authorization") > 1
    kept: list[tuple[bytes, bytes]] = []
    for name, field in zip(names, headers, strict=True):
        if name == b"cookie":
            kept += [(field[0], value) for value in joined if value or len(cookies) == 1]
            joined = []
        elif not (twice and name == b"authorization"):
            kept.append(field)
    return kept


def _told_proto(told: list[tuple[int, bytes]]) -> bytes:
    """Return the scheme that the nearest proxy was asked with; what comes before its last word is hearsay."""
    for fate, value in reversed(told):
        if fate == _PROTO:
            last = _last(value).lower()
            return last if last in _SCHEMES else b""
    return b""


def _told_host(told: list[tuple[int, bytes]]) -> bytes:
    return next((_last(value) for fate, value in reversed(told) if fate == _HOST), b"")


def _classify(name: bytes, extra: frozenset[bytes]) -> int:
    lower, folded = name.lower(), fold(name)
    if lower == b"connection":
        return _OPTIONS
    if managed(name, extra):
        return _MANAGED
    if lower in HOP_BY_HOP or lower == b"proxy":  # CVE-2016-5385: to a CGI upstream it would be HTTP_PROXY
        return _DROP
    telling = _tells(folded)
    if lower == b"forwarded":
        # where proxies write `X-Forwarded-*` it is their client's own, and where they write this, `hops` has read it
        return _DROP
    if lower != folded:
        # a trusted proxy writes these with `-`; in another spelling they are its client's
        return _DROP if telling or folded in _NEVER_MISSPELT else _PASS
    return _FATES.get(lower, _TOLD) if telling else _PASS


@final
class _Fates(dict[bytes, int]):
    """What becomes of each header on one kind of route, remembered for names that were seen before.

    A dict that fills itself, because a function call for each header of each request is what a proxy would feel.
    """

    def __init__(self, extra: frozenset[bytes]) -> None:
        super().__init__()
        self._extra = extra

    def __missing__(self, name: bytes) -> int:
        fate = _classify(name, self._extra)
        if len(name) <= _LONGEST_KEPT:
            if len(self) >= _MOST_KEPT:  # names made up by somebody: begin again, the real ones come back at once
                self.clear()
            self[name] = fate
        return fate


_ANY_ROUTE: Final = _Fates(frozenset())
_fates = functools.lru_cache(maxsize=256)(_Fates)


def _tells(folded: bytes) -> bool:
    return folded in _TELLING or folded.startswith(_TELLING_PREFIXES)


def _connection_options(value: bytes, extra: frozenset[bytes]) -> set[bytes]:
    """Return the fields that a `Connection` value may take away."""
    lower = value.lower()
    if lower in _NO_OPTIONS:
        return set()
    return {option for part in lower.split(b",") if not _is_end_to_end(option := part.strip(b" \t"), extra)}


def _is_end_to_end(option: bytes, extra: frozenset[bytes]) -> bool:
    folded = fold(option)
    return folded in _END_TO_END or folded.startswith(_END_TO_END_PREFIXES) or _tells(folded) or folded in extra


def _last(value: bytes) -> bytes:
    return value.rpartition(b",")[2].strip(b" \t")


def _backwards(headers: Fields) -> Iterator[bytes]:
    for name, value in reversed(headers):
        if name == b"x-forwarded-for":
            yield from reversed(value.split(b","))


def _nobody(_: str) -> bool:
    return False


def _plain(peer: str) -> str:
    """Return a peer's address as logs and limits know it: a dual-stack listener must not make two of one client."""
    return peer[7:] if peer[:7].lower() == "::ffff:" and "." in peer else peer


def _entry(entry: bytes) -> IPv4Address | IPv6Address | None:
    """Read an entry of `X-Forwarded-For`, with or without a port: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    found = _ENTRY.fullmatch(entry.strip(b" \t"))
    return None if found is None else _read((found[1] or found[2] or found[3]).decode("ascii"))


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; None for anything else. One with a zone is nobody's but the sender's own."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id is not None else address.ipv4_mapped or address
    return address


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return network if mapped is None else IPv4Network((mapped, network.prefixlen - 96))
    return network
