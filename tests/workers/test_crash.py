"""A process that dies takes down what it had in hand, and nothing else."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.wire import Wire, exchange
from tests.workers.gateway import asking, is_alive, many, several, worker_of
from tests.workers.load import Tally, load, wait_for

DIED = "a worker died; another one takes its place"


def test_a_worker_killed_under_load_costs_only_requests_that_it_had(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        killed = []
        with load(gate.address, asking("/open")) as tally:
            for _ in range(3):
                victim = gate.pids()[0]
                began = time.monotonic()
                gate.kill(victim)
                killed.append((began, time.monotonic()))
                wait_for(lambda: len(gate.pids()) == 2, "the replacement")
                wait_for_more(tally)
        # in its hands: what was sent on a connection that was there before it died, and had no answer when it did
        for failure in tally.failures:
            assert any(failure.connected < died and failure.sent < died for _, died in killed), failure
        assert len(tally.failures) <= 3 * 20


def wait_for_more(tally: Tally) -> None:
    """Let the load go on for a while."""
    seen = tally.answered
    wait_for(lambda: tally.answered > seen + 200, "more answers")


def test_whoever_waits_at_a_worker_that_dies_is_served_by_the_next(tmp_path: Path) -> None:
    with several(tmp_path, workers=1) as gate:
        (victim,) = gate.pids()
        os.kill(victim, signal.SIGSTOP)
        with many(gate.address, 50) as wires:
            for wire in wires:
                wire.send(asking("/open"))
            gate.kill(victim)
            answers = [wire.receive() for wire in wires]
        assert {answer.status for answer in answers} == {200}
        assert victim not in {worker_of(answer.header("X-Request-ID")) for answer in answers}


def test_workers_do_not_outlive_their_supervisor(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        pids = gate.pids()
        with load(gate.address, asking("/open"), new=50) as tally:
            os.kill(gate.gateway.process.pid, signal.SIGKILL)
            wait_for(lambda: not any(map(is_alive, pids)), "the workers to end")
        # they ended as they do when they are told to: whoever was connected was answered
        assert [failure for failure in tally.failures if "ConnectionRefused" not in failure.why] == []


def test_a_worker_that_keeps_dying_is_replaced_ever_more_slowly(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        for _ in range(4):
            wait_for(lambda: len(gate.pids()) == 2, "the replacement")
            gate.kill(min(one["pid"] for one in gate.health()["workers"] if one["worker"] == 1))
        assert [line["after_seconds"] for line in gate.said(DIED)] == [0.0, 0.1, 0.2, 0.4]
        assert {line["by"] for line in gate.said(DIED)} == {"SIGKILL"}
        # and the other one goes on meanwhile
        other = next(one["pid"] for one in gate.health()["workers"] if one["worker"] == 2)
        assert is_alive(other)


def test_a_worker_ended_by_hand_is_replaced_too(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        first = gate.pids()
        with load(gate.address, asking("/open")) as tally:
            os.kill(first[0], signal.SIGTERM)
            wait_for(lambda: gate.said(DIED), "its end")
            wait_for(lambda: len(gate.pids()) == 2, "the replacement")
        assert tally.failures == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_dies_while_its_successors_start_stops_no_reload(tmp_path: Path, workers: int) -> None:
    with several(tmp_path, workers=workers) as gate:
        for generation in range(2, 6):
            old = gate.pids()
            gate.gateway.process.signal(signal.SIGHUP)
            wait_for(lambda: len(children(gate.gateway.process.pid)) > workers, "the successors")
            os.kill(old[0], signal.SIGKILL)
            wait_for(lambda count=generation - 1: len(gate.said("reloaded")) == count, "the reload")
            assert gate.health()["generation"] == generation
            assert exchange(gate.address, asking("/open")).status == 200
            # and whoever took the place of the dead one serves nobody under the old settings
            wait_for(lambda: set(children(gate.gateway.process.pid)) == set(gate.pids()), "the old ones to end")
            assert len(gate.pids()) == workers


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that live."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in map(int, found) if is_alive(child)]


def test_a_revocation_is_known_to_every_worker_at_its_next_request(tmp_path: Path) -> None:
    with several(tmp_path, workers=3) as gate:
        for number in range(3):
            token = gate.config.mint("--jti", f"key-{number}")
            with many(gate.address, 30) as wires:
                met = [worker_of(answered(wire, token, 200)) for wire in wires]
                assert len(set(met)) == 3
                assert gate.config.run("revoke", "--jti", f"key-{number}").code == 0
                assert [worker_of(answered(wire, token, 401)) for wire in wires] == met


def answered(wire: Wire, token: str, status: int) -> str | None:
    """Ask, expect a status, and return the id of the request."""
    wire.send(asking("/hello", token))
    answer = wire.receive()
    assert answer.status == status
    return answer.header("X-Request-ID")


def test_every_worker_gets_its_part_of_the_connections(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        seen = [worker_of(exchange(gate.address, asking("/open")).header("X-Request-ID")) for _ in range(200)]
        assert sorted(set(seen)) == sorted(gate.pids())
        assert min(seen.count(pid) for pid in set(seen)) > 50
