"""The operators' listener: how the gate is, to whoever may know, and nothing else."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from sluicegate.server.health import Health
from tests.wire import Address, connected, exchange
from tests.wire import request as spelt

REPORT = {"status": "degraded", "version": "1.2.3", "unsafe": ["weak_key"]}


def request(target: str, *headers: tuple[str, str], method: str = "GET", host: str = "localhost:9090") -> bytes:
    """Spell a request as an operator's own tools do."""
    return spelt(target, *headers, method=method, host=host)


@contextmanager
def listening(token: str = "", report: Any = lambda: REPORT) -> Iterator[Address]:  # noqa: ANN401 - whatever reports
    """Run the listener on a loop of its own."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    health = Health(report, token=token)
    try:
        yield asyncio.run_coroutine_threadsafe(health.start(("127.0.0.1", 0)), loop).result(10)
        asyncio.run_coroutine_threadsafe(health.stop(0), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_whoever_asks_on_a_listener_without_a_token_is_told_all() -> None:
    with listening() as address:
        response = exchange(address, request("/health"))
    assert response.status == 200
    assert json.loads(response.body) == REPORT
    assert response.header("Cache-Control") == "no-store"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.test", 403),
        ("localhost.evil.test", 403),
        ("127.0.0.1.evil.test:9090", 403),
        ("127.0.0.1", 200),
        ("[::1]:9090", 200),
        ("LOCALHOST", 200),
    ],
)
def test_a_name_that_was_made_to_point_here_is_told_nothing(host: str, status: int) -> None:
    with listening() as address:
        assert exchange(address, request("/health", host=host)).status == status


def test_with_a_token_the_listener_may_have_any_name() -> None:
    with listening("secret") as address:
        assert exchange(address, request("/health", host="gate.internal")).status == 200


def test_without_the_token_only_the_status_is_told() -> None:
    with listening("secret") as address:
        assert json.loads(exchange(address, request("/health")).body) == {"status": "degraded"}
        for wrong in ("Bearer wrong", "Basic secret", "secret", "Bearer"):
            told = exchange(address, request("/health", ("Authorization", wrong)))
            assert json.loads(told.body) == {"status": "degraded"}
        told = exchange(address, request("/health", ("Authorization", "Bearer secret")))
        assert json.loads(told.body) == REPORT


@pytest.mark.parametrize(
    "header", [("Origin", "https://evil.test"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")]
)
def test_a_page_of_another_site_is_told_nothing(header: tuple[str, str]) -> None:
    with listening() as address:
        response = exchange(address, request("/health", header))
    assert response.status == 403
    assert b"degraded" not in response.body


@pytest.mark.parametrize(
    ("target", "method", "status"), [("/", "GET", 404), ("/health", "POST", 405), ("/hello", "GET", 404)]
)
def test_nothing_else_is_served(target: str, method: str, status: int) -> None:
    with listening() as address:
        assert exchange(address, request(target, method=method)).status == status


def test_head_is_answered_without_a_body() -> None:
    with listening() as address:
        response = exchange(address, request("/health", method="HEAD"))
    assert (response.status, response.body) == (200, b"")


def test_a_report_that_takes_long_holds_up_nobody() -> None:
    go_on = threading.Event()

    def slowly() -> dict[str, str]:
        go_on.wait(10)
        return {"status": "ok"}

    with listening(report=slowly) as address, connected(address) as wire:
        wire.send(request("/health"))
        assert exchange(address, request("/nowhere")).status == 404
        go_on.set()
        assert json.loads(wire.receive().body) == {"status": "ok"}
