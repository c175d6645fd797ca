"""Connecting by name: each address gets its chance, and none of them holds the others up."""

import asyncio
import socket
import ssl

import pytest

from sluicegate.errors import UpstreamError
from sluicegate.server.proxy.dial import dial, first_of, interleaved
from sluicegate.server.routes import Proxy, Upstream
from tests.server.gate import BEARER, route, running
from tests.server.upstream import Listening
from tests.wire import connected, request

SIX, FOUR = socket.AF_INET6, socket.AF_INET


def test_the_family_that_the_resolver_names_first_begins_and_the_other_comes_second() -> None:
    found = [(SIX, "::1"), (SIX, "::2"), (SIX, "::3"), (FOUR, "1"), (FOUR, "2"), (SIX, "::1")]
    assert interleaved(found) == ["::1", "1", "::2", "2", "::3"]


async def test_an_address_that_says_nothing_holds_the_next_up_for_a_moment_only() -> None:
    begun: list[str] = []
    cancelled = asyncio.Event()

    async def connect(host: str) -> str:
        begun.append(host)
        try:
            if host == "silent":
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return host

    assert await first_of(connect, ["silent", "well", "never"], stagger=0.01) == "well"
    await asyncio.wait_for(cancelled.wait(), 5)
    assert begun == ["silent", "well"]


async def test_an_address_that_refuses_holds_the_next_up_not_at_all() -> None:
    async def connect(host: str) -> str:
        if host != "well":
            raise ConnectionRefusedError(111, f"{host} refuses")
        return host

    assert await first_of(connect, ["one", "other", "well"], stagger=3600) == "well"
    with pytest.raises(ConnectionRefusedError, match="other refuses"):
        await first_of(connect, ["one", "other"], stagger=3600)
    with pytest.raises(OSError, match="no address"):
        await first_of(connect, [])


async def test_an_address_that_proves_to_be_somebody_else_ends_it() -> None:
    begun: list[str] = []

    async def connect(host: str) -> str:
        begun.append(host)
        raise ssl.SSLCertVerificationError(1, "somebody else")

    with pytest.raises(ssl.SSLCertVerificationError):
        await first_of(connect, ["one", "other"], stagger=3600)
    assert begun == ["one"]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "a..b"])
async def test_a_name_that_leads_nowhere_is_no_connection(host: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        await dial(Upstream(host, 1), asyncio.Protocol)
    assert raised.value.cause == "connection"
    assert str(raised.value)


def test_an_upstream_may_be_named(behind: Listening) -> None:
    named = Proxy(Upstream("localhost", behind.port))
    with running(route("/*", named)) as gate, connected(gate.address) as wire:
        wire.send(request("/a", BEARER))
        behind.accept().serve()
        assert wire.receive().body == b"ok"
