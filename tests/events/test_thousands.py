"""Streams by the thousand, on the program itself: all end, each whole, and nobody else waits for it."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.cli.issuer import Issuer
from tests.cli.sluicegate import Config, Gateway, configure, serving
from tests.events.crowd import Client, Crowd, crowd
from tests.events.reading import read
from tests.wire import exchange, request

STREAMS = 5000
RETRY, WINDOW = 1000, 20
SETTINGS = f"""
[events]
subscribe = ["*"]
publish = ["*"]
retry_ms = {RETRY}
reconnect_window_sec = {WINDOW}
[[route]]
path = "/events/{{topic}}"
events = true
[[route]]
path = "/hello"
respond = "Hello!"
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configure(tmp_path, SETTINGS)


@pytest.fixture
def gate(config: Config) -> Iterator[Gateway]:
    with serving(config) as gateway:
        yield gateway


def asking(token: str, path: str = "/events/news") -> bytes:
    return request(path, ("Authorization", f"Bearer {token}"))


def opened(crowd: Crowd, *tokens: str) -> list[Client]:
    return crowd.open([asking(tokens[number % len(tokens)]) for number in range(STREAMS)], until=b"retry: ")


def events(client: Client) -> list[tuple[str, str]]:
    """The events of a stream that came whole."""
    _, _, body = bytes(client.came).partition(b"\r\n\r\n")
    assert body.endswith(b"\r\n0\r\n\r\n"), body[-100:]
    return [(one.type, one.data) for one in read(re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n", b"", body)).events]


def test_a_stop_ends_five_thousand_streams_and_spreads_their_coming_back(config: Config, gate: Gateway) -> None:
    with crowd(gate.address) as clients:
        streams = opened(clients, Issuer(config)(1))
        gate.process.signal(SIGTERM)
        clients.to_end(streams)
        assert gate.process.wait() == 0  # within the grace time, or it would have been killed
    tenths = Counter[int]()
    for client in streams:
        assert events(client) == []
        last = [int(found) for found in re.findall(rb"\nretry: (\d+)\n", client.came)][-1]
        assert RETRY <= last <= RETRY + 1000 * WINDOW
        tenths[(last - RETRY) * 10 // (1000 * WINDOW)] += 1
    assert all(STREAMS * 0.07 < tenths[tenth] < STREAMS * 0.13 for tenth in range(10)), tenths


def test_one_revocation_ends_five_thousand_streams_of_a_subject_and_no_other(config: Config, gate: Gateway) -> None:
    issuer = Issuer(config)
    with crowd(gate.address) as clients:
        streams = opened(clients, *[issuer(1, jti=f"of-many-{number}") for number in range(50)])
        (other,) = clients.open([asking(issuer(2))], until=b"retry: ")
        assert config.run("revoke", "--sub", "user_00000001", "--reason", "abuse").code == 0
        clients.to_end(streams)
        for client in streams:
            ((kind, data),) = events(client)
            assert (kind, json.loads(data)["reason"]) == ("auth", "revoked")
        assert not other.is_over
        health = json.loads(gate.health().body)
        assert (health["events"]["streams"], health["events"]["ended"]) == (1, {"revoked": STREAMS})


def test_five_thousand_streams_that_expire_in_one_second_end_then_and_others_are_served(
    config: Config, gate: Gateway
) -> None:
    issuer = Issuer(config)
    with crowd(gate.address) as clients:
        lasting = issuer(2)
        ends = int(time.time()) + 6
        streams = opened(clients, issuer(1, exp=ends))
        while not all(client.is_over for client in streams):
            assert exchange(gate.address, asking(lasting, "/hello")).status == 200
            clients.glance()
            assert time.time() >= ends or not any(client.is_over for client in streams)
        assert [json.loads(data)["reason"] for client in streams for _, data in events(client)] == ["expired"] * STREAMS
    assert exchange(gate.address, asking(lasting, "/hello")).status == 200
