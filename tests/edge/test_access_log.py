"""What the running gateway writes of requests: what was really sent, once, and never a token."""

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.scene import Scene, scene
from tests.attacks.test_log import _attempts, _try
from tests.cli.sluicegate import Config, bearer, configure, serving
from tests.servers.process import Process
from tests.wire import connected, exchange, request


def configured(directory: Path, place: Path, routes: str) -> Config:
    config = configure(directory, routes)
    http = f'[http]\naccess_log = "{place}"\n'
    config.path.write_text(config.path.read_text().replace("[http]\n", http))
    return config


Lines = list[dict[str, Any]]


def logged(path: Path, process: Process, until: Callable[[Lines], bool]) -> Lines:
    """Wait until the log holds what is looked for, and return it."""
    found: Lines = []

    def there(_: Process) -> bool:
        found[:] = [json.loads(line) for line in path.read_text().splitlines()]
        return until(found)

    process.wait_until(there, within=10)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def on(tmp_path: Path, place: Path) -> Any:  # noqa: ANN401 - a context manager
    return scene(tmp_path, http=f'access_log = "{place}"')


def test_each_kind_of_answer_is_one_line(on: Any, place: Path) -> None:  # noqa: ANN401 - likewise
    with on as found:
        good = bearer(found.mint())
        answers = [
            found.get("/x?token=abc", good),
            found.get("/public/x"),
            found.get("/admin", good),
            found.get("/x"),
            exchange(found.gateway.address, b"GET /\x01 HTTP/1.1\r\n\r\n"),
            exchange(found.gateway.address, request("/x;y", good)),
        ]
        told = logged(place, found.gateway.process, lambda lines: len(lines) >= len(answers))
        upstream = f"127.0.0.1:{found.upstream.port}"
    assert [one["status"] for one in told] == [200, 200, 403, 401, 400, 400]
    assert [one["decision"] for one in told] == ["admitted", None, "refused", "refused", None, None]
    assert [one["reason"] for one in told][:5] == [None, None, "scope", "missing", "syntax"]
    assert [one["path"] for one in told] == ["/x", "/public/x", "/admin", "/x", None, "/x;y"]
    assert [one["route"] for one in told][:4] == ["/*", "/public/*", "/admin", "/*"]
    assert told[0]["user"] == "alice"
    assert told[0]["upstream"] == upstream
    assert 0 <= told[0]["upstream_ms"] <= told[0]["took_ms"] < 10_000
    assert told[3]["upstream"] is told[3]["user"] is None
    for one, answer in zip(told, answers, strict=True):
        assert one["id"] == answer.header("X-Request-ID")
        assert one["client"] == "127.0.0.1"
        assert one["complete"] is True
        assert one["bytes"] > len(answer.body)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
        assert {"proxy_id", "worker", "pid"} <= set(one)


def test_pipelined_requests_are_told_in_order_with_their_own_sizes(on: Any, place: Path) -> None:  # noqa: ANN401
    with on as found:
        good = bearer(found.mint())
        with connected(found.gateway.address) as wire:
            wire.send(b"".join(request(f"/x/{number}", good) for number in range(20)))
            assert {wire.receive().status for _ in range(20)} == {200}
        told = logged(place, found.gateway.process, lambda lines: len(lines) == 20)
    assert [one["path"] for one in told] == [f"/x/{number}" for number in range(20)]
    assert max(one["bytes"] for one in told) - min(one["bytes"] for one in told) <= 2


def test_an_answer_that_never_came_is_told_as_that(tmp_path: Path, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        routes = f'[[route]]\npath = "/*"\nupstream = "http://127.0.0.1:{port}"\nauth = "none"\n'
        config = configured(tmp_path, place, routes)
        with serving(config) as gateway:
            with connected(gateway.address) as wire:
                wire.send(request("/x"))
                peer, _ = silent.accept()
                peer.recv(1)
                assert place.read_text() == ""
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            told = logged(place, gateway.process, lambda lines: len(lines) == 1)[0]
            peer.close()
    assert (told["status"], told["bytes"], told["complete"]) == (None, 0, False)
    assert told["upstream"] == f"127.0.0.1:{port}"
    assert told["upstream_ms"] is None


def test_no_token_is_ever_written(on: Any, place: Path) -> None:  # noqa: ANN401 - likewise
    with on as found:
        tokens = [found.mint(), found.mint()[:-4], found.mint(exp=1)]
        count = sum(
            _try(found.gateway.address, attempt) is not None for token in tokens for attempt in _attempts(token)
        )
        told = place.read_text() if logged(place, found.gateway.process, lambda lines: len(lines) >= count) else ""
    assert told
    for token in tokens:
        for part in token.split("."):
            assert part[:16] not in told
            assert part[-16:] not in told


def test_it_follows_a_rotation(on: Any, place: Path) -> None:  # noqa: ANN401 - likewise
    with on as found:
        found.get("/public/before")
        logged(place, found.gateway.process, lambda lines: len(lines) == 1)
        place.rename(place.with_suffix(".1"))
        found.get("/public/after")
        found.gateway.process.wait_until(lambda _: place.exists() and bool(place.read_text()), within=10)
    assert [json.loads(line)["path"] for line in place.read_text().splitlines()] == ["/public/after"]


def test_an_event_stream_is_told_at_its_end(tmp_path: Path, place: Path) -> None:
    routes = (
        '[[route]]\npath = "/events/{topic}"\nevents = true\n[[route]]\npath = "/*"\nrespond = "x"\nauth = "none"\n'
    )
    config = configured(tmp_path, place, '[events]\nsubscribe = ["news"]\n' + routes)
    with serving(config) as gateway:
        with connected(gateway.address) as wire:
            wire.send(request("/events/news", bearer(config.mint("--jti", "a"))))
            assert wire.receive_head().status == 200
            first = wire.receive_chunk()
            gateway.get("/x")
            assert len(logged(place, gateway.process, bool)) == 1
        told = logged(place, gateway.process, lambda lines: len(lines) == 2)[1]
    assert told["path"] == "/events/news"
    assert told["status"] == 200
    assert told["bytes"] > len(first)


def test_a_place_that_cannot_be_had_is_a_fault_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sluicegate.toml"
    path.write_text(
        f'state_dir = "{tmp_path}/state"\n[http]\nbind_address = "127.0.0.1:0"\naccess_log = "no/such/log"\n'
        f'[admin]\nbind_address = "127.0.0.1:0"\n[stateful_jwt]\nsign_key = "{"c2VjcmV0" * 8}"\n'
    )
    done = Config(path).run("serve")
    assert done.code == 2
    assert ":4: [http] access_log: cannot be written to (No such file or directory); name a file" in done.err


def test_standard_output_is_a_place(tmp_path: Path) -> None:
    with scene(tmp_path, http='access_log = "stdout"') as found:
        found.get("/public/x")
        found.gateway.process.wait_until(lambda process: '"path":"/public/x"' in process.output(), within=10)


def test_health_counts_what_is_lost(tmp_path: Path) -> None:
    place = tmp_path / "full"
    place.symlink_to("/dev/full")
    with scene(tmp_path, http=f'access_log = "{place}"') as found:
        found.get("/public/x")
        found.gateway.process.wait_until(lambda _: _lost(found) == 1, within=10)
        assert found.get("/public/x").status == 200
        assert "lines of the access log are lost" in found.gateway.process.output()


def _lost(found: Scene) -> int:
    lost: int = json.loads(found.gateway.health().body)["access_log"]["dropped"]
    return lost
