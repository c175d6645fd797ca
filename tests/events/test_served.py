"""The program itself: `serve` with an event route, `publish`, and `revoke` from another process."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.sluicegate import Config, Gateway, configure, serving
from tests.events.gate import Stream
from tests.wire import connected, exchange, request

SETTINGS = """
[events]
subscribe = ["public-*", "user-{http.auth.user.id}-*"]
publish = ["public-*"]
retry_ms = 1500
[[route]]
path = "/events/{topic}"
events = true
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return configure(tmp_path_factory.mktemp("served"), SETTINGS)


@pytest.fixture(scope="module")
def gate(config: Config) -> Iterator[Gateway]:
    with serving(config) as gateway:
        yield gateway


def asking(target: str, token: str) -> bytes:
    return request(target, ("Authorization", f"Bearer {token}"))


def test_what_the_command_line_publishes_reaches_a_stream_and_what_it_revokes_ends_it(
    config: Config, gate: Gateway
) -> None:
    writer = config.mint("--scope", "topic:write")
    url = f"http://127.0.0.1:{gate.address[1]}"
    with connected(gate.address) as wire:
        wire.send(asking("/events/public-a", config.mint("--jti", "reader")))
        stream = Stream(wire)
        assert stream.reader.retry == 1500
        done = config.run(
            "publish", "public-a", "hello", "--event", "greeting", "--url", url, "--token", "-", stdin=writer
        )
        assert done.code == 0, done.err
        assert stream.next() == [("greeting", "hello")]
        assert stream.last_id == done.out.strip()
        assert config.run("revoke", "--jti", "reader", "--reason", "abuse").code == 0
        ((kind, data),) = stream.rest()
        assert (kind, json.loads(data)["error"]) == ("auth", "api_key_blacklisted")
    assert exchange(gate.address, asking("/events/public-a", config.mint("--jti", "reader"))).status == 401


def test_publishing_says_why_it_was_refused(config: Config, gate: Gateway) -> None:
    url = f"http://127.0.0.1:{gate.address[1]}"
    for topic, token in (("public-a", config.mint()), ("user-alice-x", config.mint("--scope", "topic:write"))):
        done = config.run("publish", topic, "x", "--url", url, "--token", token)
        assert done.code == 1
        assert "403" in done.err
        assert token not in done.err


def test_publishing_to_nobody_says_that_nobody_answers(config: Config) -> None:
    assert config.run("publish", "public-a", "x", "--url", "http://127.0.0.1:1", "--token", "t").code == 3


def test_streams_end_whole_when_the_program_is_told_to_stop(tmp_path: Path) -> None:
    own = configure(tmp_path, SETTINGS)
    with serving(own) as gateway, connected(gateway.address) as wire:
        wire.send(asking("/events/public-a", own.mint()))
        stream = Stream(wire)
        gateway.process.stop()
        assert stream.rest() == []
        assert stream.over
        assert (stream.reader.retry or 0) >= 1500


def test_a_reader_that_comes_back_after_the_gateway_was_killed_misses_nothing(tmp_path: Path) -> None:
    own = configure(tmp_path, SETTINGS)
    token, writer = own.mint(), own.mint("--scope", "topic:write")

    def said(gateway: Gateway, text: str) -> str:
        url = f"http://127.0.0.1:{gateway.address[1]}"
        return own.run("publish", "public-a", text, "--url", url, "--token", writer).out.strip()

    with serving(own) as gateway:
        first = said(gateway, "1")
        said(gateway, "2")
        gateway.process.kill()
    with serving(own) as gateway, connected(gateway.address) as wire:
        wire.send(request("/events/public-a", ("Authorization", f"Bearer {token}"), ("Last-Event-ID", first)))
        stream = Stream(wire)
        assert stream.next() == [("message", "2")]
        said(gateway, "3")
        assert stream.next() == [("message", "3")]


def test_two_gateways_never_serve_events_from_one_directory(tmp_path: Path) -> None:
    own = configure(tmp_path, SETTINGS)
    with serving(own):
        done = own.run("serve")
        assert done.code == 2
        assert "another gateway's" in done.err
