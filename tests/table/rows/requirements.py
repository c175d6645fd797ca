"""What a route asks beyond a genuine token, where none is needed, and preflights."""

from typing import Final

from tests.table.row import Fields, Row, Unlike, bearer, someone
from tests.table.tokens import ABSENT, mint

_SCOPES: Final = (
    Row(name="all scopes that are needed", gate="writers", headers=bearer(mint()), identity=someone()),
    Row(
        name="one of two scopes",
        gate="writers",
        headers=bearer(mint(scope="read")),
        reason="scope",
        needed="read write",
    ),
    Row(
        name="no scope at all", gate="writers", headers=bearer(mint(scope=ABSENT)), reason="scope", needed="read write"
    ),
    Row(
        name="a scope that begins like it",
        gate="writers",
        headers=bearer(mint(scope="read writer")),
        reason="scope",
        needed="read write",
    ),
    Row(name="scopes, and no token", gate="writers", reason="missing"),
    Row(
        name="scopes of two tokens do not add up",
        gate="writers",
        query=f"token={mint(scope='read')}",
        headers=bearer(mint(scope="write")),
        reason="scope",
        needed="read write",
    ),
    Row(
        name="a second token that has the scopes",
        gate="writers",
        query=f"token={mint(scope='read')}",
        headers=bearer(mint(jti="key-2")),
        identity=someone(jti="key-2"),
    ),
)

_CLAIMS: Final = (
    Row(
        name="claims that are needed",
        gate="paying",
        headers=bearer(mint(tier="PREMIUM", active=True)),
        identity=someone(meta={"tier": "PREMIUM"}),
    ),
    Row(
        name="one of a list of values",
        gate="paying",
        headers=bearer(mint(tier=["BETA", "ENTERPRISE"], active=True)),
        identity=someone(meta={"tier": ["BETA", "ENTERPRISE"]}),
    ),
    Row(name="another value", gate="paying", headers=bearer(mint(active=True)), reason="claim"),
    Row(name="1 is not true", gate="paying", headers=bearer(mint(tier="PREMIUM", active=1)), reason="claim"),
    Row(name="a claim that is not there", gate="paying", headers=bearer(mint(tier="PREMIUM")), reason="claim"),
)

_OPTIONAL: Final = (
    Row(name="no token where none is needed", gate="optional"),
    Row(name="a good token where none is needed", gate="optional", headers=bearer(mint()), identity=someone()),
    Row(name="an expired token where none is needed", gate="optional", headers=bearer(mint(exp=1)), reason="expired"),
    Row(name="Basic credentials where no token is needed", gate="optional", headers=(("Authorization", "Basic YTpi"),)),
    Row(name="no token where none is needed but a scope is", gate="optional-read", reason="missing"),
    Row(name="a token with the scope", gate="optional-read", headers=bearer(mint()), identity=someone()),
    Row(
        name="a token without the scope",
        gate="optional-read",
        headers=bearer(mint(scope="")),
        reason="scope",
        needed="read",
    ),
    Row(name="no token where the gate is off", gate="off"),
    Row(name="a good token where the gate is off", gate="off", headers=bearer(mint()), identity=someone()),
    Row(name="an expired token where the gate is off", gate="off", headers=bearer(mint(exp=1))),
)

_ORIGIN: Fields = (("Origin", "https://app.example.com"),)
_ASKING: Fields = (*_ORIGIN, ("Access-Control-Request-Method", "PUT"))

_YES: Final = {
    "forward-auth": Unlike(status=204, why="to the proxy that asks any 2xx is a yes, and there is nothing more to say")
}
_UNSEEN: Final = {
    "forward-auth": Unlike(status=204, why="the proxy keeps the body to itself, so this looks like a preflight")
}


def _preflight(name: str, *more: tuple[str, str], gate: str = "default") -> Row:
    return Row(name=name, gate=gate, method="OPTIONS", headers=(*_ASKING, *more), unlike=_YES)


_PREFLIGHTS: Final = (
    _preflight("a preflight"),
    _preflight("a preflight is nobody's, whatever it carries", *bearer(mint())),
    _preflight("a preflight with a revoked token", *bearer(mint(jti="revoked"))),
    _preflight("a preflight with spoofed headers", ("X-Auth-User-Id", "root")),
    _preflight("a preflight while the store is away", gate="down"),
    _preflight("a preflight where scopes are needed", gate="writers"),
    Row(name="OPTIONS without Origin", method="OPTIONS", headers=_ASKING[1:], reason="missing"),
    Row(name="OPTIONS without the method that is asked for", method="OPTIONS", headers=_ORIGIN, reason="missing"),
    Row(
        name="OPTIONS with a body",
        method="OPTIONS",
        headers=_ASKING,
        sent_body=b"{}",
        reason="missing",
        unlike=_UNSEEN,
    ),
    Row(name="the headers of a preflight on a GET", headers=_ASKING, reason="missing"),
    Row(name="OPTIONS with a token", method="OPTIONS", headers=bearer(mint()), identity=someone()),
)

ROWS: Final = (*_SCOPES, *_CLAIMS, *_OPTIONAL, *_PREFLIGHTS)
