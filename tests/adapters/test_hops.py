"""What `Forwarded` tells (RFC 7239), and that nobody gets to tell it who is not believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.adapters.forwarded import client_address, trusts, upstream_headers
from sluicegate.adapters.hops import Hop, hops, told_by, written

PROXIES = trusts(["10.0.0.0/8"])


def forwarded(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"forwarded", value) for value in values]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"for=192.0.2.60;proto=http;by=203.0.113.43", [Hop(b"192.0.2.60", b"http")]),
        (b'For="[2001:db8:cafe::17]:4711"', [Hop(b"[2001:db8:cafe::17]:4711")]),
        (b"for=192.0.2.43, for=198.51.100.17", [Hop(b"192.0.2.43"), Hop(b"198.51.100.17")]),
        (b'for="_gazonk" ;proto=http', None),
        (b"for=_hidden, for=unknown", [Hop(b"_hidden"), Hop(b"unknown")]),
        (b'for=192.0.2.1;host="example.org:8080";PROTO=HTTPS', [Hop(b"192.0.2.1", b"https", b"example.org:8080")]),
        (b'for="192.0.2.\\1"', [Hop(b"192.0.2.1")]),
        (b"secret=x;for=192.0.2.1", [Hop(b"192.0.2.1")]),
        (b" , for=192.0.2.1,", [Hop(b"192.0.2.1")]),
        (b"", []),
    ],
)
def test_what_the_grammar_allows_is_read(value: bytes, found: list[Hop] | None) -> None:
    assert hops(forwarded(value)) == tuple(found or [])


@pytest.mark.parametrize(
    "value",
    [
        b"for=192.0.2.1, for",
        b'for="192.0.2.1, for=10.0.0.2',
        b"for=192.0.2.1;for=192.0.2.2",
        b'for="192.0.2.1"x',
        b"for =192.0.2.1",
        b"for=192.0.2.1;;proto=http",
        b"for=192.0.2.1;proto=gopher",
        b'for=192.0.2.1;host="a b"',
        b'for="192.0.2.1, 10.0.0.2"',
        b'for=192.0.2.1;host="a\r\nb"',
        b", ".join([b"for=192.0.2.1"] * 33),
    ],
)
def test_of_what_is_broken_nothing_is_read(value: bytes) -> None:
    assert hops(forwarded(b"for=192.0.2.9", value)) == ()


@pytest.mark.parametrize("broken", [b"," + b" " * 1_000_000 + b'"', b"a=b" + b";a=b" * 1_000_000 + b'"'])
def test_a_broken_field_is_read_once_however_long_it_is(broken: bytes) -> None:
    """Read once more for each of its spaces, it would take an hour, and the runner ends it."""
    assert hops(forwarded(broken)) == ()


def test_several_fields_are_one_list() -> None:
    assert [hop.node for hop in hops(forwarded(b"for=192.0.2.1", b"for=10.0.0.2"))] == [b"192.0.2.1", b"10.0.0.2"]


def test_the_client_is_the_last_hop_that_is_no_trusted_proxy() -> None:
    fields = forwarded(b"for=198.51.100.1, for=203.0.113.7, for=10.0.0.2")
    assert client_address("10.0.0.1", told_by(hops(fields), fields), PROXIES) == "203.0.113.7"


@pytest.mark.parametrize("node", [b"unknown", b"_secret", b'"not an address"'])
def test_a_hop_without_an_address_ends_the_walk_at_the_proxy_that_told_of_it(node: bytes) -> None:
    fields = forwarded(b"for=198.51.100.1, for=" + node + b", for=10.0.0.2")
    assert client_address("10.0.0.1", told_by(hops(fields), fields), PROXIES) in {"10.0.0.2", "10.0.0.1"}


def test_what_the_client_wrote_in_the_other_fields_is_overruled() -> None:
    fields = [
        (b"x-forwarded-for", b"1.2.3.4"),
        (b"x-forwarded-proto", b"https"),
        (b"x-real-ip", b"1.2.3.4"),
        (b"accept", b"*/*"),
        *forwarded(b"for=203.0.113.7;proto=http;host=shop.example"),
    ]
    assert dict(told_by(hops(fields), fields)) == {
        b"accept": b"*/*",
        b"x-forwarded-for": b"203.0.113.7",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-host": b"shop.example",
    }


def test_where_proxies_write_the_other_fields_it_ends_here() -> None:
    sent = upstream_headers(
        forwarded(b"for=1.2.3.4"),
        peer="10.0.0.1",
        trusted=True,
        scheme="http",
        host=b"shop.example",
        extra=frozenset(),
        identity=[],
    )
    assert b"forwarded" not in {name.lower() for name, _ in sent}


def test_our_own_hop_stands_behind_what_was_told() -> None:
    told = hops(forwarded(b'for="[2001:db8::7]";proto=https'))
    value = written(told, peer="10.0.0.1", scheme="http", host=b"shop.example:8080")
    assert value == b'for="[2001:db8::7]";proto=https, for=10.0.0.1;proto=http;host="shop.example:8080"'


@given(st.binary(max_size=80))
def test_whatever_comes_is_read_or_not_and_what_is_written_is_read_back(value: bytes) -> None:
    found = hops(forwarded(value))
    assert not any(byte < 0x20 for hop in found for byte in hop.node + hop.host)
    again = hops(forwarded(written(found, peer="::1", scheme="http", host=b"shop.example")))
    told = tuple(hop for hop in found if hop != Hop())  # one that tells nothing leaves no trace
    assert again == (*told, Hop(b"[::1]", b"http", b"shop.example"))
