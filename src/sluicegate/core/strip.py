"""A request without its credentials: of what `extract` reads nothing remains, and the rest stays byte for byte."""

import re
from collections.abc import Iterable, Sequence

from sluicegate.core.extract import credentials_in, decoded, tokens_of
from sluicegate.core.policy import Sources
from sluicegate.core.request import Request
from sluicegate.core.ticket import is_ticket

Fields = Sequence[tuple[bytes, bytes]]

_SHORTEST = 32
"""Of a token that is looked for wherever else it may stand. No signed token is so short, and what is, is anything."""

_SEPARATORS = re.compile(rb"([;,])")
# Three parts, the first of them an object in JSON: a token, whatever the name of the parameter that holds it. It begins
# where a word does, so that one pass over a text is enough.
_TOKEN = re.compile(rb"(?<![0-9A-Za-z_-])ey[0-9A-Za-z_-]{8,}+\.[0-9A-Za-z_-]++\.")
_ORIGIN = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def strip(request: Request, sources: Sources, *, tickets: bool = False) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the query and the headers without the credentials of this request.

    Query parameters and cookies of the sources go, and the headers that carry a credential; a header with another
    scheme, such as Basic, is none. Any other field or parameter that repeats one of the tokens goes too. `tickets`: so
    do tickets, which open streams, and whatever repeats one.
    """
    tokens = {token for _, token, _ in credentials_in(request, sources) if len(token) >= _SHORTEST}
    if tickets:
        tokens.update(filter(None, map(_ticket_of, request.query.split(b"&"))))
    headers = []
    for name, value in request.headers:
        rest = value
        if name in sources.by_header:
            if any(tokens_of(name, value)):
                continue
        elif name == b"cookie":
            rest = _without_cookies(value, sources)
            if value and not rest:
                continue
        elif name == b"referer":
            rest = without_tokens(value, sources, tickets=tickets)
        if not _repeats(rest, tokens):
            headers.append((name, rest))
    query = _without_parameters(request.query, sources, tickets=tickets)
    if tokens and query:
        query = b"&".join([pair for pair in query.split(b"&") if not _repeats(decoded(pair), tokens)])
    return query, headers


def without_tokens(referer: bytes, sources: Sources, *, tickets: bool = False) -> bytes:
    """Return a `Referer` without the tokens of the page's own address, which are for that page and nobody else.

    Parameters that may hold a token go, and those that hold something like one, or, with `tickets`, a ticket; a path
    that holds a token is cut to the origin, a fragment always (RFC 9110, 10.1.3).
    """
    page, mark, query = referer.partition(b"#")[0].partition(b"?")
    if _is_like_a_token(page):
        found = _ORIGIN.match(page)
        return found[0] + b"/" if found is not None and not _is_like_a_token(found[0]) else b""
    rest = _without_parameters(query, sources, tickets=tickets)
    pairs = [pair for pair in rest.split(b"&") if not _is_like_a_token(pair)]
    rest = b"&".join(pairs)
    return page + mark + rest if rest or not query else page


def _without_parameters(query: bytes, sources: Sources, *, tickets: bool) -> bytes:
    pairs = [pair for pair in query.split(b"&") if decoded(pair.partition(b"=")[0]) not in sources.by_query]
    return b"&".join([pair for pair in pairs if _ticket_of(pair) is None] if tickets else pairs)


def _ticket_of(pair: bytes) -> bytes | None:
    """Return the ticket that a parameter holds, in whatever spelling.

    An application may have tickets of its own: what is not of the form of ours is no business of ours.
    """
    name, _, value = pair.partition(b"=")
    if decoded(name) != b"ticket":
        return None
    ticket = decoded(value)
    return ticket if is_ticket(ticket) else None


def _without_cookies(value: bytes, sources: Sources) -> bytes:
    """Take cookies out of a field. A comma parts cookies too, as it does where they are read."""
    parts = _SEPARATORS.split(value)
    kept: list[bytes] = []
    was_taken = False
    for separator, pair in zip([b"", *parts[1::2]], parts[::2], strict=True):
        name, equals, _ = pair.partition(b"=")
        # what is behind a comma and names nothing is the rest of the cookie before it
        is_rest = was_taken and separator == b"," and not equals
        was_taken = is_rest or name.strip() in sources.by_cookie
        if not was_taken:
            kept.append(separator + pair if kept or not separator else pair.lstrip())
    return b"".join(kept)


def _repeats(text: bytes, tokens: Iterable[bytes]) -> bool:
    return any(token in text for token in tokens)


def _is_like_a_token(text: bytes) -> bool:
    """Tell whether a text holds something like a token, as it stands or as an address within an address."""
    return b"ey" in decoded(decoded(text)) and _TOKEN.search(decoded(decoded(text))) is not None
