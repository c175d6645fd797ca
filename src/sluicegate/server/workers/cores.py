"""How many cores this process may use: by its affinity, and by the quota of its control group."""

import os
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")


def cores() -> int:
    """Return it, at least 1. A quota of one and a half cores is two: the half would lie idle."""
    return max(1, min(len(os.sched_getaffinity(0)), *(_quotas(_OWN, _GROUPS) or [1 << 16])))


def _quotas(own: Path, groups: Path) -> list[int]:
    """Return the quotas of our group and of those around it (cgroups(7), version 2), in whole cores."""
    try:
        line = next(line for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return []
    path = groups / line.removeprefix("0::").lstrip("/")
    found = []
    for group in (path, *path.parents):
        try:
            quota, period = (group / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if quota.isdecimal() and int(period):
            found.append(max(1, -(-int(quota) // int(period))))
    return found
