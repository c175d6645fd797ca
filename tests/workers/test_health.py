"""One answer about all of them, from whichever worker is asked; and one limit an address."""

import json
import os
import signal
from pathlib import Path

from tests.wire import exchange
from tests.workers.gateway import asking, many, several
from tests.workers.load import wait_for


def test_health_counts_the_connections_of_all_workers(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        with many(gate.address, 30) as wires:
            for wire in wires:
                wire.send(asking("/open"))
                assert wire.receive().status == 200
            told = gate.health()
        assert (told["status"], told["connections"], told["generation"], told["silent"]) == ("ok", 30, 1, [])
        assert [one["worker"] for one in told["workers"]] == [1, 2]
        assert sum(one["connections"] for one in told["workers"]) == 30
        assert all(one["connections"] for one in told["workers"])


def test_health_is_answered_during_reloads(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        for _ in range(3):
            before = len(gate.said("reloaded"))
            gate.gateway.process.signal(signal.SIGHUP)
            while len(gate.said("reloaded")) == before:
                assert gate.health()["connections"] == 0


def test_a_worker_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with several(tmp_path) as gate:
        first, second = gate.pids()
        os.kill(first, signal.SIGSTOP)
        try:
            told = gate.health()
        finally:
            os.kill(first, signal.SIGCONT)
        assert told["status"] == "degraded"
        assert [one["pid"] for one in told["silent"]] == [first]
        assert [one["pid"] for one in told["workers"]] == [second]
        wait_for(lambda: gate.health()["status"] == "ok", "it to answer again")


def test_each_line_of_the_log_says_whose_it_is_and_ready_is_said_once(tmp_path: Path) -> None:
    with several(tmp_path, tokens="log_blocked = true") as gate:
        pids = gate.pids()
        for _ in range(40):
            exchange(gate.address, asking("/hello"))
        wait_for(lambda: len(gate.said("refused")) == 40, "the log")
        assert {(line["worker"], line["pid"]) for line in gate.said("refused")} == set(zip((1, 2), pids, strict=True))
        assert len(gate.said("ready")) == 1
        assert len([line for line in gate.gateway.process.output().splitlines() if "route /open" in line]) == 1


def test_the_limit_of_an_address_does_not_multiply_by_the_workers(tmp_path: Path) -> None:
    with several(tmp_path, workers=3, http="rate_limit_per_ip = 20\nrate_limit_window_sec = 600\n") as gate:
        answers = [exchange(gate.address, asking("/open")) for _ in range(60)]
        assert [answer.status for answer in answers].count(200) == 20
        assert len({answer.header("X-Request-ID") for answer in answers}) == 60
        assert json.loads(answers[-1].body)["error"] == "rate_limited"
        # nor does a death or a reload give everybody a fresh allowance
        gate.kill(gate.pids()[0])
        gate.reload()
        assert {exchange(gate.address, asking("/open")).status for _ in range(20)} == {429}
