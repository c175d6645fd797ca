"""What is left of a request when its credentials are taken out: nothing of them, and everything else as it was."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluicegate.core.extract import credentials_in
from sluicegate.core.policy import Sources
from sluicegate.core.request import Request
from sluicegate.core.strip import strip, without_tokens

DEFAULT = Sources()
ODD = Sources(query=("a b", "t%", ""), header=("X-Token", "Proxy-Authorization"), cookies=("a", "b"))
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWEtdG9rZW4"


def stripped(query: str = "", *headers: tuple[str, str], sources: Sources = DEFAULT) -> Any:  # noqa: ANN401 - as given
    fields = [(name.encode(), value.encode()) for name, value in headers]
    rest, kept = strip(Request(query=query.encode(), headers=fields), sources)
    return rest.decode() if not headers else [(name.decode(), value.decode()) for name, value in kept]


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("token=x", ""),
        ("a=1&token=x&b=%32+&&c", "a=1&b=%32+&&c"),
        ("%74oken=x&a=1", "a=1"),
        ("t%6Fken=x&access_token=y&api_key=z", ""),
        ("token", ""),
        ("token=", ""),
        ("a=1&token=x&token=y", "a=1"),
        ("Token=x&tokens=y&a;token=z", "Token=x&tokens=y&a;token=z"),
        ("a=b=c&d", "a=b=c&d"),
        (f"next={TOKEN}&token={TOKEN}&a=1", "a=1"),
        (f"next=%65{TOKEN[1:]}&token={TOKEN}", ""),
    ],
)
def test_parameters_that_may_hold_a_token_go_and_the_others_stay_byte_for_byte(query: str, left: str) -> None:
    assert stripped(query) == left


TICKET = "aZ09-_" * 7 + "b"


@pytest.mark.parametrize(
    ("query", "left", "copies_go"),
    [
        (f"ticket={TICKET}", "", True),
        (f"a=1&ticket={TICKET}&b=%20", "a=1&b=%20", True),
        (f"%74icket=%61{TICKET[1:]}", "", True),
        (f"ticket={TICKET[::-1]}&ticket={TICKET}", "", True),
        ("ticket=4711&a", "ticket=4711&a", False),
        (f"tickets={TICKET}", f"tickets={TICKET}", False),
    ],
)
def test_tickets_go_where_the_gate_takes_them_and_those_of_the_application_stay(
    query: str, left: str, *, copies_go: bool
) -> None:
    copy = (b"x-copy", TICKET.encode())
    kept = [] if copies_go else [copy]
    assert strip(Request(query=query.encode(), headers=[copy]), DEFAULT, tickets=True) == (left.encode(), kept)
    assert strip(Request(query=query.encode(), headers=[copy]), DEFAULT) == (query.encode(), [copy])
    referer, cleaned = f"https://a.test/b?{query}".encode(), f"https://a.test/b{left and '?'}{left}".encode()
    assert without_tokens(referer, DEFAULT, tickets=True) == cleaned
    assert without_tokens(referer, DEFAULT) == referer


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("session_token=x", None),
        ("a=1; session_token=x; b=2", "a=1; b=2"),
        ("session_token=x; a=1;b=2", "a=1;b=2"),
        ('a="q, r"; session_token="x"', 'a="q, r"'),
        ("a=1,session_token=x,b=2", "a=1,b=2"),
        ("session_token=x,y,z; a=1", "a=1"),
        (" session_token = x ;a", "a"),
        ("session_tokens=x; Session_Token=y", "session_tokens=x; Session_Token=y"),
        ("a=1;; b=2", "a=1;; b=2"),
        ("", ""),
        (f"session_token={TOKEN}; other={TOKEN}", None),
    ],
)
def test_cookies_that_may_hold_a_token_go_and_the_others_stay_byte_for_byte(value: str, left: str | None) -> None:
    assert stripped("", ("cookie", value)) == ([] if left is None else [("cookie", left)])


@pytest.mark.parametrize(
    ("name", "value", "goes"),
    [
        ("authorization", "Bearer x", True),
        ("authorization", "x", True),
        ("authorization", "Basic dTpw", False),
        ("authorization", "Basic dTpw, Bearer x", True),
        ("authorization", "", False),
        ("x-api-key", "x", True),
        ("x-api-token", "Bearer x", True),
        ("x-other", "x", False),
        ("x-other", f"is {TOKEN} too", True),
    ],
)
def test_headers_that_carry_a_credential_go_and_others_stay(name: str, value: str, *, goes: bool) -> None:
    kept = stripped("", ("x-api-token", TOKEN), (name, value), ("accept", "*/*"))
    assert kept == [*([] if goes else [(name, value)]), ("accept", "*/*")]


def test_a_short_key_takes_nothing_with_it_that_only_looks_like_it() -> None:
    assert stripped("", ("x-api-key", "a"), ("accept", "a/a")) == [("accept", "a/a")]


def test_where_no_token_is_looked_for_nothing_is_taken() -> None:
    nowhere = Sources(query=(), header=(), cookies=())
    assert stripped("token=x", sources=nowhere) == "token=x"
    headers = [("authorization", "Bearer x"), ("cookie", "session_token=x")]
    assert stripped("", *headers, sources=nowhere) == headers


@pytest.mark.parametrize(
    ("referer", "left"),
    [
        ("https://a.test/b?c=1", "https://a.test/b?c=1"),
        ("https://a.test/b", "https://a.test/b"),
        ("https://a.test/b?", "https://a.test/b?"),
        ("https://a.test/b?token=x", "https://a.test/b"),
        ("https://a.test/b?c=1&%74oken=x&d=%20", "https://a.test/b?c=1&d=%20"),
        (f"https://a.test/b?id_token={TOKEN}&c=1", "https://a.test/b?c=1"),
        (f"https://a.test/b?next=%2Fc%3Fx%3D{TOKEN}", "https://a.test/b"),
        (f"https://a.test/b?next=%252Fc%253Fx%253D{TOKEN.replace('e', '%2565')}", "https://a.test/b"),
        (f"https://a.test/confirm/{TOKEN}?c=1", "https://a.test/"),
        (f"https://a.test/b#access_token={TOKEN}", "https://a.test/b"),
        (f"https://{TOKEN}@a.test/b", ""),
        (f"/b/{TOKEN}", ""),
        ("https://a.test/b?c=eyes.of.blue", "https://a.test/b?c=eyes.of.blue"),
        ("about:blank", "about:blank"),
    ],
)
def test_a_referer_keeps_what_is_no_token(referer: str, left: str) -> None:
    assert without_tokens(referer.encode(), DEFAULT).decode() == left


def _spelt(name: str) -> st.SearchStrategy[str]:
    """A name with any of its letters escaped."""
    letter = lambda one: st.sampled_from([one, f"%{ord(one):02x}", f"%{ord(one):02X}"])  # noqa: E731 - one line
    return st.tuples(*map(letter, name)).map("".join)


NAMES = ["token", "access_token", "api_key", "a", "b", "a b", "t%", "", "session_token", "x"]
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(NAMES).flatmap(_spelt), st.sampled_from([TOKEN, "x", "", "Bearer " + TOKEN, "%" + TOKEN])
    ),
    max_size=5,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
COOKIES = st.lists(
    st.tuples(
        st.sampled_from(["session_token", "a", "b", " a ", "session_token ", "c"]),
        st.sampled_from([TOKEN, f'"{TOKEN}"', "x", "", "Bearer " + TOKEN, TOKEN + "," + TOKEN]),
        st.sampled_from([";", "; ", ",", " ;", ",;"]),
    ),
    max_size=5,
).map(lambda parts: "".join(f"{name}={value}{separator}" for name, value, separator in parts))
VALUES = st.sampled_from(
    [
        TOKEN,
        f"Bearer {TOKEN}",
        f"bEARER  {TOKEN}",
        f"Basic x, Bearer {TOKEN}",
        f"{TOKEN},{TOKEN}",
        "Basic x",
        "",
        "x, y",
    ]
)
HEADERS = st.lists(
    st.one_of(
        st.tuples(st.just("cookie"), COOKIES),
        st.tuples(
            st.sampled_from(["authorization", "proxy-authorization", "x-api-key", "x-token", "x-other", "host"]), VALUES
        ),
        st.tuples(st.text("abcx-", min_size=1), st.text(st.characters(codec="ascii", exclude_categories=["Cc"]))),
    ),
    max_size=6,
)


@given(query=QUERIES | st.text(st.characters(codec="ascii", exclude_categories=["Cc"])), headers=HEADERS)
@example(query="%74oken=" + TOKEN, headers=[("cookie", "a=1,session_token=x,y;session_token")])
def test_nothing_that_is_read_as_a_token_remains_nor_any_of_its_bytes(
    query: str, headers: list[tuple[str, str]]
) -> None:
    fields = [(name.encode(), value.encode()) for name, value in headers]
    for sources in (DEFAULT, ODD):
        request = Request(query=query.encode(), headers=fields)
        rest, kept = strip(request, sources)
        again = Request(query=rest, headers=kept)
        assert not credentials_in(again, sources)
        assert strip(again, sources) == (rest, kept)
        left = b"\n".join([rest, *(value for _, value in kept)])
        for _, token, _ in credentials_in(request, sources):
            assert len(token) < 32 or token not in left
        if not credentials_in(request, sources) and not sources.by_query and b"cookie" not in dict(fields):
            assert (rest, kept) == (request.query, fields)


@given(query=QUERIES, page=st.sampled_from(["https://a.test/b", "https://a.test/" + TOKEN, "/", "", TOKEN]))
def test_nothing_like_a_token_remains_in_a_referer(query: str, page: str) -> None:
    left = without_tokens(f"{page}?{query}".encode(), DEFAULT)
    assert TOKEN.encode() not in left
    assert not credentials_in(Request(query=left.partition(b"?")[2]), DEFAULT)
