"""Which route a path takes, and which paths take none because they can be read in two ways."""

from collections.abc import Callable

import pytest

from sluicegate.server.routes import Found, Table
from sluicegate.server.wire.malformed import Malformed

PATHS = ["/hello", "/api/v1/*", "/api/v1/special", "/events/{topic}", "/users/{user}/files/*", "/a/{topic}/{x}", "/*"]


def find(path: str, *, strict: bool = True, paths: list[str] = PATHS) -> Found | None:
    """Look a path up."""
    return Table(paths, strict=strict).find(path.encode())


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/hello", Found(0)),
        ("/h%65llo", Found(0)),
        ("/hello/", Found(6)),
        ("/HELLO", Found(6)),
        ("/api/v1/", Found(1)),
        ("/api/v1/a/b", Found(1)),
        ("/api/v1", Found(6)),
        ("/events/news", Found(3, "news")),
        ("/events/caf%C3%A9", Found(3, "café")),
        ("/events/", Found(6)),
        ("/events/a/b", Found(6)),
        ("/users/7/files/a/b", Found(4)),
        ("/a/t/x", Found(5, "t")),
        ("/", Found(6)),
    ],
)
def test_a_path_takes_the_first_route_that_matches(path: str, found: Found) -> None:
    assert find(path) == found


def test_an_exact_route_behind_a_pattern_that_holds_it_is_never_reached() -> None:
    assert find("/api/v1/special") == Found(1)
    assert find("/api/v1/special", paths=["/api/v1/special", "/api/v1/*"]) == Found(0)


def test_of_two_equal_routes_the_first_counts() -> None:
    assert find("/a", paths=["/a", "/a"]) == Found(0)


def test_a_path_that_nothing_matches_leads_nowhere() -> None:
    assert find("/nowhere", paths=["/hello", "/api/*"]) is None
    assert find("/hello", paths=[]) is None


def test_what_looks_like_an_expression_in_a_route_is_taken_as_written() -> None:
    assert find("/a.b+c", paths=["/a.b+c/*", "/a.b+c"]) == Found(1)
    assert find("/axbc", paths=["/a.b+c"]) is None


AMBIGUOUS = [
    "/a//b",
    "//a",
    "/a/../b",
    "/a/..",
    "/..",
    "/a/./b",
    "/.",
    "/a/%2e%2e/b",
    "/a/%2E./b",
    "/a/.%2e",
    "/a/%2e/b",
    "/a%2fb",
    "/a%2Fb",
    "/a%5cb",
    "/a\\b",
    "/a;b",
    "/a;",
    "/a%3bb",
    "/a%00",
    "/a%0d%0ab",
    "/a%1f",
    "/a%7f",
    "/a%",
    "/a%2",
    "/a%zz",
    "/a%u002f",
    "/a%252fb",
    "/a%252e%252e/b",
    "/a%255cb",
    "/a%25252fb",
    "/a%c0%afb",
    "/a%e0%80%af",
    "/a%ff",
    "/a%ed%a0%80",
]


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_where_something_is_protected_a_path_that_reads_in_two_ways_is_refused(path: str) -> None:
    with pytest.raises(Malformed) as refused:
        find(path)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "path", ["/a/", "/.well-known/x", "/a.b", "/a..b", "/...", "/a%20b", "/100%25", "/a,b=c@d:e!", "/%e2%82%ac"]
)
def test_an_honest_path_is_not_refused(path: str) -> None:
    assert find(path) == Found(6)


NO_PATHS = ["/..", "/a/../..", "/a/%2e%2e/..", "/a%00", "/a%", "/a%2", "/a%zz", "/a%u002f"]


@pytest.mark.parametrize("path", sorted({*AMBIGUOUS} - {*NO_PATHS}))
def test_where_nothing_is_protected_any_path_finds_its_way(path: str) -> None:
    assert find(path, strict=False, paths=["/hello", "/*"]) == Found(1)


@pytest.mark.parametrize("path", NO_PATHS)
def test_what_is_no_path_is_refused_where_nothing_is_protected_too(path: str) -> None:
    with pytest.raises(Malformed) as refused:
        find(path, strict=False, paths=["/hello", "/*"])
    assert refused.value.status == 400


def has_policy(*strict: int) -> Callable[[int, int], bool]:
    """Every route leads to one upstream, and only these ask for anything."""
    return lambda later, earlier: earlier in strict and later not in strict


@pytest.mark.parametrize("path", ["/ADMIN", "/admin/", "/Admin/", "/adm%49n", "/secret", "/SECRET/a", "/a/X/FILES"])
def test_a_path_that_a_lax_upstream_takes_for_a_stricter_route_is_refused(path: str) -> None:
    table = Table(["/admin", "/secret/*", "/a/{x}/files", "/*"], strict=True, is_weaker=has_policy(0, 1, 2))
    with pytest.raises(Malformed) as refused:
        table.find(path.encode())
    assert refused.value.status == 400


@pytest.mark.parametrize(("path", "place"), [("/admin", 0), ("/secret/A", 1), ("/administer", 3), ("/a/x/y/files", 3)])
def test_a_path_of_its_own_is_not_refused_for_being_near_a_stricter_one(path: str, place: int) -> None:
    table = Table(["/admin", "/secret/*", "/a/{x}/files", "/*"], strict=True, is_weaker=has_policy(0, 1, 2))
    assert table.find(path.encode()) == Found(place)
