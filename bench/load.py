"""How a server is loaded and what it costs: `wrk` on one core, the server on another, CPU time of its whole tree.

CPU per request, and not requests per second, is the figure: a hypervisor may take a core away for seconds, and time
that was stolen does not count in it.
"""

import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.process import Process, program

SERVER_CORE: Final = "0"
LOAD_CORE: Final = "1"
_TICK: Final = os.sysconf("SC_CLK_TCK")
_REQUESTS: Final = re.compile(r"(\d+) requests in")
_ERRORS: Final = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)")

# what a browser sends, so that heads have a realistic size
HEADERS: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Referer": "https://app.example.com/orders",
    "X-Trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What some seconds of load came to: requests answered, and microseconds of CPU for each."""

    requests: int
    cpu: float
    errors: int


def pinned(command: Sequence[str]) -> list[str]:
    """Return a command that runs on the server's core."""
    return ["taskset", "-c", SERVER_CORE, *command]


def load(
    url: str,
    process: Process,
    *,
    headers: Mapping[str, str],
    seconds: float,
    connections: int = 64,
    behind: Sequence[Process] = (),
) -> Cost:
    """Load a URL for so many seconds, and say what each request cost the process and all that it started.

    What it cost those `behind` it is counted too.
    """
    named = [part for name, value in {**HEADERS, **headers}.items() for part in ("-H", f"{name}: {value}")]
    wrk = [program("wrk"), "-t1", f"-c{connections}", f"-d{seconds:g}s", *named, url]
    groups = [server.pid for server in (process, *behind)]
    before = sum(map(cpu_seconds, groups))
    done = subprocess.run(["taskset", "-c", LOAD_CORE, *wrk], capture_output=True, text=True, check=True)
    spent = sum(map(cpu_seconds, groups)) - before
    found = _REQUESTS.search(done.stdout)
    requests = int(found[1]) if found else 0
    failed = _ERRORS.search(done.stdout)
    errors = 0 if failed is None else int(failed[1] or 1)
    return Cost(requests, 1e6 * spent / max(requests, 1), errors)


def cpu_seconds(group: int) -> float:
    """Return the CPU time, user and system, that a process group has taken."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group:
            total += int(fields[11]) + int(fields[12])
    return total / _TICK


def compare(peers: Mapping[str, Callable[[], Cost]], *, rounds: int) -> dict[str, tuple[float, float]]:
    """Load peers in turn, round after round; return for each the median CPU per request, and requests a round."""
    seen: dict[str, list[Cost]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, once in peers.items():
            cost = once()
            if cost.errors:
                raise RuntimeError(f"{name}: {cost.errors} requests failed under load")
            seen[name].append(cost)
    return {
        name: (statistics.median(cost.cpu for cost in costs), statistics.median(cost.requests for cost in costs))
        for name, costs in seen.items()
    }


def scratch() -> Path:
    """Return a directory for what a run leaves behind."""
    return Path(tempfile.mkdtemp(prefix="sluicegate-bench-"))
