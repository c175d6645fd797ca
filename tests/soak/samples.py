"""What a process takes, sample by sample, and whether it grows."""

import os
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_ALONE: Final = re.compile(r"^Private_(?:Clean|Dirty):\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """A moment of a process group. `memory` is in bytes that are its alone, `cpu` in seconds since its start."""

    at: float
    memory: int
    descriptors: int
    threads: int
    cpu: float
    tasks: int
    connections: int

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.memory / 1e6:8.2f} MB {self.descriptors:6} descriptors {self.threads:4} threads "
            f"{self.tasks:6} tasks {self.connections:6} connections"
        )


def sample(group: int, health: dict[str, Any]) -> Sample:
    """Look at a process group, and at what its gateway says of itself."""
    memory = descriptors = threads = cpu = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) != group:
                continue
            memory += sum(map(int, _ALONE.findall((place / "smaps_rollup").read_text()))) * 1024
            descriptors += sum(1 for _ in (place / "fd").iterdir())
        except (FileNotFoundError, ProcessLookupError):
            continue
        threads += int(fields[17])
        cpu += int(fields[11]) + int(fields[12])
    tasks, connections = (sum(worker[what] for worker in health["workers"]) for what in ("tasks", "connections"))
    return Sample(time.monotonic(), memory, descriptors, threads, cpu / _TICK, tasks, connections)


def growth(samples: Sequence[Sample], what: str) -> float:
    """Return by how much a figure grows from the first of these samples to the last: the line through all of them.

    The steadiest line (Theil and Sen): the median of the slopes between any two, so that no single peak bends it.
    """
    slopes = [
        (getattr(later, what) - getattr(earlier, what)) / (later.at - earlier.at)
        for place, earlier in enumerate(samples)
        for later in samples[place + 1 :]
    ]
    return float(statistics.median(slopes)) * (samples[-1].at - samples[0].at)
