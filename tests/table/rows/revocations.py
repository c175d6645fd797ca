"""Genuine tokens that stand in the store, by each kind of selector, and those that only look as if."""

from typing import Any, Final

from tests.table.gates import REVOKED_BY_HASH
from tests.table.row import Row, bearer, someone
from tests.table.tokens import ABSENT, EXPIRES, ISSUED, NOW, forged, mint, unsigned


def _revoked(name: str, token: str, *, gate: str = "default") -> Row:
    return Row(name=f"revoked by {name}", gate=gate, headers=bearer(token), reason="revoked")


def _spared(name: str, token: str, *, gate: str = "default", **identity: Any) -> Row:  # noqa: ANN401 - any JSON
    return Row(name=f"not revoked: {name}", gate=gate, headers=bearer(token), identity=someone(**identity))


def _refused(name: str, token: str, reason: str) -> Row:
    return Row(name=name, headers=bearer(token), reason=reason)


_SELECTED: Final = (
    _revoked("jti", mint(jti="revoked")),
    _revoked("jti, with a JSON value", mint(jti="revoked-json")),
    _revoked("jti, though the value speaks of a cut-off", mint(jti="revoked-cutoff")),
    _revoked("jti, with a value that is no text", mint(jti="revoked-unreadable")),
    _revoked("jti, with an empty value", mint(jti="revoked-empty")),
    _revoked("a jti that is not ASCII", mint(jti="schlüssel-用户")),
    _revoked("sub", mint(sub="mallory")),
    _revoked("a sub that is a number", mint(sub=42)),
    _revoked("a sub that no float can tell from its neighbour", mint(sub=12345678901234567891)),
    _revoked("sub, for tokens issued up to then", mint(sub="carol", iat=ISSUED)),
    _revoked("sub, for a token that does not say when it was issued", mint(sub="carol", iat=ABSENT)),
    _revoked("sub, with a cut-off that cannot be read", mint(sub="dave")),
    _revoked("sid", mint(sid="session-9")),
    _revoked("client, as azp", mint(azp="app-9")),
    _revoked("client, as client_id", mint(client_id="app-9")),
    _revoked("client, as client_id beside another azp", mint(azp="app-1", client_id="app-9")),
    _revoked("kid", mint(header={"kid": "key-2019"})),
    _revoked("iss", mint(iss="https://old.example.com")),
    _revoked("hash", REVOKED_BY_HASH),
    _revoked("sub, where no jti is needed", mint(jti=ABSENT, sub="mallory"), gate="any-jti"),
)

_SPARED: Final = (
    _spared("issued a second after the cut-off", mint(sub="carol", iat=ISSUED + 1), id="carol"),
    _spared("a jti that ends like a revoked one", mint(jti="not-revoked"), jti="not-revoked"),
    _spared("a jti in other letters", mint(jti="REVOKED"), jti="REVOKED"),
    _spared("a jti with a space behind", mint(jti="revoked "), jti="revoked "),
    _spared("a sub of that jti's name", mint(sub="revoked"), id="revoked"),
    _spared("a jti of that sub's name", mint(jti="mallory"), jti="mallory"),
    _spared("a neighbour of the number", mint(sub=12345678901234567890), id="12345678901234567890"),
    _spared("the same claims in another token", mint(jti="by-hash", note=1), jti="by-hash"),
    _spared("another sid, client and kid", mint(header={"kid": "key-2024"}, sid="session-1", azp="app-1")),
)

# Only the bearer of a genuine token learns that it was revoked.
_NOT_TOLD: Final = (
    _refused("a forged token with a revoked jti", forged(jti="revoked"), "signature"),
    _refused("an unsigned token with a revoked jti", unsigned(jti="revoked"), "algorithm"),
    _refused("a forged token with a revoked sub", forged(sub="mallory"), "signature"),
    _refused("revoked and expired", mint(jti="revoked", exp=NOW - 1000), "revoked"),
    _refused("revoked, with no user in it", mint(jti="revoked", sub=ABSENT), "revoked"),
)

_SEVERAL: Final = (
    Row(
        name="a revoked token before a good one",
        query=f"token={mint(jti='revoked')}",
        headers=bearer(mint()),
        identity=someone(),
    ),
    Row(
        name="a revoked token behind a good one",
        query=f"token={mint()}",
        headers=bearer(mint(jti="revoked")),
        identity=someone(),
    ),
    Row(
        name="a revoked token behind an expired one",
        query=f"token={mint(exp=NOW - 9)}",
        headers=bearer(mint(jti="revoked")),
        reason="revoked",
    ),
    Row(
        name="a revoked token on a route that it could not use anyway",
        gate="writers",
        headers=bearer(mint(jti="revoked", scope="")),
        reason="revoked",
    ),
    Row(
        name="a revoked token where tokens are optional",
        gate="optional",
        headers=bearer(mint(jti="revoked")),
        reason="revoked",
    ),
    Row(name="a revoked token where the gate is off", gate="off", headers=bearer(mint(jti="revoked"))),
    Row(
        name="a token of a far exp, twice asked",
        query=f"token={mint(exp=EXPIRES)}",
        headers=bearer(mint(exp=EXPIRES)),
        identity=someone(),
    ),
)

ROWS: Final = (*_SELECTED, *_SPARED, *_NOT_TOLD, *_SEVERAL)
