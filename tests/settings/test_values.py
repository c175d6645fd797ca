from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.settings.addresses import Bind
from sluicegate.settings.quantities import seconds
from sluicegate.settings.stores import (
    EmbeddedStore,
    NoStore,
    RedisCluster,
    RedisSentinel,
    RedisServer,
    RedisSocket,
    Store,
)
from sluicegate.settings.validation import validate

BASE: Final = Path("/etc/gate")


def value(section: str, key: str, given_value: object) -> Any:  # noqa: ANN401 - of any type
    """What one key reads, all rules over several keys aside."""
    validated = validate({section: {key: given_value}}, BASE, faulty=())
    assert not validated.findings, validated.findings
    return getattr(getattr(validated.settings, section), key)


def problem(section: str, key: str, given_value: object) -> str:
    findings = validate({section: {key: given_value}}, BASE, faulty=()).findings
    assert len(findings) == 1
    return findings[0].problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50ms", 0.05), ("1s", 1), ("1m30s", 90), ("0s", 0), ("0", 0), ("2h", 7200), ("1.5s", 1.5), (".5s", 0.5),
        ("1h1m1s1ms", 3661.001), ("100us", 0.0001), ("100µs", 0.0001), ("7d", 604800), ("+1s", 1), ("-1s", -1),
        ("0.1s0.1s0.1s", 0.3), ("10ns", 1e-8),
    ],
)  # fmt: skip
def test_durations_are_read_as_go_writes_them(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "s", "1", "1 s", "1S", "1sec", "--1s", "1m-1s", "1e3s", "\u0661s", "1s ", "0x1s", "1..5s"]
)
def test_what_go_would_not_read_is_no_duration(text: str) -> None:
    assert seconds(text) is None


@given(st.integers(0, 10**9), st.sampled_from([("ms", 1000), ("s", 1), ("us", 10**6)]))
def test_a_duration_loses_nothing(number: int, unit: tuple[str, int]) -> None:
    assert seconds(f"{number}{unit[0]}") == number / unit[1]


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        ("unlimited", None),
        (0, 0),
        (4096, 4096),
        ("10MiB", 10 * 2**20),
        ("10MB", 10**7),
        ("1 KiB", 1024),
        ("2GB", 2 * 10**9),
        ("7B", 7),
    ],
)
def test_sizes_are_bytes_with_or_without_a_unit(given_value: object, expected: int | None) -> None:
    assert value("http", "max_body_size", given_value) == expected


@pytest.mark.parametrize(
    "given_value", ["4096", "10mib", "-1", "1.5MiB", "", "infinite", "999999999999GB", True, 1.5, -7]
)
def test_what_is_no_size_is_refused(given_value: object) -> None:
    assert problem("http", "max_body_size", given_value)


@pytest.mark.parametrize(
    ("text", "expected", "is_loopback"),
    [
        ("127.0.0.1:80", Bind("127.0.0.1", 80), True),
        ("127.9.9.9:80", Bind("127.9.9.9", 80), True),
        ("[::1]:0", Bind("::1", 0), True),
        ("localhost:65535", Bind("localhost", 65535), True),
        (":8080", Bind("", 8080), False),
        ("0.0.0.0:8080", Bind("0.0.0.0", 8080), False),  # noqa: S104 - read, not bound to
        ("[::]:8080", Bind("::", 8080), False),
        ("gate.example:1", Bind("gate.example", 1), False),
    ],
)
def test_a_listener_stands_on_a_host_and_port(text: str, expected: Bind, *, is_loopback: bool) -> None:
    bind = value("http", "bind_address", text)
    assert bind == expected
    assert bind.is_loopback is is_loopback
    assert str(bind) == text


@pytest.mark.parametrize(
    "text",
    [
        "80",
        "a",
        "a:",
        "a:65536",
        "a:-1",
        "a:\uff18\uff10",
        "::1:80",
        "[::1]",
        "[a]:80",
        "1.2.3:80",
        "a b:80",
        "http://a:80",
        "*:80",
        "a:80/",
    ],
)
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    assert problem("http", "bind_address", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", EmbeddedStore()),
        ("disabled", NoStore()),
        ("h:1", RedisServer("h", 1)),
        ("[::1]:6379", RedisServer("::1", 6379)),
        ("redis://h", RedisServer("h", 6379)),
        ("REDIS://h:1/", RedisServer("h", 1)),
        ("rediss://h:1", RedisServer("h", 1, tls=True)),
        ("redis://[::1]", RedisServer("::1", 6379)),
        ("unix:///run/r.sock", RedisSocket("/run/r.sock")),
        ("redis+sentinel://a,b:1/main", RedisSentinel((("a", 26379), ("b", 1)), "main")),
        ("redis+cluster://a:1,b", RedisCluster((("a", 1), ("b", 6379)))),
    ],
)
def test_a_store_has_one_of_the_written_forms(text: str, expected: Store) -> None:
    assert value("stateful_jwt", "redis_addr", text) == expected


@pytest.mark.parametrize(
    "text", ["redis://us%65r:p%40ss@h/7", "unix://us%65r:p%40ss@/r.sock?db=7", "redis+sentinel://us%65r:p%40ss@h/m/7"]
)
def test_a_login_in_the_address_is_decoded(text: str) -> None:
    login = value("stateful_jwt", "redis_addr", text).login
    assert (login.username, login.password.get_secret_value(), login.db) == ("user", "p@ss", 7)


@pytest.mark.parametrize(
    "text",
    [
        "h", ":6379", "h:0x1", "h:70000", "redis://", "redis://:1", "redis://h:0", "redis://a,b", "redis://h/x", "redis://h/0/",
        "redis://h?db=1", "redis://h#1", "http://h", "redis:h", "unix://run/r.sock", "unix://", "unix:///r?password=p",
        "redis+sentinel://h", "redis+sentinel:///m", "redis+cluster://h/1", " h:1", "Disabled",
    ],
)  # fmt: skip
def test_anything_else_is_no_store(text: str) -> None:
    assert problem("stateful_jwt", "redis_addr", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://A.example", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://[::1]:81", "http://[::1]:81"),
        ("*", "*"),
    ],
)
def test_an_origin_is_compared_as_browsers_send_it(text: str, expected: str) -> None:
    assert value("http", "cors_allowed_origins", [text]) == (expected,)


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "host",
        "Content-Length",
        "content_length",
        "Transfer-Encoding",
        "Connection",
        "Cookie",
        "X-Forwarded-For",
        "Upgrade",
        "TE",
        "X-Auth-User-Id",
        "a b",
        "a:",
        "é",
        "",
    ],
)
def test_no_token_comes_in_a_header_that_means_something_else(name: str) -> None:
    assert problem("stateful_jwt", "from_header", [name])


def test_a_number_in_quotes_is_no_duration_and_is_told_its_unit() -> None:
    assert problem("stateful_jwt", "timeout", "50") == "is a duration without a unit"


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (["tier"], (("tier", "tier"),)),
        (["org.id->organization", " role -> user_role "], (("org.id", "organization"), ("role", "user_role"))),
        ({"tier": "tier", "https://a.example/role": "role"}, (("tier", "tier"), ("https://a.example/role", "role"))),
        ([], ()),
    ],
)
def test_claims_are_handed_on_under_their_own_or_another_name(given_value: object, expected: object) -> None:
    assert value("stateful_jwt", "meta_claims", given_value) == expected


@pytest.mark.parametrize(
    "entry", ["", "->a", "a->", "a->b c", "https://a.example/role", "a->b->c", "x->ID", "x->J.T.I->jti", "a->{b}", 1]
)
def test_a_claim_under_no_usable_name_is_refused(entry: object) -> None:
    assert problem("stateful_jwt", "meta_claims", [entry])
