"""HTTP/2 in plain text: neither its preface nor an upgrade to it gets anywhere, and no upstream hears of either."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.server.gate import BEARER, Running, route, running
from tests.server.upstream import Listening, upstream
from tests.wire import connected, request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
ONCE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

Gate = tuple[Running, Listening]


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    with upstream() as behind, running(route("/*", behind.proxy)) as running_:
        yield running_, behind


@pytest.mark.parametrize("data", [PREFACE, PREFACE + SETTINGS + b"\0\0\1\1\5\0\0\0\1\x82", PREFACE * 3])
def test_the_preface_is_answered_505_and_the_connection_ends(gate: Gate, data: bytes) -> None:
    for cut in (1, 4, 14, 18, 20, len(data)):
        with connected(gate[0].address) as wire:
            wire.send(data[:cut])
            gate[0].turn()
            wire.send(data[cut:])
            answer = wire.receive()
            assert answer.status == 505
            assert json.loads(answer.body)["reason"] == "version"
            assert answer.header("Connection") == "close"
            assert wire.is_closed()
    assert gate[1].is_untouched()


def test_the_preface_behind_a_request_ends_the_connection_after_its_answer(gate: Gate) -> None:
    with connected(gate[0].address) as wire:
        wire.send(request("/", BEARER) + PREFACE + SETTINGS)
        gate[1].accept().serve(ONCE)
        assert wire.receive().status == 200
        assert wire.receive().status == 505
        assert wire.is_closed()


@pytest.mark.parametrize("name", ["h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.3, h2c"])
@pytest.mark.parametrize("options", ["Upgrade, HTTP2-Settings", "upgrade", "HTTP2-Settings", "close, Upgrade"])
def test_an_upgrade_is_ignored_and_reaches_no_upstream(gate: Gate, name: str, options: str) -> None:
    headers = [("Connection", options), ("Upgrade", name), ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")]
    with connected(gate[0].address) as wire:
        wire.send(request("/", BEARER, *headers))
        seen = gate[1].accept().serve(ONCE)
        assert not {"upgrade", "http2-settings", "connection"} & seen.names
        assert "h2c" not in str(seen.headers).lower()
        assert wire.receive().status == 200


@pytest.mark.parametrize("name", ["h2c, websocket", "websocket, h2c"])
def test_an_upgrade_to_either_of_two_is_read_as_a_websocket_or_not_at_all(gate: Gate, name: str) -> None:
    with connected(gate[0].address) as wire:
        wire.send(request("/", BEARER, ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", name)))
        assert wire.receive().status == 426
    assert gate[1].is_untouched()


def test_an_upgrade_with_a_body_is_one_request(gate: Gate) -> None:
    """The body is a body: whoever upgraded would read frames there."""
    headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "")]
    with connected(gate[0].address) as wire:
        wire.send(request("/", BEARER, *headers, method="POST", body=PREFACE + SETTINGS))
        peer = gate[1].accept()
        assert "upgrade" not in peer.request().names
        assert peer.body(len(PREFACE + SETTINGS)) == PREFACE + SETTINGS
        peer.send(ONCE)
        assert wire.receive().status == 200


def test_curl_falls_back_to_http11(gate: Gate) -> None:
    url = f"http://127.0.0.1:{gate[0].address[1]}/"
    command = ["curl", "-sS", "--max-time", "10", "-H", ": ".join(BEARER), "-w", "%{http_version}", url]
    asking = subprocess.Popen([*command, "--http2"], stdout=subprocess.PIPE)
    assert "upgrade" not in gate[1].accept().serve(ONCE).names
    assert asking.communicate(timeout=20)[0] == b"ok1.1"
    done = subprocess.run([*command, "--http2-prior-knowledge"], check=False, capture_output=True)
    assert done.returncode != 0
    assert gate[1].is_untouched()
