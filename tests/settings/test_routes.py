from pathlib import Path
from typing import Any, Final

import pytest

from sluicegate.settings.addresses import Upstream
from sluicegate.settings.route_rules import covers
from sluicegate.settings.validation import validate
from tests.settings.reading import KEY, fault, read

BASE: Final = Path("/etc/gate")


@pytest.mark.parametrize(
    "text", ["/", "/hello", "/a/*", "/*", "/e/{topic}", "/{a}/{b}/c", "/a/", "/~a/b-c_d.e", "/a,b:c@d!$&'()+="]
)
def test_a_path_has_one_of_the_written_forms(text: str) -> None:
    assert read(KEY + f'[[route]]\npath = "{text}"\nrespond = ""\n').route[0].path == text


@pytest.mark.parametrize(
    "text",
    [
        "a", "", "*", "/a*", "/*/a", "/a/**", "//", "/a//b", "/..", "/a/../b", "/./a", "/a%2fb", "/a;b", "/a?b", "/a#b",
        "/a\\\\b", "/a b", "/é", "/{}", "/{A}", "/a{b}", "/{b}c", "/{a}/{a}", "/{a", "/a\\u0000", "http://h/a",
    ],
)  # fmt: skip
def test_a_path_that_could_be_read_in_two_ways_is_refused(text: str) -> None:
    assert fault(KEY + f'[[route]]\npath = "{text}"\nrespond = ""\n').key == "[[route]] #1 path"


@pytest.mark.parametrize(
    ("wide", "narrow", "does"),
    [
        ("/a", "/a", True), ("/a/*", "/a/b", True), ("/a/*", "/a/b/c", True), ("/a/*", "/a/", True),
        ("/a/*", "/a", False), ("/a/*", "/a/b/*", True), ("/a/b/*", "/a/*", False), ("/*", "/", True),
        ("/{x}", "/a", True), ("/a", "/{x}", False), ("/{x}", "/{y}", True), ("/{x}", "/*", False),
        ("/{x}/*", "/a/b", True), ("/{x}", "/", False), ("/ab/*", "/abc/d", False),
        ("/a/", "/a", False), ("/a/{x}/*", "/a/*", False), ("/{x}/*", "/*", False),
    ],
)  # fmt: skip
def test_one_path_covers_another_when_it_matches_all_that_the_other_does(wide: str, narrow: str, *, does: bool) -> None:
    assert covers(wide, narrow) is does


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h", Upstream("http", "h", 80)),
        ("http://h:81/", Upstream("http", "h", 81)),
        ("https://[::1]:1", Upstream("https", "::1", 1)),
        ("unix:/run/a.sock", Upstream("unix", path="/run/a.sock")),
    ],
)
def test_an_upstream_is_a_service_without_a_path(text: str, expected: Upstream) -> None:
    route = {"path": "/", "upstream": text}
    assert validate({"route": [route]}, BASE, faulty=()).settings.route[0].upstream == (expected,)
    again = {"path": "/", "upstream": str(expected)}
    assert validate({"route": [again]}, BASE, faulty=()).settings.route[0].upstream == (expected,)


@pytest.mark.parametrize(
    "text",
    [
        "h:80", "ftp://h", "http://", "http://h/a", "http://h?a", "http://h#a", "http://u@h", "http://h:0", "http://h:x",
        "http://a b", "http://[::1", "http://1.2.3", "unix:a", "http://é",
    ],
)  # fmt: skip
def test_anything_else_is_no_upstream(text: str) -> None:
    assert validate({"route": [{"path": "/", "upstream": text}]}, BASE, faulty=()).findings


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Connection",
        "content-length",
        "Keep-Alive",
        "Transfer_Encoding",
        "X-Request-ID",
        "x-forwarded-for",
        "a b",
        "",
    ],
)
def test_no_header_of_the_connection_is_set_towards_an_upstream(name: str) -> None:
    route = {"path": "/", "upstream": "http://h", "header_up": {name: "a"}}
    assert len(validate({"route": [route]}, BASE, faulty=()).findings) == 1


@pytest.mark.parametrize("claims", [{"": "a"}, {" ": ["a"]}, {"a": []}, {"a": None}, {"a": [["b"]]}, {"a\n": "b"}])
def test_a_requirement_names_a_claim_and_at_least_one_plain_value(claims: dict[str, Any]) -> None:
    route = {"path": "/", "respond": "", "require": {"claims": claims}}
    assert len(validate({"route": [route]}, BASE, faulty=()).findings) == 1


@pytest.mark.parametrize("text", ["a\r\nX: b", "a\0", "é", " a", "a\t"])
def test_a_header_value_is_one_printable_line(text: str) -> None:
    route = {"path": "/", "upstream": "http://h", "header_up": {"X-A": text}}
    assert len(validate({"route": [route]}, BASE, faulty=()).findings) == 1
