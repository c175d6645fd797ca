import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHIN = 50.0


def play(scene: str, directory: Path) -> str:
    """Play one scene in a process of its own; return what it printed."""
    played = subprocess.run(
        [sys.executable, "-m", "tests.backends.scenes", scene, str(directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    return played.stdout


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that every user can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name) / "state"


def test_nothing_acknowledged_is_lost_when_a_writer_is_killed_two_hundred_times(directory: Path) -> None:
    assert int(play("killed", directory).split()[0]) >= 200


def test_nothing_acknowledged_is_lost_when_one_of_several_writers_is_killed(directory: Path) -> None:
    play("killed_while_others_write", directory)


def test_a_store_made_before_a_fork_serves_parent_and_children(directory: Path) -> None:
    play("forked", directory)


def test_nothing_that_a_child_acknowledged_is_lost_when_its_parent_closes_first(directory: Path) -> None:
    play("orphaned", directory)


def test_a_fork_among_busy_threads_leaves_nobody_waiting(directory: Path) -> None:
    play("forked_among_threads", directory)


def test_a_fork_that_python_is_not_told_of_is_noticed(directory: Path) -> None:
    play("orphaned_behind_python", directory)


def test_a_full_disk_fails_the_write_and_nothing_else(directory: Path) -> None:
    play("full_disk", directory)


def test_files_that_may_not_be_written_are_out_of_reach_until_they_may(open_to_all: Path) -> None:
    play("read_only", open_to_all)
