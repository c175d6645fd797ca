"""What the gate's own HTTP calls have in common: where a call goes, its bytes, and one response read from bytes.

Webhooks and key sets are called over HTTP/1.1 (RFC 9112) without redirects, cookies, proxies of the environment or
compressed answers, because each of them would let somebody else choose where a token goes or how much comes back.
Parsing is llhttp's; no socket is touched here.
"""

import functools
import re
import select
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple, final
from urllib.parse import urlsplit

import httptools

from sluicegate.core.flow import Call, Reply
from sluicegate.errors import FetchFailed

MAX_HEAD_BYTES: Final = 65_536
_MOST_RAW: Final = 8
"""Bytes on the wire for each one of the body: chunks of one byte take six."""

_PORTS: Final = {"http": 80, "https": 443}
_PLAIN: Final = re.compile("[!-~]+")
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address behind a translator
_INTERIM, _SWITCHING, _FINAL = 100, 101, 200  # RFC 9110, 15.2


class Origin(NamedTuple):
    """Whom a call goes to."""

    scheme: str
    host: str
    port: int


class Target(NamedTuple):
    """A URL as the call needs it: `authority` is the `Host` field, `path` has the query."""

    origin: Origin
    authority: str
    path: str


@final
@dataclass(frozen=True, slots=True)
class Trust:
    """Whom the operator trusts, and how. An origin without a context is verified with the system's authorities.

    `plain` may be called over http wherever it is; any other origin only where its address is this machine's own.
    """

    contexts: Mapping[Origin, ssl.SSLContext] = field(default_factory=dict)
    plain: frozenset[Origin] = frozenset()

    def context(self, origin: Origin) -> ssl.SSLContext | None:
        """Return how to speak TLS to this origin; None for http."""
        if origin.scheme == "http":
            return None
        return self.contexts.get(origin) or _system_context()

    def allowed(self, call: Call, addresses: Iterable[str]) -> list[str]:
        """Return the addresses of the call's host that it may go to.

        The address decides and not the name: a name says "localhost" today and something else tomorrow. Raises
        `FetchFailed` when there is none.
        """
        origin = target_of(call.url).origin
        local_only = origin.scheme == "http" and origin not in self.plain
        found = list(dict.fromkeys(addresses))
        allowed = [
            address
            for address in found
            if (not local_only or _innermost(address).is_loopback)
            and (call.reach == "anywhere" or _innermost(address).is_global)
        ]
        if allowed:
            return allowed
        if not found:
            raise FetchFailed("connection", "the host has no address")
        raise FetchFailed("refused", "http leaves this machine" if local_only else "the host's address is not public")


@functools.cache
def _system_context() -> ssl.SSLContext:
    return with_alpn(ssl.create_default_context())


def with_alpn(context: ssl.SSLContext) -> ssl.SSLContext:
    """Say in the handshake that only HTTP/1.1 is spoken (RFC 7301)."""
    context.set_alpn_protocols(["http/1.1"])
    return context


def _innermost(address: str) -> IPv4Address | IPv6Address:
    """Return the address that is reached in the end: an IPv6 one may be an IPv4 one in disguise."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found in _NAT64:
            return IPv4Address(found.packed[-4:])
        return found.ipv4_mapped or found.sixtofour or found
    return found


@functools.lru_cache(maxsize=256)
def target_of(url: str) -> Target:
    """Take a URL apart. Raises `FetchFailed` for one that the gate does not call."""
    refused = FetchFailed("refused", "this is no http or https URL that the gate calls")
    if _PLAIN.fullmatch(url) is None:
        raise refused
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refused from None
    host = parts.hostname
    odd = not host or host.startswith(".") or "@" in parts.netloc or "#" in url or port == 0
    if parts.scheme not in _PORTS or host is None or odd:
        raise refused
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(Origin(parts.scheme, host, port or _PORTS[parts.scheme]), parts.netloc, path)


def request_of(call: Call, target: Target) -> bytes:
    """Write the request. Raises `FetchFailed` for a header that would end its line."""
    fields = [
        ("Host", target.authority),
        ("User-Agent", "sluicegate"),
        ("Accept-Encoding", "identity"),
        *call.headers,
    ]
    if call.method == "POST":
        fields.append(("Content-Length", str(len(call.body))))
    lines = [f"{call.method} {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    head = "\r\n".join(lines)
    if head.count("\n") != len(fields) or head.count("\r") != len(fields) or not head.isascii():
        raise FetchFailed("refused", "a header holds a line break, or letters that no header carries")
    return head.encode() + b"\r\n\r\n" + call.body


def failure_of(error: OSError | UnicodeError) -> FetchFailed:
    """Translate what the system or TLS said about a connection."""
    match error:
        case ssl.SSLCertVerificationError():
            return FetchFailed("tls", f"the certificate is not trusted: {error.verify_message}")
        case ssl.SSLError():
            return FetchFailed("tls", f"TLS failed: {error.reason or 'the handshake was broken off'}")
        case UnicodeError():
            return FetchFailed("connection", "the host is no name that can be resolved")
        case _:
            return FetchFailed("connection", f"no connection: {error.strerror or type(error).__name__}")


@final
class Reading:
    """Reads one response. Bytes in; `reply` when `feed` or `end` says that it is whole."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes: Final = max_bytes
        self._parser: Final = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._raw = 0
        self._in_body = False
        self._ends_with_connection = False
        self._whole = False
        self._fault = ""
        self.keeps_open = False
        """After the whole: the connection may carry another exchange."""

    @property
    def has_begun(self) -> bool:
        """Tell whether anything came at all."""
        return self._raw > 0

    @property
    def reply(self) -> Reply:
        """The response, once it is whole."""
        return Reply(self._parser.get_status_code(), tuple(self._headers), b"".join(self._body))

    def feed(self, data: bytes) -> bool:
        """Take bytes; tell whether the response is whole. Raises `FetchFailed` for one that cannot become so."""
        self._raw += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # bytes behind a whole response are nobody's answer: they cost the connection, not the response
            if not self._whole:
                raise FetchFailed("protocol", f"no HTTP/1.1 response: {self._fault or error}") from None
            self.keeps_open = False
        if self._fault:
            raise FetchFailed("protocol", self._fault)
        most = MAX_HEAD_BYTES + (_MOST_RAW * self._max_bytes if self._in_body else 0)
        if self._size > self._max_bytes or self._raw > most:
            raise FetchFailed("too_large", f"answered with more than {self._max_bytes} bytes")
        return self._whole

    def end(self) -> bool:
        """Take the end of the connection; tell whether it was the end of the response. Raises `FetchFailed`."""
        if not self._whole and self._in_body and self._ends_with_connection:
            self._whole = True
        if not self._whole:
            raise FetchFailed("protocol", "closed the connection before its answer was whole")
        return True

    # What follows is called by the parser, and must not raise.

    def on_message_begin(self) -> None:
        """Begin a response, or notice bytes behind one."""
        if self._whole:
            self.keeps_open = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        if not self._in_body:
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Judge the head."""
        status = self._parser.get_status_code()
        if status < _FINAL:
            if status == _SWITCHING or status < _INTERIM:
                self._fault = "switches protocols" if status == _SWITCHING else "answered with no status"
            return
        if self._whole:
            return
        self._in_body = True
        names = {name for name, _ in self._headers}
        codings = [value.strip().lower() for name, value in self._headers if name == "transfer-encoding"]
        encodings = {value.strip().lower() for name, value in self._headers if name == "content-encoding"}
        if encodings - {"", "identity"} or codings not in ([], ["chunked"]):
            # a few bytes of it may be a gigabyte of JSON, and nobody asked for it
            self._fault = "answered in a coding that was not asked for"
        self._ends_with_connection = not codings and "content-length" not in names

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body, unless it is too long already."""
        if self._whole or self._size > self._max_bytes:
            return
        self._size += len(data)
        self._body.append(data)

    def on_message_complete(self) -> None:
        """End the response, or an interim one before it."""
        if self._whole:
            self.keeps_open = False
        elif self._in_body:
            self._whole, self.keeps_open = True, self._parser.should_keep_alive()
        else:
            self._headers.clear()


class Silence:
    """Tells whether an idle connection is silent. What is readable before anything was asked answers no question.

    It is the end of the connection, or somebody's bytes in front of the next answer.
    """

    def __init__(self, descriptor: int) -> None:
        self._poll: Final = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def __bool__(self) -> bool:
        """Ask the system, without waiting."""
        return not self._poll.poll(0)
