"""Two workers beside one: how much more they carry. A decision on the embedded store.

Two cores are all that there may be, and whoever makes the load needs some of both, so the clock would tell nothing. The
load is the same for one worker and for two: a wrk on each core. What two workers cost each other (locks, caches, the
kernel's lists) shows in the CPU time of a request; that they do not get equal parts of the connections, in the part of
the larger one, which would be full first. The figure is

    CPU of a request with one worker ÷ CPU of a request with two ÷ part of the larger one

which is by how much two full cores carry more than one: 2 at best. Requests a second of the clock are printed too, and
mean something only where nobody else uses the machine.

Run `python -m bench workers`; `-- --quick` takes three rounds of a second instead of seven of three.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from bench.load import HEADERS, scratch
from bench.report import record
from tests.cli.sluicegate import Gateway, bearer, configure, serving
from tests.servers.process import program

_ROUTE: Final = '[[route]]\npath = "/decision"\nrespond = "Hello {http.auth.user.id}"\n'
_REQUESTS: Final = re.compile(r"(\d+) requests in")
_ASKED: Final = 1.7


@dataclass(frozen=True, slots=True)
class Round:
    """Requests a second, microseconds of the workers' CPU for each, and the part of connections that the larger has."""

    rate: float
    cpu: float
    part: float


def run(*, quick: bool) -> None:
    """Print and record it."""
    rounds, seconds = (3, 1) if quick else (9, 3)
    directory = scratch()
    found: dict[int, list[Round]] = {1: [], 2: []}
    with ExitStack() as stack:
        gates = {workers: stack.enter_context(_serving(directory / str(workers), workers)) for workers in found}
        for _ in range(rounds):
            for workers, gate in gates.items():
                found[workers].append(_once(*gate, seconds=seconds))
    shutil.rmtree(directory)
    ratio = statistics.median(one.cpu / two.cpu / two.part for one, two in zip(found[1], found[2], strict=True))
    for workers, its in found.items():
        rate, cpu, part = (statistics.median(getattr(it, name) for it in its) for name in ("rate", "cpu", "part"))
        print(
            f"{workers} worker(s): {cpu:6.2f} us CPU a request; the larger part {part:.2f}; {rate:7.0f}/s by the clock"
        )
    print(f"two ÷ one   {ratio:5.2f}   asked {_ASKED}")
    cpu = statistics.median(it.cpu for it in found[2])
    record("Two workers", "Sluicegate, two workers", cpu, "µs of CPU", ratio=ratio, peer="one worker", asked=_ASKED)


@contextmanager
def _serving(directory: Path, workers: int) -> Iterator[tuple[Gateway, list[int], str]]:
    """Run a gateway with its workers pinned: the gateway, their processes, and a token."""
    directory.mkdir()
    config = configure(directory, _ROUTE)
    config.path.write_text(config.path.read_text().replace("[http]\n", f"[http]\nworkers = {workers}\n", 1))
    with serving(config) as gate:
        pids = [worker["pid"] for worker in json.loads(gate.health().body)["workers"]]
        for core, pid in enumerate(pids):
            os.sched_setaffinity(pid, {core})
        token = config.mint("--ttl", "1d")
        if gate.get("/decision", bearer(token)).status != HTTPStatus.OK:
            raise RuntimeError("the request is refused before any load")
        yield gate, pids, token


def _once(gate: Gateway, pids: list[int], token: str, *, seconds: int) -> Round:
    fields = [part for name, value in [*HEADERS.items(), bearer(token)] for part in ("-H", f"{name}: {value}")]
    url = f"http://{gate.address[0]}:{gate.address[1]}/decision"
    before = sum(map(_cpu, pids))
    loads = [
        subprocess.Popen(
            [
                "taskset",
                "-c",
                str(core),
                program("wrk"),
                "-t1",
                "-c256",
                "--timeout",
                "20s",
                f"-d{seconds}s",
                *fields,
                url,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for core in range(2)
    ]
    time.sleep(seconds / 2)
    connections = [worker["connections"] for worker in json.loads(gate.health().body)["workers"]]
    requests = sum(_answered(each.communicate()[0]) for each in loads)
    spent = sum(map(_cpu, pids)) - before
    return Round(requests / seconds, 1e6 * spent / requests, max(connections) / sum(connections))


def _answered(said: str) -> int:
    """Return how many requests wrk had answered."""
    answered = _REQUESTS.search(said)
    if answered is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"requests failed under load: {said}")
    return int(answered[1])


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process's threads (Documentation/scheduler/sched-stats)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
