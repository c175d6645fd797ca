"""Requests that two parsers read in two ways, against a real gateway: nothing of them reaches the upstream."""

from contextlib import suppress
from typing import Final

import pytest

from tests.attacks.scene import Scene
from tests.cli.sluicegate import bearer
from tests.wire import connected, request

pytestmark = pytest.mark.parametrize("attacked", ["redis"], indirect=True)

_SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: gate.test\r\n\r\n"

_BROKEN: Final = [
    b"Content-Length: 5\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"Content-Length: -5",
    b"Content-Length: 5 5",
    b"Content-Length: 0x5",
    b"Content-Length: 5\x0b",
    b"Content-Length: 5_0",
    b"Content-Length: ",
    b"Content-Length: 1" + b"0" * 30,
    "Content-Length: \u0665".encode(),
    b"Content_Length: 5",
    b"Content.Length: 5",
    b"Content-Length : 5",
    b" Content-Length: 5",
    b"Content-Length\x00: 5",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding: chunked;q=1",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: ",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer_Encoding: chunked",
    b"Transfer.Encoding: chunked",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: a\x00b",
    b"X: a\x01b",
    b"X: a\x7fb",
    b"X : y",
    b"X\t: y",
    b"X",
    b": y",
    b"X(y): z",
    b"\x00X: y",
    b"Host: gate.test",
    b"Host: elsewhere.test",
    b"host:",
    b"Expect: 200-ok",
    b"Expect: 100-continue\r\nExpect: 100-continue",
]


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("fields", _BROKEN, ids=repr)
def test_ambiguous_framing_is_refused_and_the_connection_ends(attacked: Scene, fields: bytes, used: bool) -> None:  # noqa: FBT001 - a parameter
    name, value = bearer(attacked.mint())
    head = f"Host: gate.test\r\n{name}: {value}\r\n".encode()
    attacked.upstream.forget()
    with connected(attacked.gateway.address) as wire:
        if used:
            wire.send(b"GET /public/first HTTP/1.1\r\n" + head + b"\r\n")
            assert wire.receive().status == 200
            attacked.upstream.forget()
        wire.send(b"POST /x HTTP/1.1\r\n" + head + fields + b"\r\n\r\n0\r\n\r\n" + _SMUGGLED)
        assert wire.receive().status in {400, 413, 417, 431, 501}
        assert wire.is_closed()
    assert attacked.reached() == b""


@pytest.mark.parametrize(
    "body",
    [
        b"5;x=y\nz\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n ",
        b"-1\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\nhello",
        b"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r\n0\n\n",
        b"5;" + b"x" * 100_000,
        b"0\r\nContent-Length : 5\r\n\r\n",
        b"0\r\nX: y\n\r\n",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_broken_chunk_ends_the_connection_and_smuggles_nothing(attacked: Scene, body: bytes) -> None:
    name, value = bearer(attacked.mint())
    head = f"POST /x HTTP/1.1\r\nHost: gate.test\r\n{name}: {value}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(attacked.gateway.address) as wire:
        wire.send(head.encode() + body + _SMUGGLED)
        try:
            answers = wire.read_to_end()
        except ConnectionResetError:
            answers = b""
    assert answers.count(b"HTTP/1.1 200") <= 1
    assert b"/smuggled" not in attacked.reached()


def test_a_refused_request_s_body_is_no_request(attacked: Scene) -> None:
    attacked.upstream.forget()
    with connected(attacked.gateway.address) as wire:
        wire.send(request("/x", method="POST", body=request("/x", bearer(attacked.mint()))))
        assert wire.receive().status == 401
        wire.send(request("/public/next"))
        assert wire.receive().status == 200
    assert attacked.reached().count(b" HTTP/1.1\r\n") == 1


def test_pipelined_requests_are_judged_one_by_one_and_answered_in_order(attacked: Scene) -> None:
    attacked.revoke("pipelined")
    good, revoked = bearer(attacked.mint(jti="good")), bearer(attacked.mint(jti="pipelined"))
    with connected(attacked.gateway.address) as wire:
        asked = (("/x", good), ("/x",), ("/x", revoked), ("/admin", good), ("/x", good))
        wire.send(b"".join(request(*one) for one in asked))
        assert [wire.receive().status for _ in range(5)] == [200, 401, 401, 403, 200]


def test_five_hundred_pipelined_requests_are_answered_in_order(attacked: Scene) -> None:
    good = bearer(attacked.mint())
    with connected(attacked.gateway.address) as wire:
        wire.send((request("/x", good) + request("/x")) * 250)
        assert [wire.receive().status for _ in range(500)] == [200, 401] * 250


def test_no_identity_outlives_its_request_on_a_connection(attacked: Scene) -> None:
    with connected(attacked.gateway.address) as wire:
        wire.send(request("/x", bearer(attacked.mint(sub="alice"))))
        assert wire.receive().status == 200
        attacked.upstream.forget()
        wire.send(request("/public/x"))
        assert wire.receive().status == 200
    assert b"x-auth-user" not in attacked.reached().lower()


@pytest.mark.parametrize("count", [101, 5000])
def test_too_many_header_fields_are_refused(attacked: Scene, count: int) -> None:
    with connected(attacked.gateway.address) as wire:
        with suppress(ConnectionError):  # it has heard enough
            wire.send(request("/public/x", *((f"X-{n}", "y") for n in range(count))))
        assert wire.receive().status == 431


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"{}\r\n\r\n",
        b"\x00" * 64 + b"\r\n\r\n",
    ],
)
def test_another_protocol_is_answered_and_closed(attacked: Scene, text: bytes) -> None:
    with connected(attacked.gateway.address) as wire:
        wire.send(text)
        assert wire.receive().status in {400, 501, 505}
        assert wire.is_closed()


def test_an_upgrade_that_the_gate_does_not_know_is_no_tunnel(attacked: Scene) -> None:
    attacked.upstream.forget()
    upgrade = (("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__"))
    with connected(attacked.gateway.address) as wire:
        wire.send(request("/public/x", *upgrade))
        assert wire.receive().status == 200
        wire.send(request("/admin"))
        assert wire.receive().status == 401
    assert b"h2c" not in attacked.reached()


@pytest.mark.timeout(40)
def test_clients_that_trickle_their_head_hold_up_nobody_and_are_ended(attacked: Scene) -> None:
    good = request("/x", bearer(attacked.mint()))
    slow = [connected(attacked.gateway.address, within=30) for _ in range(50)]
    wires = [one.__enter__() for one in slow]
    for byte in b"GET /x HTTP/1.1\r\nX":
        for wire in wires:
            wire.send(bytes([byte]))
        with connected(attacked.gateway.address) as other:
            other.send(good)
            assert other.receive().status == 200
    for wire in wires:
        assert wire.receive().status == 408
        wire.socket.close()
