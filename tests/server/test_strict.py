"""Requests that parsers read in different ways, sent raw: refused, the connection closed, nothing at the upstream."""

from collections.abc import Iterator

import pytest

from sluicegate.server.wire.limits import Limits
from tests.server.gate import BEARER, HELLO, TOKEN, Running, route, running
from tests.server.requests import REFUSED
from tests.server.test_routes import AMBIGUOUS
from tests.server.upstream import Listening, upstream
from tests.wire import connected, request

LIMITS = Limits(request_line=512, field=512, fields=20, body=10_000)
AUTHORIZATION = f"Authorization: Bearer {TOKEN}\r\n".encode()


@pytest.fixture(scope="module")
def behind() -> Iterator[Listening]:
    with upstream() as listening:
        yield listening


@pytest.fixture(scope="module")
def gate(behind: Listening) -> Iterator[Running]:
    routes = (route("/hello", HELLO), route("/open/*", behind.proxy, auth="none"), route("/*", behind.proxy))
    with running(*routes, limits=LIMITS) as gate:
        yield gate


@pytest.mark.parametrize(("raw", "status"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_and_nothing_reaches_the_upstream(
    gate: Running, behind: Listening, raw: bytes, status: int
) -> None:
    with connected(gate.address) as wire:
        wire.send(raw)
        response = wire.receive()
        assert response.status == status
        assert response.header("Connection") == "close"
        assert response.header("X-Request-ID")
        assert wire.is_closed()
    assert behind.is_untouched()


@pytest.mark.parametrize("raw", [raw for raw, _ in REFUSED.values()], ids=REFUSED)
def test_what_follows_it_in_the_same_packet_is_never_read(gate: Running, behind: Listening, raw: bytes) -> None:
    with connected(gate.address) as wire:
        wire.send(raw + b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n" + AUTHORIZATION + b"\r\n")
        wire.receive()
        assert wire.is_closed()
    assert behind.is_untouched()


BAD_BODIES = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "bare LF behind a size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "chunk longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "chunk shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "size that overflows": b"ffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
    "trailer that is no field": b"5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_chunked_body_that_breaks_is_refused_before_the_upstream_hears_of_it(
    gate: Running, behind: Listening, body: bytes
) -> None:
    with connected(gate.address) as wire:
        wire.send(
            b"POST /a HTTP/1.1\r\nHost: a.test\r\n" + AUTHORIZATION + b"Transfer-Encoding: chunked\r\n\r\n" + body
        )
        assert wire.receive().status == 400
        assert wire.is_closed()
    assert behind.is_untouched()


def test_a_chunked_body_beyond_the_bound_is_refused(gate: Running, behind: Listening) -> None:
    with connected(gate.address) as wire:
        wire.send(
            b"POST /a HTTP/1.1\r\nHost: a.test\r\n" + AUTHORIZATION + b"Transfer-Encoding: chunked\r\n\r\n2711\r\n"
        )
        assert wire.receive().status == 413
        assert wire.is_closed()
    assert behind.is_untouched()


@pytest.mark.parametrize("path", AMBIGUOUS)
@pytest.mark.parametrize("prefix", ["", "/open"])
def test_a_path_that_reads_in_two_ways_is_refused_wherever_it_leads(
    gate: Running, behind: Listening, prefix: str, path: str
) -> None:
    with connected(gate.address) as wire:
        wire.send(request(prefix + path, BEARER))
        response = wire.receive()
        assert (response.status, response.header("Connection")) == (400, "close")
        assert wire.is_closed()
    assert behind.is_untouched()


def test_a_token_is_not_repeated_in_a_refusal(gate: Running) -> None:
    with connected(gate.address) as wire:
        wire.send(
            b"GET /a//b?token=" + TOKEN.encode() + b" HTTP/1.1\r\nHost: a.test\r\n" + AUTHORIZATION[:400] + b"\r\n\r\n"
        )
        response = wire.receive()
    assert response.status in {400, 414}
    assert TOKEN not in str(response)
