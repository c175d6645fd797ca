"""Which tokens a request carries, and in which order they are judged."""

import pytest

from sluicegate.core.extract import TooMuch, extract
from sluicegate.core.policy import Sources
from sluicegate.core.request import Credential, Request, Source

DEFAULT = Sources()


def tokens(request: Request, sources: Sources = DEFAULT) -> list[str]:
    return [credential.token.decode("latin-1") for credential in extract(request, sources)]


def headers(*fields: tuple[str, str]) -> Request:
    return Request(headers=[(name.lower().encode(), value.encode("latin-1")) for name, value in fields])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param("Bearer a.b.c", ["a.b.c"], id="Bearer"),
        pytest.param("bEARER a.b.c", ["a.b.c"], id="the scheme in any case"),
        pytest.param("Bearer    a.b.c \t", ["a.b.c"], id="white space around it"),
        pytest.param("a.b.c", ["a.b.c"], id="a bare token"),
        pytest.param("Bearer a, Bearer b", ["a", "b"], id="two fields folded into one"),
        pytest.param("Bearer a,b", ["a", "b"], id="folded without a space, the second bare"),
        pytest.param("Bearer a,,", ["a"], id="empty members of a list"),
        pytest.param("Digest u=x, r=y, n=z", [], id="parameters of another scheme"),
        pytest.param("Digest u=x, r=y, Bearer a", ["a"], id="Bearer folded behind another scheme"),
        pytest.param("Bearer a, Digest u=x, r=y", ["a"], id="another scheme folded behind Bearer"),
        pytest.param("Basic dXNlcjpwYXNz", [], id="Basic"),
        pytest.param("DPoP a.b.c", [], id="DPoP"),
        pytest.param("Bearer", [], id="a scheme alone"),
        pytest.param("Bearer ", [], id="a scheme and a space"),
        pytest.param("", [], id="nothing"),
        pytest.param(" \t", [], id="white space"),
        pytest.param("Bearer a b", ["a b"], id="two words, which no token is"),
        pytest.param("Bearer Bearer a", ["Bearer a"], id="the scheme twice, which no token is"),
    ],
)
def test_authorization_carries_bearer_or_a_bare_token(value: str, found: list[str]) -> None:
    assert tokens(headers(("Authorization", value))) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param("a.b.c", ["a.b.c"], id="as it is"),
        pytest.param("Bearer a.b.c", ["a.b.c"], id="after Bearer"),
        pytest.param(" a , Bearer b ", ["a", "b"], id="folded"),
        pytest.param("", [], id="empty"),
        pytest.param("Bearer ", ["Bearer"], id="a scheme alone, which no token is"),
    ],
)
def test_other_headers_carry_tokens_without_a_scheme_of_their_own(value: str, found: list[str]) -> None:
    assert tokens(headers(("X-API-Key", value))) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param(b"token=a.b.c", ["a.b.c"], id="as it is"),
        pytest.param(b"x=1&token=a&y", ["a"], id="among others"),
        pytest.param(b"%74oken=a%2Eb%2ec", ["a.b.c"], id="name and value escaped"),
        pytest.param(b"token=Bearer+a", ["a"], id="after Bearer, with a plus for the space"),
        pytest.param(b"token=Bearer%20a", ["a"], id="after Bearer, with the space escaped"),
        pytest.param(b"token=%zz%4", ["%zz%4"], id="escapes that are none stay"),
        pytest.param(b"token=a=b", ["a=b"], id="only the first = separates"),
        pytest.param(b"token=a&token=b", ["a", "b"], id="twice, in the order received"),
        pytest.param(b"token=a&access_token=b&api_key=c", ["c", "b", "a"], id="in the operator's order"),
        pytest.param(b"token=&token", [], id="empty"),
        pytest.param(b"TOKEN=a", [], id="another case is another name"),
        pytest.param(b"xtoken=a&token%00=b", [], id="names that only resemble"),
        pytest.param(b"token=a;token=b", ["a;token=b"], id="a semicolon separates nothing"),
        pytest.param(b"&&&", [], id="nothing"),
    ],
)
def test_the_query_is_read_as_a_form(query: bytes, found: list[str]) -> None:
    assert tokens(Request(query=query)) == found


@pytest.mark.parametrize(
    ("cookies", "found"),
    [
        pytest.param(["session_token=a.b.c"], ["a.b.c"], id="alone"),
        pytest.param(["x=1; session_token=a; y=2"], ["a"], id="among others"),
        pytest.param(['session_token="a"'], ["a"], id="in quotes"),
        pytest.param(["  session_token = a ;x"], ["a"], id="with white space"),
        pytest.param(["session_token=Bearer a"], ["a"], id="after Bearer"),
        pytest.param(["session_token=a", "session_token=b"], ["a", "b"], id="in two fields"),
        pytest.param(["session_token=a, session_token=b"], ["a", "b"], id="in two fields, folded with a comma"),
        pytest.param(["Session_Token=a"], [], id="another case is another name"),
        pytest.param(["session_token=", "session_token"], [], id="empty"),
    ],
)
def test_cookies_are_read_as_pairs(cookies: list[str], found: list[str]) -> None:
    assert tokens(headers(*(("Cookie", cookie) for cookie in cookies))) == found


def test_query_goes_before_header_and_header_before_cookie() -> None:
    request = headers(("Cookie", "session_token=cookie"), ("X-API-Key", "key"), ("Authorization", "Bearer auth"))
    assert tokens(Request(query=b"token=query", headers=request.headers)) == ["query", "auth", "key", "cookie"]


def test_headers_go_in_the_operators_order_and_then_as_received() -> None:
    sources = Sources(header=("X-Second", "X-First"))
    request = headers(("X-First", "c"), ("X-Second", "a"), ("X-First", "d"), ("X-Second", "b"))
    assert tokens(request, sources) == ["a", "b", "c", "d"]


def test_a_source_named_twice_keeps_its_first_rank_and_cookies_stay_last() -> None:
    sources = Sources(header=("X-A", "x-a", "X-A", "X-B"))
    request = headers(("Cookie", "session_token=cookie"), ("X-B", "b"), ("X-A", "a"))
    assert tokens(request, sources) == ["a", "b", "cookie"]


def test_equal_tokens_are_one_credential_that_stood_where_it_was_first() -> None:
    request = Request(query=b"token=a", headers=[(b"authorization", b"Bearer a"), (b"x-api-key", b"a")])
    assert extract(request, DEFAULT) == (Credential(b"a", Source("query", "token")),)


def test_a_source_is_called_as_the_operator_spelt_it() -> None:
    (credential,) = extract(headers(("x-api-key", "a")), DEFAULT)
    assert str(credential.source) == "header X-API-Key"


def test_no_sources_really_means_nowhere() -> None:
    request = Request(query=b"token=a", headers=[(b"authorization", b"Bearer a"), (b"cookie", b"session_token=a")])
    assert extract(request, Sources(query=(), header=(), cookies=())) == ()


def test_eight_different_tokens_are_taken_and_nine_are_too_many() -> None:
    eight = [("X-API-Key", f"token{number}") for number in range(8)]
    assert len(tokens(headers(*eight, *eight))) == 8
    with pytest.raises(TooMuch, match="more than 8"):
        tokens(headers(*eight, ("X-API-Key", "another")))


def test_8_kib_are_taken_and_one_byte_more_is_too_long() -> None:
    assert tokens(headers(("X-API-Key", "a" * 8192))) == ["a" * 8192]
    with pytest.raises(TooMuch, match="longer than 8192"):
        tokens(headers(("X-API-Key", "a" * 8193)))
