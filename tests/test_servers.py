"""The servers that tests stand on do what they say: a test of the gate is worth no more than these."""

import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.servers.caddy import caddy
from tests.servers.certificates import Authority
from tests.servers.nginx import nginx
from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import Process, ServerFailed, answers, prints, running
from tests.servers.redis import Redis, redis_server
from tests.wire import exchange, request

# Says the id of a child that ignores SIGTERM, as it does itself, and then waits for ever.
STUBBORN: Final = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("child", child.pid, "ready", flush=True)
signal.pause()
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_reserved_port_goes_to_a_server_and_to_nobody_else() -> None:
    with reserved_port() as port, socket.socket() as stranger, socket.socket() as server:
        with pytest.raises(OSError, match="in use"):
            stranger.bind((LOOPBACK, port))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((LOOPBACK, port))
        server.listen()
        assert answers(port)(None)  # type: ignore[arg-type] # no process: the port alone decides


def test_the_end_of_the_block_ends_the_server_and_what_it_started() -> None:
    with running([sys.executable, "-c", STUBBORN], prints("ready")) as process:
        child = int(process.output().split()[1])
        assert is_alive(child)
        process.stop(within=0.1)
        assert process.exit_status == -9
    assert not is_alive(process.pid)
    assert not is_alive(child)


def test_a_frozen_server_ends_with_its_block_too() -> None:
    with running([sys.executable, "-c", STUBBORN], prints("ready")) as process:
        process.freeze()
        process.stop(within=0.1)
    assert process.exit_status == -9


def test_a_server_that_dies_early_is_reported_at_once_with_its_last_words() -> None:
    command = [sys.executable, "-c", "import sys; print('no such colour'); sys.exit(3)"]
    with (
        pytest.raises(ServerFailed, match=r"(?s)status 3 before it was ready.*no such colour"),
        running(command, prints("ready")),
    ):
        pass


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with (
        reserved_port() as port,
        pytest.raises(ServerFailed, match=r"was not ready within 0\.1 s"),
        running(command, answers(port), directory=tmp_path, within=0.1),
    ):
        pass


def test_redis_comes_back_empty_on_the_same_port(redis: Redis) -> None:
    redis.cli("SET", "key", "value")
    redis.restart()
    assert redis.cli("GET", "key") == ""


def test_redis_with_an_append_only_file_keeps_what_it_acknowledged() -> None:
    with redis_server(append_only=True) as redis:
        redis.cli("SET", "key", "value")
        redis.restart()
        assert redis.cli("GET", "key") == "value"


def test_a_frozen_redis_accepts_connections_and_answers_nothing(redis: Redis) -> None:
    redis.freeze()
    with socket.create_connection((redis.host, redis.port), timeout=0.1) as connection:
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        redis.thaw()
        connection.settimeout(10)
        assert connection.recv(7) == b"+PONG\r\n"


def test_a_killed_redis_refuses_connections_until_it_is_started(redis: Redis) -> None:
    redis.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((redis.host, redis.port))
    redis.start()
    assert redis.cli("PING") == "PONG"


def test_redis_lets_an_acl_user_do_what_the_rule_says_and_no_more() -> None:
    with redis_server(users=["gate on >open-sesame ~BLACKLIST:* +exists"], password="admin") as redis:
        assert redis.cli("EXISTS", "BLACKLIST:key:1", user="gate", password="open-sesame") == "0"
        with pytest.raises(ServerFailed, match="NOPERM"):
            redis.cli("EXISTS", "other", user="gate", password="open-sesame")
        with pytest.raises(ServerFailed, match="NOAUTH"):
            redis.cli("PING")


def test_redis_over_tls_answers_those_who_speak_tls_only(authority: Authority) -> None:
    with redis_server(tls=authority.server("redis"), client=authority.client()) as redis:
        assert redis.url.startswith("rediss://")
        assert redis.cli("PING") == "PONG"
        with socket.create_connection((redis.host, redis.port), timeout=10) as plain:
            plain.sendall(b"PING\r\n")
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                answer = plain.recv(100)
            assert b"PONG" not in answer


def test_redis_listens_on_a_unix_socket_as_well(redis: Redis) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(redis.unix_socket))
        connection.sendall(b"PING\r\n")
        assert connection.recv(7) == b"+PONG\r\n"


def test_nginx_serves_the_given_configuration() -> None:
    with nginx('server { listen $LISTEN; location / { return 200 "hello $uri"; } }') as server:
        assert exchange((server.host, server.port), request("/there")).body == b"hello /there"


def test_nginx_can_ask_another_service_about_each_request() -> None:
    judge = "location = /judge { internal; return 401; }"
    # Not `return`: nginx runs it before `auth_request`, and nobody would be asked.
    served = "location / { auth_request /judge; root /nowhere; }"
    with nginx(f"server {{ listen $LISTEN; {judge} {served} }}") as server:
        assert exchange((server.host, server.port), request("/")).status == 401


def test_caddy_serves_the_given_sites() -> None:
    with caddy('http://:$PORT {\n bind 127.0.0.1\n respond "hello {path}"\n}\n') as server:
        assert exchange((server.host, server.port), request("/there")).body == b"hello /there"


def test_a_server_inherits_our_environment_and_what_is_added(tmp_path: Path) -> None:
    script = "import os; print(os.environ['COLOUR'], os.environ['PATH'], os.getcwd(), 'ready')"
    process = Process([sys.executable, "-c", script], environment={"COLOUR": "blue"}, directory=tmp_path)
    try:
        assert process.wait() == 0
        assert process.output().split() == ["blue", os.environ["PATH"], str(tmp_path), "ready"]
    finally:
        process.close()
