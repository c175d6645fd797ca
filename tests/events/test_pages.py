"""Which pages may use a cookie, as far as TLS tells them apart: who ended it, and who is believed about it."""

import ssl
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from sluicegate.adapters.forwarded import trusts
from sluicegate.backends.sqlite.tickets import SqliteTickets
from sluicegate.server.connection.certificate import Certificate
from tests.events.gate import streaming
from tests.servers.certificates import Authority
from tests.table.tokens import mint
from tests.websockets.opening import ASKING, behind, switching
from tests.wire import connected, exchange, request

LOOPBACK: Final = trusts(["127.0.0.0/8"])


@pytest.mark.parametrize(
    ("choices", "told", "status"),
    [
        ({}, (), 200),
        ({}, (("X-Forwarded-Proto", "https"),), 200),
        ({"trusted": LOOPBACK}, (), 200),
        ({"trusted": LOOPBACK}, (("X-Forwarded-Proto", "http"),), 200),
        ({"trusted": LOOPBACK}, (("X-Forwarded-Proto", "https, http"),), 200),
        ({"trusted": LOOPBACK}, (("X-Forwarded-Proto", "gopher"),), 200),
        ({"trusted": LOOPBACK}, (("X-Forwarded-Proto", "https"),), 403),
        ({"trusted": LOOPBACK}, (("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "http,\tHTTPS")), 403),
        ({"trusted": LOOPBACK}, (("X-Forwarded-Proto", "wss"),), 403),
        ({"trusted": LOOPBACK}, (("Forwarded", "for=192.0.2.7;proto=https"),), 200),
        ({"trusted": LOOPBACK, "reads_forwarded": True}, (("Forwarded", "for=192.0.2.7;proto=https"),), 403),
        ({"trusted": LOOPBACK, "reads_forwarded": True}, (("Forwarded", "proto=https, proto=http"),), 200),
        ({"trusted": LOOPBACK, "reads_forwarded": True}, (("X-Forwarded-Proto", "https"),), 200),
    ],
)
def test_a_page_without_tls_may_not_use_the_cookie_where_it_is_known_that_the_host_was_asked_with_tls(
    choices: dict[str, Any], told: tuple[tuple[str, str], ...], status: int
) -> None:
    cookie = ("Cookie", f"session_token={mint()}")
    with streaming(**choices) as hub, connected(hub.gate.address) as wire:
        wire.send(request("/events/public-x", cookie, ("Origin", "http://gate.test"), *told))
        assert wire.receive_head().status == status
        with connected(hub.gate.address) as other:
            other.send(request("/events/public-x", cookie, ("Origin", "HTTPS://gate.test"), *told))
            assert other.receive_head().status == 200


@pytest.mark.parametrize(
    ("choices", "origin", "status"),
    [
        ({}, "https://gate.test", 200),
        ({}, "http://gate.test", 403),
        # a proxy that encrypts what it sends us has not said how it was asked
        ({"trusted": LOOPBACK}, "http://gate.test", 200),
    ],
)
def test_a_page_without_tls_may_not_use_the_cookie_where_tls_ends_here(
    authority: Authority, choices: dict[str, Any], origin: str, status: int
) -> None:
    files = authority.server("hub")
    certificate = Certificate(files.cert_file, files.key_file)
    context = ssl.create_default_context(cafile=files.ca_file)
    fields = ("Cookie", f"session_token={mint()}"), ("Origin", origin)
    with streaming(certificate=certificate, **choices) as hub, connected(hub.gate.address, tls=context) as wire:
        wire.send(request("/events/public-x", *fields))
        assert wire.receive_head().status == status


@pytest.mark.parametrize(("told", "status"), [("http", 200), ("https", 403)])
def test_such_a_page_gets_no_ticket_either(tmp_path: Path, told: str, status: int) -> None:
    fields = ("Cookie", f"session_token={mint()}"), ("Origin", "http://gate.test"), ("X-Forwarded-Proto", told)
    with closing(SqliteTickets(tmp_path)) as tickets, streaming(trusted=LOOPBACK, tickets=tickets) as hub:
        raw = request("/tickets", *fields, method="POST", body=b'{"topic": "public-x"}')
        assert exchange(hub.gate.address, raw).status == status


@pytest.mark.parametrize(("told", "status"), [("http", 101), ("https", 403)])
def test_such_a_page_opens_no_websocket_either(told: str, status: int) -> None:
    fields = ("Cookie", f"session_token={mint()}"), ("Origin", "http://gate.test"), ("X-Forwarded-Proto", told)
    with behind(trusted=LOOPBACK) as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/ws", *fields, *ASKING))
        if status == 101:
            listening.accept().serve(switching())
        assert wire.receive().status == status
