"""The end of the gateway, and its limits at the start."""

import os
import resource
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.server.upstream import upstream
from tests.servers.process import prints, program, running
from tests.wire import connected, exchange
from tests.workers.gateway import asking, is_alive, many, several
from tests.workers.load import Address, load, wait_for


def test_no_request_is_lost_that_was_accepted_when_the_gateway_stopped(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        with load(gate.address, asking("/open")) as tally:
            gate.gateway.process.signal(signal.SIGTERM)
            assert gate.gateway.process.wait() == 0
        # after it, nobody listens: that is no loss
        assert [one for one in tally.failures if "ConnectionRefused" not in one.why] == []
        assert gate.said("stopped")[0]["in_good_order"] is True


def test_a_request_that_was_on_its_way_to_an_idle_connection_is_answered(tmp_path: Path) -> None:
    for attempt in range(20):
        with several(tmp_path / str(attempt)) as gate, many(gate.address, 4) as wires:
            for wire in wires:
                wire.send(asking("/open"))
                assert wire.receive().status == 200
            gate.gateway.process.signal(signal.SIGTERM)
            began = time.monotonic()
            while listens(gate.address):
                began = time.monotonic()
            for wire in wires:
                wire.send(asking("/open"))
            if time.monotonic() - began > 0.5:
                continue  # we were held up ourselves, and idle connections are kept for a second only
            answers = [wire.receive() for wire in wires]
            assert [(answer.status, answer.header("Connection")) for answer in answers] == [(200, "close")] * 4
            assert gate.gateway.process.wait() == 0
            return
    pytest.fail("this machine is too busy to send a request within half a second")


def listens(address: Address) -> bool:
    """Tell whether anybody listens: as the kernel says (proc(5)), for asking would take a second to be refused."""
    wanted = f":{address[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(wanted) and row[3] == "0A" for row in rows)


def test_whoever_waits_in_the_queue_when_the_gateway_stops_is_served(tmp_path: Path) -> None:
    with several(tmp_path, workers=1) as gate:
        (pid,) = gate.pids()
        os.kill(pid, signal.SIGSTOP)
        with many(gate.address, 50) as wires:
            for wire in wires:
                wire.send(asking("/open"))
            gate.gateway.process.signal(signal.SIGTERM)
            wait_for(lambda: gate.said("stopping"), "the signal to be seen")
            os.kill(pid, signal.SIGCONT)
            assert [wire.receive().status for wire in wires] == [200] * 50
        assert gate.gateway.process.wait() == 0


def test_a_second_signal_breaks_off_what_is_in_flight_and_the_status_says_so(tmp_path: Path) -> None:
    with upstream() as behind:
        route = f'[[route]]\npath = "/*"\nupstream = "http://127.0.0.1:{behind.port}"\nauth = "none"\n'
        with several(tmp_path, route) as gate, connected(gate.address) as wire:
            pids = gate.pids()
            wire.send(asking("/slow"))
            peer = behind.accept()
            peer.request()
            gate.gateway.process.signal(signal.SIGINT)
            wait_for(lambda: gate.said("stopping"), "the first signal to be seen")
            gate.gateway.process.signal(signal.SIGINT)
            assert gate.gateway.process.wait() == 1
            assert wire.is_closed()
            assert not any(map(is_alive, pids))


def test_what_is_in_flight_ends_before_the_gateway_does(tmp_path: Path) -> None:
    with upstream() as behind:
        route = f'[[route]]\npath = "/*"\nupstream = "http://127.0.0.1:{behind.port}"\nauth = "none"\n'
        with several(tmp_path, route) as gate, connected(gate.address) as wire:
            wire.send(asking("/slow"))
            peer = behind.accept()
            peer.request()
            gate.gateway.process.signal(signal.SIGTERM)
            wait_for(lambda: gate.said("stopping"), "the signal to be seen")
            peer.send()
            assert wire.receive().status == 200
            assert gate.gateway.process.wait() == 0


def test_the_limit_of_descriptors_is_raised_for_the_workers(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        command = ["sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", program("sluicegate"), "serve"]
        gate.gateway.process.stop()
        with running([*command, "--config", str(gate.config.path), "--log-format", "json"], prints('"ready"')) as again:
            children = Path(f"/proc/{again.pid}/task/{again.pid}/children").read_text().split()
            assert len(children) == 2
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            for child in children:
                assert resource.prlimit(int(child), resource.RLIMIT_NOFILE) == (hard, hard)


def test_connections_past_what_the_system_allows_are_said_and_answered(tmp_path: Path) -> None:
    with several(tmp_path, workers=1, http="max_connections = 5000\n") as gate:
        gate.gateway.process.stop()
        command = ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh", program("sluicegate"), "serve"]
        with running([*command, "--config", str(gate.config.path), "--log-format", "json"], prints('"ready"')) as again:
            assert "max_connections does not fit" in again.output()
            assert '"served": 72' in again.output()
            port = int(again.output().partition('"address": "127.0.0.1:')[2].partition('"')[0])
            with many(("127.0.0.1", port), 72) as wires:
                for wire in wires:
                    wire.send(asking("/open"))
                    assert wire.receive().status == 200
                assert exchange(("127.0.0.1", port), asking("/open")).status == 503


def test_max_connections_is_divided_among_the_workers(tmp_path: Path) -> None:
    with several(tmp_path, http="max_connections = 10\n") as gate:
        with many(gate.address, 60) as wires:
            for wire in wires:
                wire.send(asking("/open"))
            statuses = [wire.receive().status for wire in wires]
        assert (statuses.count(200), statuses.count(503)) == (10, 50)


def test_the_service_manager_hears_of_start_reload_and_end(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, several(tmp_path) as gate:
        gate.gateway.process.stop()
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        command = [program("sluicegate"), "serve", "--config", str(gate.config.path), "--log-format", "json"]
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with running(command, prints('"ready"'), environment=environment) as again:
            assert manager.recv(200) == b"READY=1"
            again.signal(signal.SIGHUP)
            assert manager.recv(200).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert manager.recv(200) == b"READY=1"
            gate.write("[http]", "[http")
            again.signal(signal.SIGHUP)
            assert manager.recv(200).startswith(b"RELOADING=1")
            assert manager.recv(200) == b"READY=1"  # it serves, though under the settings before
            assert again.stop() == 0
            assert manager.recv(200) == b"STOPPING=1"
