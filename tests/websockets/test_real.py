"""The program itself between real WebSocket ends: a browser's rules on one side, a server's on the other."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.cli.sluicegate import Config, Gateway, configure, serving
from tests.servers.redis import Redis

FLOOD = b"".join(hashlib.sha256(bytes((a, b))).digest() for a in range(32) for b in range(100))
MESSAGES: list[str | bytes] = ["", "hello", "ü" * 500, "x" * 70_000, b"", bytes(range(256)), bytes(3 << 20)]


def echo(end: ServerConnection) -> None:
    """Say who is there, then repeat what is said, long texts in fragments; or say the same without end."""
    assert end.request is not None
    end.send(end.request.headers["X-Auth-User-Id"])
    while end.request.path == "/ws/flood":
        end.send(FLOOD)
    for message in end:
        if isinstance(message, str) and len(message) > 1000:
            end.send(iter((message[:1000], message[1000:])))
        else:
            end.send(message)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Server]:
    with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def configured(directory: Path, upstream: Server, tokens: str = "") -> Config:
    port = upstream.socket.getsockname()[1]
    return configure(directory, f'[[route]]\npath = "/ws/*"\nupstream = "http://127.0.0.1:{port}"\n', tokens=tokens)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, upstream: Server) -> Config:
    return configured(tmp_path_factory.mktemp("websockets"), upstream)


@pytest.fixture(scope="module")
def gate(config: Config) -> Iterator[Gateway]:
    with serving(config) as gateway:
        yield gateway


def opened(
    gate: Gateway, token: str, *, compression: str | None = "deflate", path: str = "/ws/echo"
) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{gate.address[1]}{path}",
        additional_headers={"Authorization": f"Bearer {token}"},
        compression=compression,
        max_size=None,
        proxy=None,
    )


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_of_every_size_come_back_whole(config: Config, gate: Gateway, compression: str | None) -> None:
    with opened(gate, config.mint(), compression=compression) as end:
        assert end.recv(timeout=10) == "alice"
        for message in MESSAGES:
            end.send(message)
            assert end.recv(timeout=10) == message, len(message)
        assert end.ping().wait(10)


def test_closing_is_agreed_on_by_both_ends(config: Config, gate: Gateway) -> None:
    with opened(gate, config.mint()) as end:
        end.close(4321, "enough")
        assert (end.close_code, end.close_reason) == (4321, "enough")


def test_without_a_token_there_is_no_websocket(gate: Gateway) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(gate, "junk"):
        pass
    assert refused.value.response.status_code == 401


def drained(end: ClientConnection) -> None:
    while True:
        end.recv(timeout=10)


def ended(end: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        drained(end)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_revoking_on_the_command_line_closes_it(config: Config, gate: Gateway) -> None:
    with opened(gate, config.mint("--jti", "of-ws")) as end:
        assert end.recv(timeout=10) == "alice"
        assert config.run("revoke", "--jti", "of-ws", "--reason", "abuse").code == 0
        assert ended(end) == (1008, "api_key_blacklisted")


def test_revoking_closes_it_in_the_middle_of_a_flood(config: Config, gate: Gateway) -> None:
    """The upstream sends faster than the clients read: every close frame must fall between two frames."""
    token = config.mint("--jti", "flooded")
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        ends = [stack.enter_context(opened(gate, token, path="/ws/flood")) for _ in range(6)]
        for end in ends:
            end.recv(timeout=10)
        closing = [pool.submit(ended, end) for end in ends]
        assert config.run("revoke", "--jti", "flooded").code == 0
        assert [one.result(20) for one in closing] == [(1008, "api_key_blacklisted")] * 6


def test_redis_cli_closes_it(tmp_path: Path, upstream: Server, redis: Redis) -> None:
    config = configured(tmp_path, upstream, f'redis_addr = "{redis.address}"')
    with serving(config) as gate, opened(gate, config.mint("--jti", "in-redis")) as end:
        assert end.recv(timeout=10) == "alice"
        redis.cli("SETEX", "BLACKLIST:key:in-redis", "60", "cancelled")
        assert ended(end) == (1008, "api_key_blacklisted")
