"""`tools/leftovers` guards the whole run, so it is tested like everything else."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

LEFTOVERS: Final = Path(__file__).parents[1] / "tools" / "leftovers"


def guard(command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command under `tools/leftovers`."""
    return subprocess.run(
        [sys.executable, LEFTOVERS, "sh", "-c", command], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_a_command_that_leaves_nothing_has_its_own_status(command: str, status: int) -> None:
    assert guard(command).returncode == status


def test_a_process_that_outlives_the_command_is_named_and_ended_and_fails_the_run() -> None:
    done = guard("setsid sh -c 'echo $$; exec sleep 600 >/dev/null 2>&1' & sleep 0.1")
    assert done.returncode == 1
    assert "sleep 600" in done.stderr
    assert not Path("/proc", done.stdout.strip()).exists()


def test_a_process_that_is_on_its_way_out_is_waited_for() -> None:
    assert guard("setsid sleep 0.3 &").returncode == 0
