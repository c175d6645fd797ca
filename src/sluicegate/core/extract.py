"""Step 1: the credentials of a request, in the operator's order: query, then header, then cookie."""

import re
from collections.abc import Iterable, Iterator

from sluicegate.core.policy import Sources
from sluicegate.core.request import Credential, Request, Source
from sluicegate.core.token import MAX_TOKEN_BYTES

MAX_CREDENTIALS = 8

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_SCHEMED = frozenset({b"authorization", b"proxy-authorization"})
Found = tuple[int, bytes, Source]
"""A token where it stood, and the rank of that place among those of its kind."""


class TooMuch(ValueError):  # noqa: N818 - names what it is; stays inside the core
    """More credentials, or a longer one, than any honest client sends."""


def extract(request: Request, sources: Sources) -> tuple[Credential, ...]:
    """Return each different token once, where it stood first.

    Raises `TooMuch` past 8 credentials, or 8 KiB in one of them.
    """
    watched = sources.watched
    fields = [field for field in request.headers if field[0] in watched]
    if len(fields) == 1 and not request.query and fields[0][0] in _SCHEMED:  # what nearly all requests come to
        name, value = fields[0]
        tokens = _schemed(value)
        if len(tokens) == 1 and tokens[0]:
            return (Credential(_bounded(tokens[0]), sources.by_header[name][1]),)
    found = _from_headers(fields, sources)
    if request.query and sources.by_query:
        found = _ranked(list(_from_query(request.query, sources))) + _ranked(found)
    elif len(found) > 1:
        found = _ranked(found)
    first: dict[bytes, Source] = {}
    for _, token, source in found:
        first.setdefault(_bounded(token), source)
    if len(first) > MAX_CREDENTIALS:
        msg = f"there are more than {MAX_CREDENTIALS} credentials"
        raise TooMuch(msg)
    return tuple([Credential(token, source) for token, source in first.items()])


def credentials_in(request: Request, sources: Sources) -> list[Found]:
    """Return everything that is read as a token, however much it is, in the order of the request."""
    return [*_from_query(request.query, sources), *_from_headers(request.headers, sources)]


def tokens_of(name: bytes, value: bytes) -> Iterable[bytes]:
    """Return what a header that may hold tokens is read as; some of it may be empty, and is none."""
    return _schemed(value) if name in _SCHEMED else map(_bare, value.split(b","))


def _bounded(token: bytes) -> bytes:
    if len(token) > MAX_TOKEN_BYTES:
        msg = f"a credential is longer than {MAX_TOKEN_BYTES} bytes"
        raise TooMuch(msg)
    return token


def _ranked(found: list[Found]) -> list[Found]:
    return sorted(found, key=_rank)


def _rank(found: Found) -> int:
    return found[0]


def _from_query(query: bytes, sources: Sources) -> Iterator[Found]:
    table = sources.by_query
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        # names are decoded too: `%74oken` is `token` to whatever stands behind us
        place = table.get(decoded(name))
        if place is not None:
            token = _bare(decoded(value))
            if token:
                yield place[0], token, place[1]


def _from_headers(headers: Iterable[tuple[bytes, bytes]], sources: Sources) -> list[Found]:
    table, watched = sources.by_header, sources.watched
    found: list[Found] = []
    for name, value in headers:
        if name not in watched:
            continue
        place = table.get(name)
        if place is None:  # cookies rank behind every header
            found += [(len(table) + rank, token, source) for rank, token, source in _from_cookies(value, sources)]
            continue
        found += [(place[0], token, place[1]) for token in tokens_of(name, value) if token]
    return found


def _from_cookies(value: bytes, sources: Sources) -> Iterator[Found]:
    # RFC 6265 keeps commas out of cookies; servers that fold repeated fields join them with one
    for pair in value.replace(b",", b";").split(b";"):
        name, _, token = pair.partition(b"=")
        place = sources.by_cookie.get(name.strip())
        if place is not None:
            token = _bare(token.strip().strip(b'"'))
            if token:
                yield place[0], token, place[1]


def decoded(text: bytes) -> bytes:
    """Decode a form-encoded name or value (WHATWG URL, 5.1)."""
    spaced = text.replace(b"+", b" ")
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), spaced) if b"%" in spaced else spaced


def _schemed(value: bytes) -> list[bytes]:
    """Split an `Authorization` value: Bearer (RFC 6750, 2.1) or a bare token; other schemes are no credentials.

    WSGI servers fold repeated fields into one with commas, which no compact token holds, so each shape of the gate
    splits there. A parameter of another scheme (`Digest a=b, c=d`) is no bare token.
    """
    if value.startswith(b"Bearer ") and b"," not in value:  # what nearly all come to
        return [value[7:].strip(b" \t")]
    foreign = False
    found: list[bytes] = []
    for part in value.split(b","):
        stripped = part.strip(b" \t")
        scheme, space, rest = stripped.partition(b" ")
        if space:
            foreign = scheme.lower() != b"bearer"
            if not foreign:
                found.append(rest.strip(b" \t"))
        elif not foreign and stripped.lower() != b"bearer":
            found.append(stripped)
    return found


def _bare(value: bytes) -> bytes:
    """Strip white space around a token, and a `Bearer ` before it."""
    stripped = value.strip(b" \t")
    if stripped[:7].lower() == b"bearer ":
        return stripped[7:].strip(b" \t")
    return stripped
