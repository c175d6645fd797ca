"""Who is let in: the id, the scopes and the metadata that a token earns, and headers that claim to say so."""

from typing import Any, Final

from tests.table.row import Row, bearer, someone
from tests.table.tokens import ABSENT, mint


def _is(name: str, token: str, *, gate: str = "default", **identity: Any) -> Row:  # noqa: ANN401 - any JSON
    return Row(name=name, gate=gate, headers=bearer(token), identity=someone(**identity))


def _nobody(name: str, token: str, *, gate: str = "default") -> Row:
    return Row(name=name, gate=gate, headers=bearer(token), reason="user_claim")


_IDS: Final = (
    _is("a number as sub", mint(sub=7), id="7"),
    _is("a large number as sub, whole", mint(sub=12345678901234567890), id="12345678901234567890"),
    _is("a number past 64 bits as sub, whole", mint(sub=2**70), id=str(2**70)),
    _is("zero as sub", mint(sub=0), id="0"),
    _is("letters that are not ASCII", mint(sub="Zoë"), id="Zoë"),
    _is("letters that are not Latin", mint(sub="用户-7"), id="用户-7"),
    _is("what reads as a percent escape", mint(sub="a%0d%0ab"), id="a%0d%0ab"),
    _is("an id with spaces around", mint(sub=" alice "), id=" alice "),
    _is("the next claim where the first is not there", mint(sub=ABSENT, uid="u-1"), gate="users", id="u-1"),
    _is("the next claim where the first is empty", mint(sub="", uid="u-1"), gate="users", id="u-1"),
    _is("a claim inside another", mint(sub=ABSENT, profile={"id": "p-1"}), gate="users", id="p-1"),
    _is("a list", mint(sub=ABSENT, groups=["a", "b"]), gate="users", id="a,b"),
    _is("the first that is there", mint(uid="u-1"), gate="users"),
    _nobody("no user claim", mint(sub=ABSENT)),
    _nobody("an empty user claim", mint(sub="")),
    _nobody("a blank user claim", mint(sub="  ")),
    _nobody("a user claim that is null", mint(sub=ABSENT, uid=None), gate="users"),
    _nobody("a user claim that is truth", mint(sub=ABSENT, uid=True), gate="users"),
    _nobody("none of several", mint(sub=ABSENT, uid="", profile="p-1"), gate="users"),
    _is("a token of no issuer", mint(iss=ABSENT), issuer=None),
)


def _meta(name: str, expected: Any, **claims: Any) -> Row:  # noqa: ANN401 - any JSON
    return _is(f"meta: {name}", mint(**claims), meta={"tier": "FREE", **expected})


_META: Final = (
    _meta("a claim under another name", {"user_role": "admin"}, role="admin"),
    _meta("a claim inside another", {"organization": "org-456"}, org={"id": "org-456", "name": "ignored"}),
    _meta("a claim with dots in its name", {"team": "core"}, **{"https://example.com/team": "core"}),
    _meta("a list", {"user_role": ["a", "b"]}, role=["a", "b"]),
    _meta("a list whose entries hold commas", {"user_role": ["a,b", "c"]}, role=["a,b", "c"]),
    _meta("an object", {"limits": {"rps": 10, "bursts": [1, 2]}}, limits={"rps": 10, "bursts": [1, 2]}),
    _meta("a large number, whole", {"quota": 12345678901234567890}, quota=12345678901234567890),
    _meta("a fraction", {"quota": 0.5}, quota=0.5),
    _meta("false", {"quota": False}, quota=False),
    _meta("zero", {"quota": 0}, quota=0),
    _meta("null is nothing", {}, quota=None),
    _meta("letters that are not Latin", {"user_role": "管理者"}, role="管理者"),
    _meta(
        "a line break, which ends no header",
        {"user_role": "a\r\nX-Auth-User-Tier: PREMIUM"},
        role="a\r\nX-Auth-User-Tier: PREMIUM",
    ),
    _meta("empty", {"user_role": ""}, role=""),
    _is("no metadata at all", mint(tier=ABSENT), meta={}),
)

_SCOPES: Final = (
    _is("scopes as scope", mint(scope="a b"), scopes=["a", "b"]),
    _is("scopes as scp", mint(scope=ABSENT, scp=["a", "b"]), scopes=["a", "b"]),
    _is("scopes as permissions", mint(scope=ABSENT, permissions=["a:b"]), scopes=["a:b"]),
    _is(
        "scopes of all three, each once",
        mint(scope="a b", scp="b c", permissions=["c", "d"]),
        scopes=["a", "b", "c", "d"],
    ),
    _is("scope as a list", mint(scope=["a", "b"]), scopes=["a", "b"]),
    _is("no scopes", mint(scope=ABSENT), scopes=[]),
    _is("a scope that is a number", mint(scope=7), scopes=[]),
)

_SPELLINGS: Final = (
    ("X-Auth-User-Id", "root"),
    ("x-auth-user-id", "root"),
    ("X_Auth_User_Id", "root"),
    ("X.Auth.User.Id", "root"),
    ("X-Auth_User.Id", "root"),
    ("x~auth~user~id", "root"),
    ("X-Auth-User-Tier", "ENTERPRISE"),
    ("X-AUTH-USER-AUTHENTICATED", "true"),
    ("X-Auth-User-Whatever", "1"),
)

_SPOOFED: Final = (
    *(
        Row(name=f"{name} sent by a client", headers=(*bearer(mint()), (name, value)), identity=someone())
        for name, value in _SPELLINGS
    ),
    Row(name="all of them at once", headers=(*_SPELLINGS, *bearer(mint())), identity=someone()),
    Row(name="X-Auth-User-Id makes nobody out of no one", gate="optional", headers=_SPELLINGS),
    Row(name="X-Auth-User-Id is no token", headers=_SPELLINGS, reason="missing"),
    Row(name="X-Auth-User-Id where the gate is off", gate="off", headers=_SPELLINGS),
    Row(name="Remote-User makes nobody out of no one", gate="optional", headers=(("Remote-User", "root"),)),
    Row(
        name="Connection cannot name the token away",
        headers=(("Connection", "close, Authorization, X-Auth-User-Id, Cookie"), *bearer(mint())),
        identity=someone(),
    ),
)

ROWS: Final = (*_IDS, *_META, *_SCOPES, *_SPOOFED)
