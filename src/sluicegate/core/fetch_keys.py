"""Fetches the keys that an issuer publishes: from the URL of a JWK Set, or by OpenID Connect Discovery.

A URL that the operator wrote may lead anywhere, also to a private address. One that a document names may not: whoever
can write that document would otherwise choose which machine of our network we call.
"""

import re
from typing import Final, NamedTuple, Never

import msgspec

from sluicegate.core.flow import NOW, Call, Flow, Reply, ask
from sluicegate.core.freshness import lifetime
from sluicegate.core.jwk import MAX_DOCUMENT_BYTES, InvalidKeySet, KeySet, members, parse
from sluicegate.errors import FetchFailed

LONGEST_FETCH: Final = 5.0
"""Seconds that fetching may take in all, the discovery document and redirects included."""
MAX_REDIRECTS: Final = 3

_OK: Final = 200
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_URL_CHARACTERS: Final = 2048
# A user name, white space, a backslash or another scheme: whatever two readers could take for two URLs is none here.
_URL: Final = re.compile(r"(?P<origin>https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)(?:[/?][!-~]*)?")
_PATH: Final = re.compile(r"/(?!/)[!-~]*")


class KeySource(msgspec.Struct, frozen=True, kw_only=True):
    """Where an issuer publishes its keys, and the algorithms that it may sign with.

    Either `jwk_url`, or `issuer`, whose discovery document names it. `name` is what events call it.
    """

    name: str
    algorithms: tuple[str, ...]
    jwk_url: str = ""
    issuer: str = ""


class Fetched(NamedTuple):
    """Keys, and for how many seconds they are good by their issuer's word."""

    keys: KeySet
    life: float


def fetch_keys(source: KeySource) -> Flow[Fetched]:
    """Fetch and read the keys.

    Raises `FetchFailed` when there was no answer, and `InvalidKeySet` when the answer is of no use; the message of
    either is for the log.
    """
    ends = (yield from ask(NOW)) + LONGEST_FETCH
    url = source.jwk_url
    trusted = origin(url or source.issuer)
    if not url:
        url = _jwks_uri((yield from _get(discovery_url(source.issuer), trusted, ends)).body, source.issuer, trusted)
    reply = yield from _get(url, trusted, ends)
    return Fetched(parse(reply.body, source.algorithms), lifetime(reply))


def origin(url: str) -> str:
    """Return scheme, host and port of a URL as they are written, or the empty string where it is none for us."""
    found = _URL.fullmatch(url) if len(url) <= _MAX_URL_CHARACTERS else None
    return "" if found is None else found["origin"].lower()


def discovery_url(issuer: str) -> str:
    """Return where an issuer's discovery document is (OpenID Connect Discovery, 4.1)."""
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


def _jwks_uri(document: bytes, issuer: str, trusted: str) -> str:
    """Return the `jwks_uri` of a discovery document that is this very issuer's (RFC 8414, 3.3).

    Whoever could pass off another issuer's document would lend us that issuer's keys.
    """
    fields = members(document)
    if fields.get("issuer") != issuer:
        _fail(f"its discovery document is not that of {issuer}")
    uri = fields.get("jwks_uri")
    if not isinstance(uri, str) or not origin(uri):
        _fail("its discovery document names no jwks_uri")
    if not uri.startswith("https://") and origin(uri) != trusted:
        _fail("its discovery document names a jwks_uri without TLS")
    return uri


def _get(url: str, trusted: str, ends: float) -> Flow[Reply]:
    """Get a document, following redirects within one origin and nowhere else."""
    for _ in range(MAX_REDIRECTS + 1):
        call = Call(
            url=url,
            timeout=max(0.0, ends - (yield from ask(NOW))),
            max_bytes=MAX_DOCUMENT_BYTES,
            headers=(("Accept", "application/json, application/jwk-set+json"),),
            reach="anywhere" if origin(url) == trusted else "public",
        )
        reply = yield from ask(call)
        if reply.status == _OK:
            return reply
        if reply.status not in _REDIRECTS:
            raise FetchFailed("protocol", f"answered {reply.status}")
        url = _redirected(url, reply.header("location"))
    raise FetchFailed("protocol", f"redirected more than {MAX_REDIRECTS} times")


def _redirected(url: str, location: str) -> str:
    target = origin(url) + location if _PATH.fullmatch(location) else location
    if not origin(target) or origin(target) != origin(url):
        raise FetchFailed("refused", "redirected to another host")
    return target


def _fail(problem: str) -> Never:
    raise InvalidKeySet(problem)
