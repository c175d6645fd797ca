"""Where a token may stand, how it may be written there, and which of several counts."""

from typing import Final

from tests.table.row import Row, bearer, someone
from tests.table.tokens import mint, padded_to

_ALICE = mint()
_BOB = mint(sub="bob", jti="key-2")
_CAROL = mint(sub="erin", jti="key-3")
_BOBS = someone(id="bob", jti="key-2")
_ERINS = someone(id="erin", jti="key-3")

_PLACES: Final = (
    *(
        Row(name=f"query {name}", query=f"{name}={_ALICE}", identity=someone())
        for name in ("api_key", "access_token", "token")
    ),
    Row(name="Authorization", headers=bearer(_ALICE), identity=someone()),
    *(
        Row(name=f"header {name}", headers=((name, _ALICE),), identity=someone())
        for name in ("X-API-Key", "X-Api-Token")
    ),
    Row(name="a header in other letters", headers=(("x-aPi-kEY", _ALICE),), identity=someone()),
    Row(name="cookie", headers=(("Cookie", f"session_token={_ALICE}"),), identity=someone()),
    Row(
        name="a cookie among others",
        headers=(("Cookie", f"theme=dark; session_token={_ALICE}; lang=de"),),
        identity=someone(),
    ),
    Row(
        name="a cookie in the second of two fields",
        headers=(("Cookie", "theme=dark"), ("Cookie", f"session_token={_ALICE}")),
        identity=someone(),
    ),
    Row(name="a query name in other letters is none of ours", query=f"Token={_ALICE}", reason="missing"),
    Row(
        name="a cookie in other letters is none of ours",
        headers=(("Cookie", f"Session_Token={_ALICE}"),),
        reason="missing",
    ),
    Row(
        name="a cookie's name inside another's value",
        headers=(("Cookie", f"a=session_token={_ALICE}"),),
        reason="missing",
    ),
    Row(name="a header with `_` is another header", headers=(("X_API_Key", _ALICE),), reason="missing"),
    Row(
        name="a body is no place for a token",
        method="POST",
        sent_body=f"access_token={_ALICE}".encode(),
        reason="missing",
    ),
    Row(name="POST with a body", method="POST", sent_body=b"{}", headers=bearer(_ALICE), identity=someone()),
    Row(name="DELETE", method="DELETE", headers=bearer(_ALICE), identity=someone()),
)

_WRITTEN: Final = (
    *(
        Row(name=f"the scheme as {scheme}", headers=(("Authorization", f"{scheme} {_ALICE}"),), identity=someone())
        for scheme in ("Bearer", "bearer", "BEARER", "bEaReR")
    ),
    Row(name="a bare token in Authorization", headers=(("Authorization", _ALICE),), identity=someone()),
    Row(
        name="more than one space behind the scheme",
        headers=(("Authorization", f"Bearer   {_ALICE}"),),
        identity=someone(),
    ),
    Row(name="Bearer in the query", query=f"token=Bearer%20{_ALICE}", identity=someone()),
    Row(name="Bearer in the query, with a plus", query=f"token=bearer+{_ALICE}", identity=someone()),
    Row(name="Bearer in X-API-Key", headers=(("X-API-Key", f"Bearer {_ALICE}"),), identity=someone()),
    Row(name="Bearer in a cookie", headers=(("Cookie", f"session_token=Bearer {_ALICE}"),), identity=someone()),
    Row(name="quotes around a cookie", headers=(("Cookie", f'session_token="{_ALICE}"'),), identity=someone()),
    Row(name="a query name with escapes", query=f"%74oken={_ALICE}", identity=someone()),
    Row(name="dots of a query token escaped", query=f"token={_ALICE.replace('.', '%2E')}", identity=someone()),
    Row(name="a token under another scheme", headers=(("Authorization", f"Token {_ALICE}"),), reason="missing"),
    Row(
        name="a token under Basic, with another below",
        headers=(("Authorization", f"Basic {_ALICE}"), *bearer(_BOB)),
        identity=_BOBS,
    ),
    Row(name="Bearer twice", headers=(("Authorization", f"Bearer Bearer {_ALICE}"),), reason="malformed"),
)

_SEVERAL: Final = (
    Row(name="query before header", query=f"token={_ALICE}", headers=bearer(_BOB), identity=someone()),
    Row(
        name="header before cookie",
        headers=(("Cookie", f"session_token={_ALICE}"), *bearer(_BOB)),
        identity=_BOBS,
    ),
    Row(
        name="query names in configured order",
        query=f"token={_BOB}&access_token={_CAROL}&api_key={_ALICE}",
        identity=someone(),
    ),
    Row(name="headers in configured order", headers=(("X-Api-Token", _CAROL), ("X-API-Key", _BOB)), identity=_BOBS),
    Row(name="of one name, the first", query=f"token={_BOB}&token={_ALICE}", identity=_BOBS),
    Row(name="Authorization twice, the first good", headers=(*bearer(_BOB), *bearer(_ALICE)), identity=_BOBS),
    Row(name="Authorization twice, the second good", headers=(*bearer("junk"), *bearer(_ALICE)), identity=someone()),
    Row(
        name="two cookies of one name, the second good",
        headers=(("Cookie", f"session_token=junk; session_token={_ALICE}"),),
        identity=someone(),
    ),
    Row(
        name="the same token in three places",
        gate="single",
        query=f"token={_ALICE}",
        headers=(*bearer(_ALICE), ("X-API-Key", _ALICE)),
        identity=someone(),
    ),
    Row(
        name="two tokens where one is allowed",
        gate="single",
        query=f"token={_ALICE}",
        headers=bearer(_BOB),
        reason="multiple_tokens",
    ),
    Row(
        name="two tokens where one is allowed, one of them junk",
        gate="single",
        query="token=junk",
        headers=bearer(_BOB),
        reason="multiple_tokens",
    ),
    Row(
        name="8 credentials, the last good",
        query="&".join(f"token=junk{n}" for n in range(7)),
        headers=bearer(_ALICE),
        identity=someone(),
    ),
    Row(
        name="9 credentials, the first good",
        query="&".join([f"token={_ALICE}", *(f"token=junk{n}" for n in range(8))]),
        reason="malformed",
    ),
    Row(name="9 times the same credential", query="&".join([f"token={_ALICE}"] * 9), identity=someone()),
    Row(name="a token of 8 KiB", headers=bearer(padded_to(8192)), identity=someone()),
    Row(name="a token of 8 KiB and a byte", headers=bearer(padded_to(8193)), reason="malformed"),
    Row(
        name="a long junk token beside a good one",
        query=f"token={'x' * 8193}",
        headers=bearer(_ALICE),
        reason="malformed",
    ),
)

_RENAMED: Final = (
    Row(name="a query name of the operator's", gate="renamed", query=f"t={_ALICE}", identity=someone()),
    Row(name="a query name in capitals", gate="renamed", query=f"Q={_ALICE}", identity=someone()),
    Row(name="a usual query name, not configured", gate="renamed", query=f"token={_ALICE}", reason="missing"),
    Row(
        name="a header of the operator's, before Authorization",
        gate="renamed",
        headers=(*bearer(_BOB), ("X-Custom", _ALICE)),
        identity=someone(),
    ),
    Row(name="a usual header, not configured", gate="renamed", headers=(("X-API-Key", _ALICE),), reason="missing"),
    Row(
        name="cookies in configured order",
        gate="renamed",
        headers=(("Cookie", f"two={_BOB}; one={_ALICE}"),),
        identity=someone(),
    ),
    Row(name="the query switched off", gate="header-only", query=f"token={_ALICE}", reason="missing"),
    Row(
        name="cookies switched off",
        gate="header-only",
        headers=(("Cookie", f"session_token={_ALICE}"),),
        reason="missing",
    ),
    Row(
        name="the query switched off, and a header",
        gate="header-only",
        query="token=junk",
        headers=bearer(_ALICE),
        identity=someone(),
    ),
)

ROWS: Final = (*_PLACES, *_WRITTEN, *_SEVERAL, *_RENAMED)
