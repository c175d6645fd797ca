"""New settings while clients are served: nobody notices, and everybody is under the new ones."""

import base64
import json
import os
import resource
import secrets
import signal
import ssl
from pathlib import Path

import pytest

from tests.events.gate import Stream
from tests.server.upstream import upstream
from tests.servers.certificates import Authority
from tests.servers.ports import reserved_port
from tests.wire import connected, exchange
from tests.workers.gateway import Several, asking, is_alive, many, several, worker_of
from tests.workers.load import load, wait_for

EVENTS = """
[events]
subscribe = ["public-*"]
publish = ["public-*"]
retry_ms = 100
reconnect_window_sec = 5
[[route]]
path = "/events/{topic}"
events = true
"""

SOON = "[events]\nreconnect_window_sec = 1\n"


def another_key(several: Several) -> None:
    """Take the signing key out of the settings, and put another one in."""
    line = next(line for line in several.config.path.read_text().splitlines() if line.startswith("sign_key"))
    several.write(line, f'sign_key = "{base64.b64encode(secrets.token_bytes(32)).decode()}"')


def publish(several: Several, text: str, writer: str) -> str:
    """Publish by the command line; return the id."""
    url = f"http://127.0.0.1:{several.address[1]}"
    done = several.config.run("publish", "public-a", text, "--url", url, "--token", writer)
    assert done.code == 0, done.err
    return done.out.strip()


@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_under_a_thousand_requests_a_second_fail_none(tmp_path: Path, workers: int) -> None:
    with several(tmp_path, workers=workers) as gate:
        before = gate.pids()
        token = gate.config.mint()
        with load(gate.address, asking("/hello", token)) as tally:
            for _ in range(3):
                gate.reload()
            after = gate.pids()
            seen = tally.answered
            wait_for(lambda: tally.answered > seen + 300, "more answers")
        assert tally.failures == []
        assert not set(before) & set(after)
        assert tally.pids >= set(after)
        wait_for(lambda: not any(map(is_alive, before)), "the old workers to end")


def test_a_reload_under_load_fails_nobody_who_speaks_tls_either(tmp_path: Path, authority: Authority) -> None:
    certificate = authority.server()
    files = f'tls = {{ cert_file = "{certificate.cert_file}", key_file = "{certificate.key_file}" }}\n'
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    with (
        several(tmp_path, http=files) as gate,
        load(gate.address, asking("/open"), kept=200, new=50, tls=context) as tally,
    ):
        gate.reload()
        seen = tally.answered
        wait_for(lambda: tally.answered > seen + 100, "more answers")
    assert tally.failures == []


def test_workers_come_and_go_under_load_without_a_failed_request(tmp_path: Path) -> None:
    with several(tmp_path, workers=1) as gate, load(gate.address, asking("/open")) as tally:
        for old, new in ((1, 3), (3, 2), (2, 1)):
            gate.write(f"workers = {old}\n", f"workers = {new}\n")
            assert gate.reload()["workers"] == new
            assert len(gate.pids()) == new
    assert tally.failures == []


def test_faults_in_the_settings_are_said_with_their_place_and_the_old_ones_stay(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        before = gate.pids()
        gate.write("[http]", "[http]\nmax_headers = -1\nmax_heeders = 3")
        gate.reload("not reloaded: the settings before stay in force")
        output = gate.gateway.process.output()
        assert f"{gate.config.path}:3: [http] max_headers: " in output
        assert "did you mean max_headers?" in output
        assert gate.pids() == before
        assert exchange(gate.address, asking("/open")).body == b"open"
        gate.write("max_headers = -1\nmax_heeders = 3", "max_headers = 50")
        assert gate.reload()["generation"] == gate.health()["generation"]


def test_settings_that_only_a_worker_finds_faulty_are_not_taken_either(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        before = gate.pids()
        line = next(line for line in gate.config.path.read_text().splitlines() if line.startswith("sign_key"))
        gate.write(line, 'sign_key = "c2hvcnQ="')
        gate.reload("not reloaded: the settings before stay in force")
        assert f"{gate.config.path}:" in gate.gateway.process.output()
        assert gate.pids() == before
        assert exchange(gate.address, asking("/open")).status == 200
        gate.write('sign_key = "c2hvcnQ="', line)
        gate.reload()
        assert gate.pids() != before


def test_an_idle_connection_lives_on_and_its_next_request_is_under_the_new_settings(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        token = gate.config.mint()
        with many(gate.address, 8) as wires:
            for wire in wires:
                wire.send(asking("/hello", token))
                assert wire.receive().status == 200
            another_key(gate)
            gate.reload()
            fresh = gate.config.mint()
            young = set(gate.pids())
            for wire in wires:
                wire.send(asking("/hello", token))
                refused = wire.receive()
                assert (refused.status, refused.header("Connection")) == (401, None)
                assert worker_of(refused.header("X-Request-ID")) in young
                wire.send(asking("/hello", fresh))
                assert wire.receive().status == 200


def test_a_worker_without_a_descriptor_to_spare_breaks_nothing_off(tmp_path: Path) -> None:
    with upstream() as behind:
        route = f'[[route]]\npath = "/*"\nupstream = "http://127.0.0.1:{behind.port}"\n'
        with (
            several(tmp_path, route, workers=1) as gate,
            connected(gate.address) as slow,
            many(gate.address, 20) as idle,
        ):
            for wire in idle:
                wire.send(asking("/open"))
                assert wire.receive().status == 200
            slow.send(asking("/slow", gate.config.mint()))
            peer = behind.accept()
            peer.request()
            (old,) = gate.pids()
            used = len(list(Path(f"/proc/{old}/fd").iterdir()))
            resource.prlimit(old, resource.RLIMIT_NOFILE, (used + 3, used + 3))
            gate.reload()
            peer.send()
            assert slow.receive().status == 200
            assert "Traceback" not in gate.gateway.process.output()


def test_what_is_in_flight_ends_under_the_settings_that_it_began_with(tmp_path: Path) -> None:
    with upstream() as behind:
        route = f'[[route]]\npath = "/*"\nupstream = "http://127.0.0.1:{behind.port}"\n'
        with several(tmp_path, route) as gate, connected(gate.address) as wire:
            old = gate.pids()
            wire.send(asking("/slow", gate.config.mint()))
            peer = behind.accept()
            peer.request()
            gate.reload()
            assert any(map(is_alive, old))
            peer.send()
            response = wire.receive()
            assert (response.status, response.header("Connection")) == (200, "close")
            wait_for(lambda: not any(map(is_alive, old)), "the old workers to end")


@pytest.mark.parametrize("way", ["reload", "stop"])
def test_an_event_stream_of_an_upstream_ends_between_two_events(tmp_path: Path, way: str) -> None:
    with upstream() as behind:
        route = f'{SOON}[[route]]\npath = "/*"\nupstream = "http://127.0.0.1:{behind.port}"\n'
        with several(tmp_path, route, workers=1) as gate, connected(gate.address) as wire:
            wire.send(asking("/stream", gate.config.mint()))
            peer = behind.accept()
            peer.request()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            peer.send(head + b"a\r\ndata: 1\n\nd\r\n")  # an event, and a little of the next
            assert wire.receive_head().status == 200
            assert wire.receive_chunk() == b"data: 1\n\nd"
            if way == "reload":
                gate.reload()
            else:
                gate.gateway.process.signal(signal.SIGTERM)
                wait_for(lambda: gate.said("stopping"), "the signal to be seen")
            peer.send(b"8\r\nata: 2\n\n\r\n")
            assert [wire.receive_chunk(), wire.receive_chunk()] == [b"ata: 2\n\n", b""]
            assert way == "reload" or gate.gateway.process.wait() == 0


def test_streams_come_back_after_a_reload_and_miss_nothing(tmp_path: Path) -> None:
    with several(tmp_path, EVENTS, workers=1) as gate:
        token, writer = gate.config.mint(), gate.config.mint("--scope", "topic:write")
        with connected(gate.address) as wire:
            wire.send(asking("/events/public-a", token))
            stream = Stream(wire)
            publish(gate, "1", writer)
            assert stream.next() == [("message", "1")]
            gate.reload()
            assert stream.rest() == []
            assert 100 <= (stream.reader.retry or 0) <= 5100
        publish(gate, "2", writer)
        with connected(gate.address) as wire:
            wire.send(asking("/events/public-a", token, ("Last-Event-ID", stream.last_id)))
            again = Stream(wire)
            assert again.next() == [("message", "2")]
            publish(gate, "3", writer)
            assert again.next() == [("message", "3")]


def test_a_key_that_is_taken_out_closes_what_it_had_opened(tmp_path: Path) -> None:
    with several(tmp_path, EVENTS, workers=1) as gate, connected(gate.address) as wire:
        token = gate.config.mint()
        wire.send(asking("/events/public-a", token))
        stream = Stream(wire)
        another_key(gate)
        gate.reload()
        assert stream.rest() == []
        refused = exchange(gate.address, asking("/events/public-a", token))
        assert (refused.status, json.loads(refused.body)["reason"]) == (401, "signature")


def test_events_published_across_reloads_are_kept_in_order_or_not_acknowledged(tmp_path: Path) -> None:
    with several(tmp_path, EVENTS, workers=1) as gate:
        writer, reader = gate.config.mint("--scope", "topic:write"), gate.config.mint()
        kept: list[str] = []
        with connected(gate.address) as wire:
            for number in range(60):
                if number % 20 == 10:
                    gate.gateway.process.signal(signal.SIGHUP)
                wire.send(
                    b"POST /events/public-a HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %b\r\n"
                    b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n%02d" % (writer.encode(), number)
                )
                answer = wire.receive()
                assert answer.status == 201
                kept.append(json.loads(answer.body)["id"])
        assert kept == sorted(kept, key=lambda one: tuple(map(int, one.split("-"))))
        with connected(gate.address) as wire:
            wire.send(asking("/events/public-a", reader, ("Last-Event-ID", kept[0])))
            stream = Stream(wire)
            seen: list[tuple[str, str]] = []
            while len(seen) < 59:
                seen += stream.next()
        assert [text for _, text in seen] == [f"{number:02d}" for number in range(1, 60)]


def test_a_new_address_is_served_before_the_old_one_is_left(tmp_path: Path) -> None:
    with reserved_port() as port, several(tmp_path) as gate:
        old = gate.address
        gate.write('bind_address = "127.0.0.1:0"\n[admin]', f'bind_address = "127.0.0.1:{port}"\n[admin]')
        gate.reload()
        assert exchange(("127.0.0.1", port), asking("/open")).status == 200
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the kernel likes
            exchange(old, asking("/open"))


def test_an_address_that_cannot_be_had_leaves_everything_as_it_is(tmp_path: Path) -> None:
    with several(tmp_path / "other") as other, several(tmp_path / "own") as gate:
        gate.write('bind_address = "127.0.0.1:0"\n[admin]', f'bind_address = "127.0.0.1:{other.address[1]}"\n[admin]')
        gate.reload("not reloaded: the settings before stay in force")
        assert "Address already in use" in gate.gateway.process.output()
        assert exchange(gate.address, asking("/open")).status == 200


def test_signals_in_a_hurry_are_reloads_one_after_the_other(tmp_path: Path) -> None:
    with several(tmp_path) as gate, load(gate.address, asking("/open")) as tally:
        for _ in range(10):
            os.kill(gate.gateway.process.pid, signal.SIGHUP)
        wait_for(lambda: gate.said("reloaded"), "a reload")
        gate.reload()
    assert tally.failures == []


def test_a_restart_is_not_needed_for_a_revocation_store_to_stay(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        token = gate.config.mint("--jti", "gone")
        assert gate.config.run("revoke", "--jti", "gone").code == 0
        gate.reload()
        assert exchange(gate.address, asking("/hello", token)).status == 401
