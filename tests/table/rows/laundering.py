"""A junk token beside a real one: it can add nothing, hide nothing, and speak for nobody.

The Caddy plugin stateful_jwt asks the store about the first token that parses and reads its metadata from there,
unverified; each of these rows gets past it, or gets a tier that nobody signed.
"""

from typing import Final

from tests.table.row import Fields, Row, bearer, someone
from tests.table.tokens import forged, mint, unsigned

_REVOKED = mint(jti="revoked")
_FREE = mint()
_JUNK: Final = {
    "unsigned": unsigned(jti="other", sub="root", tier="ENTERPRISE"),
    "forged": forged(jti="other", sub="root", tier="ENTERPRISE"),
    "unreadable": "a.b.c",
}
# Each place in which junk may stand before or behind a token in Authorization.
_PLACES: Final = ("query", "header", "cookie", "field before", "field behind")


def _beside(place: str, junk: str, token: str) -> tuple[str, Fields]:
    match place:
        case "query":
            return f"api_key={junk}", bearer(token)
        case "header":
            return "", (("X-API-Key", junk), *bearer(token))
        case "cookie":
            return "", (("Cookie", f"session_token={junk}"), *bearer(token))
        case "field before":
            return "", (*bearer(junk), *bearer(token))
        case _:
            return "", (*bearer(token), *bearer(junk))


def _rows() -> tuple[Row, ...]:
    rows = []
    for kind, junk in _JUNK.items():
        for place in _PLACES:
            query, headers = _beside(place, junk, _REVOKED)
            rows.append(
                Row(name=f"{kind} junk beside a revoked token: {place}", query=query, headers=headers, reason="revoked")
            )
            query, headers = _beside(place, junk, _FREE)
            rows.append(
                Row(name=f"{kind} junk beside a good token: {place}", query=query, headers=headers, identity=someone())
            )
    return tuple(rows)


_OTHER_WAY: Final = (
    Row(
        name="junk in Authorization, a revoked token in the query",
        query=f"token={_REVOKED}",
        headers=bearer(_JUNK["unsigned"]),
        reason="revoked",
    ),
    Row(
        name="junk in Authorization, a good token in the query",
        query=f"token={_FREE}",
        headers=bearer(_JUNK["unsigned"]),
        identity=someone(),
    ),
    Row(
        name="junk in Authorization, a good token in a cookie",
        headers=(*bearer(_JUNK["forged"]), ("Cookie", f"session_token={_FREE}")),
        identity=someone(),
    ),
    Row(
        name="junk beside junk: the one that got furthest is told",
        query=f"token={_JUNK['unreadable']}",
        headers=bearer(_JUNK["forged"]),
        reason="signature",
    ),
    Row(
        name="a junk token where tokens are optional",
        gate="optional",
        headers=bearer(_JUNK["forged"]),
        reason="signature",
    ),
    Row(name="a junk token where the gate is off", gate="off", headers=bearer(_JUNK["forged"])),
)

ROWS: Final = (*_rows(), *_OTHER_WAY)
