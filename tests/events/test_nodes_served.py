"""The program itself beside Redis: gateways of one worker and of two, and what they tell their operators."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.issuer import Issuer
from tests.cli.sluicegate import Gateway, configure, serving
from tests.events.gate import Stream, bearer
from tests.events.nodes import ends
from tests.servers.redis import Redis, redis_server
from tests.wire import connected, exchange, request

STREAMS = 200
SETTINGS = """
[events]
subscribe = ["*"]
publish = ["*"]
[[route]]
path = "/events/{topic}"
events = true
"""


def gateways(stack: ExitStack, directory: Path, redis: Redis, *, workers: int) -> tuple[list[Gateway], Issuer]:
    """Start two gateways with one key."""
    config = configure(directory, SETTINGS, tokens=f'redis_addr = "{redis.address}"\ntimeout = "2s"')
    text = config.path.read_text().replace("[admin]", f"workers = {workers}\n[admin]", 1)
    config.path.write_text(text)
    return [stack.enter_context(serving(config)) for _ in range(2)], Issuer(config)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_streams_of_a_subject_end_on_every_gateway_and_worker_after_one_setex(
    redis: Redis, tmp_path: Path, workers: int
) -> None:
    with ExitStack() as stack:
        both, issuer = gateways(stack, tmp_path, redis, workers=workers)
        wires = []
        for number in range(STREAMS):
            wire = stack.enter_context(socket.create_connection(both[number % 2].address, timeout=30))
            wire.sendall(request("/events/x", bearer(issuer(0, sub="alice"))))
            wires.append(wire)
        for wire in wires:
            assert wire.recv(4096).startswith(b"HTTP/1.1 200")
        redis.cli("SETEX", "BLACKLIST:sub:alice", "600", "security")
        for wire in wires:
            last = b""
            while piece := wire.recv(65536):
                last += piece
            assert b"api_key_blacklisted" in last


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_published_anywhere_reaches_the_readers_of_every_gateway_and_worker(
    redis: Redis, tmp_path: Path, workers: int
) -> None:
    with ExitStack() as stack:
        both, issuer = gateways(stack, tmp_path, redis, workers=workers)
        streams = []
        for number in range(8):
            wire = stack.enter_context(connected(both[number % 2].address))
            wire.send(request("/events/x", bearer(issuer(number))))
            streams.append(Stream(wire))
        writer, kind = bearer(issuer(0, scope="topic:write")), ("Content-Type", "text/plain")
        for number in range(20):
            raw = request("/events/x", writer, kind, method="POST", body=str(number).encode())
            assert exchange(both[number % 2].address, raw).status == 201
        for stream in streams:
            assert stream.next(20) == [("message", str(number)) for number in range(20)]


def test_operators_are_told_when_redis_may_not_tell_and_when_it_is_away(tmp_path: Path) -> None:
    rule = "gate on >secret allkeys allchannels +@all -client|tracking"
    with redis_server(users=(rule,)) as redis:
        tokens = f'redis_addr = "{redis.address}"\nredis_username = "gate"\nredis_password = "secret"\ntimeout = "1s"'
        config = configure(tmp_path, SETTINGS, tokens=tokens)
        with serving(config) as gateway:
            ends(lambda: "does not tell of revocations" in gateway.process.output())
            ends(lambda: "+client|tracking" in gateway.health().body.decode())
            assert json.loads(gateway.health().body)["status"] == "ok"
            redis.kill()
            ends(lambda: "trouble" in json.loads(gateway.health().body)["events"])
            assert json.loads(gateway.health().body)["status"] == "degraded"
            redis.start()
            ends(lambda: json.loads(gateway.health().body)["status"] == "ok")
            assert "secret" not in gateway.process.output()
            assert "Traceback" not in gateway.process.output()
