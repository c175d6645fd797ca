"""Where to listen, whom to believe, and which URLs the gate itself may call."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Final, Literal, final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from sluicegate.settings.flaw import Filled, Flaw, found, shown
from sluicegate.settings.kinds import PLACEHOLDER_SCHEMA, Kind, Several, as_line, parsed, split_filled, text

MAX_PORT: Final = 65535
_LONGEST_LABEL: Final = 63  # RFC 1035, 2.3.4
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def split_host_port(place: str) -> tuple[str, int] | None:
    """Read `host:port` or `[v6]:port`; the host may be empty. None when it is neither."""
    host, colon, port = place.rpartition(":")
    if not colon or _PORT.fullmatch(port) is None or int(port) > MAX_PORT:
        return None
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        return (host, int(port)) if _is_ipv6(host) else None
    return (host, int(port)) if not host or is_host(host) else None


def is_host(host: str) -> bool:
    """Tell whether this is a host name or an IPv4 address. What looks like an address must be one."""
    if re.fullmatch(r"[0-9.]+", host):
        return _is_ip(host)
    return _HOST_NAME.fullmatch(host) is not None


def is_name(name: str) -> bool:
    """Tell whether this is something that a certificate may name: a host, or an address of either kind."""
    if _is_ipv6(name):
        return True
    labels = name.removesuffix(".").split(".")
    return is_host(name) and all(0 < len(label) <= _LONGEST_LABEL for label in labels)


def is_loopback(host: str) -> bool:
    """Tell whether what is sent to this host stays on this machine."""
    return host.lower() in {"localhost", "localhost."} or (_is_ip(host) and ip_address(host).is_loopback)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_ipv6(host: str) -> bool:
    return ":" in host and _is_ip(host)


@final
@dataclass(frozen=True, slots=True)
class Bind:
    """Where a listener stands. The empty host is every interface; port 0 is one that the system picks."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `host:port`, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can connect."""
        return is_loopback(self.host)


def _parse_bind(place: str) -> Bind:
    split = split_host_port(place)
    if split is None:
        if _is_ipv6(place.rpartition(":")[0]) or _is_ipv6(place):
            raise Flaw(f"is {shown(place)}, an IPv6 address without brackets", 'write it so: "[::1]:8080"')
        raise Flaw(
            f"is {shown(place)}, which is no address to listen on", 'write host and port: "127.0.0.1:8080", or ":8080"'
        )
    return Bind(*split)


BindAddress = Annotated[Bind, parsed("host:port", '"127.0.0.1:8080"', _parse_bind)]

Network = IPv4Network | IPv6Network


def _parse_network(network: str) -> Network:
    try:
        return ip_network(network)
    except ValueError:
        pass
    try:
        inside = ip_network(network, strict=False)
    except ValueError:
        raise Flaw(f"is {shown(network)}, which is no network", 'write it so: "10.0.0.0/8"') from None
    raise Flaw(
        f"is {shown(network)}, an address inside a network", f'write the network "{inside}", or the bare address'
    )


TrustedNetwork = Annotated[Network, parsed("CIDR or address", '"10.0.0.0/8"', _parse_network)]


def _parse_announcers(value: object) -> bool | tuple[Network, ...]:
    if isinstance(value, bool):
        return value
    if isinstance(value, Filled) and value.whole:
        if value in {"true", "false"}:
            return value == "true"
        value = list(split_filled(value))
    if not isinstance(value, list | tuple):
        raise Flaw(
            f"is {found(value)} where true, false or a list of networks belongs",
            'write true for trusted_proxies, or a list: ["10.0.0.0/8"]',
        )
    return tuple(
        _parse_network(as_line(str(item) if isinstance(item, Network) else item, '"10.0.0.0/8"')) for item in value
    )


Announcers = Annotated[
    bool | tuple[Network, ...],
    Kind(
        _parse_announcers,
        {
            "title": "boolean, or list: CIDR or address",
            "anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}, PLACEHOLDER_SCHEMA],
        },
    ),
]


def split_url(url: str, schemes: tuple[str, ...], *, example: str) -> SplitResult:
    """Split an absolute URL and check what could be read in two ways. Raises `Flaw`, which never repeats the URL."""
    wrong = Flaw("is no URL that can be called", f"write it so: {example}")
    if not url.isascii() or re.search(r"[\s\\<>\"]", url):
        raise wrong
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in schemes:
        raise Flaw(
            f"does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}", f"write it so: {example}"
        )
    host = parts.hostname
    if not host or not (is_host(host) or _is_ipv6(host)) or port == 0:
        raise wrong
    if "@" in parts.netloc:
        raise Flaw("carries a user name or password", "take them out of the URL: URLs land in logs")
    if "#" in url:
        raise Flaw("carries a fragment, which is never sent", f"write it so: {example}")
    return parts


def _parse_origin(origin: str) -> str:
    if origin == "*":
        return str(origin)
    example = '"https://app.example.com"'
    parts = split_url(origin, ("http", "https"), example=example)
    if parts.path or "?" in origin:
        raise Flaw(f"is {shown(origin)}, which has more than an origin", f"write scheme and host only: {example}")
    # browsers send origins in lower case and without the scheme's own port (RFC 6454, 6.2)
    port = "" if parts.port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{parts.port}"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}"


Origin = Annotated[str, parsed("origin", '"https://app.example.com"', _parse_origin)]


TENANT: Final = "{tenant}"
"""Stands for each item of `tenants` in turn. The only placeholder there is: nothing of a request makes a URL."""


def _check_key_set_url(url: str) -> str:
    example = '"https://auth.example.com/.well-known/jwks.json"'
    bare = url.replace(TENANT, "x")
    if "{" in bare or "}" in bare:
        raise Flaw(
            "holds a placeholder, and a request must not choose where keys come from",
            f"write {TENANT} in an [[issuer]] table, which lists its tenants, or one table for each URL",
        )
    split_url(bare, ("https", "http"), example=example)
    return str(url)


def _check_discovered_issuer(issuer: str) -> str:
    example = '"https://auth.example.com"'
    if "?" in issuer:
        raise Flaw("carries a query, which no issuer has (RFC 8414, 2)", f"write it so: {example}")
    split_url(issuer, ("https", "http"), example=example)
    return str(issuer)


def _check_webhook_url(url: str) -> str:
    split_url(url, ("https", "http"), example='"https://auth.example.com/verify"')
    return str(url)


KeySetUrl = Annotated[
    str, text("URL", '"https://auth.example.com/.well-known/jwks.json"', check=_check_key_set_url, empty=True)
]
IssuerUrl = Annotated[str, text("URL", '"https://auth.example.com"', check=_check_discovered_issuer, empty=True)]
WebhookUrl = Annotated[str, text("URL", '"https://auth.example.com/verify"', check=_check_webhook_url, empty=True)]


@final
@dataclass(frozen=True, slots=True)
class Upstream:
    """The service behind a route: `host` and `port`, or the `path` of a Unix socket."""

    scheme: Literal["http", "https", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """Return the form that the operator writes."""
        if self.scheme == "unix":
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _parse_upstream(url: str) -> Upstream:
    example = '"http://127.0.0.1:8081"'
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        if not path.startswith("/") or path.startswith("//"):
            raise Flaw("names a Unix socket without its absolute path", 'write it so: "unix:/run/app.sock"')
        return Upstream("unix", path=path)
    parts = split_url(url, ("http", "https"), example=example)
    if parts.path not in {"", "/"} or "?" in url:
        # a base path would make the path that the rules saw differ from the one that the upstream sees
        raise Flaw("carries a path", f"name the service only: {example}; the request's own path is sent")
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    return Upstream(scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS[scheme])


UpstreamUrl = Annotated[Upstream, parsed('URL or "unix:/path"', '"http://127.0.0.1:8081"', _parse_upstream)]


def _star_alone(origins: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in origins and len(origins) > 1:
        raise Flaw('lists "*" beside other origins', 'write "*" alone, or the origins alone')
    return origins


Origins = Annotated[
    tuple[Origin, ...], Several('["https://app.example.com"]', or_one=True), AfterValidator(_star_alone)
]
"""Origins that may read our answers; `("*",)` is every origin, always without credentials."""
