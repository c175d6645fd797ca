"""What one process was told is stored, every later question of any other finds."""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import pytest

from sluicegate.backends.sqlite.store import SqliteStore

ROOT = Path(__file__).parents[2]


class Start(Protocol):
    def __call__(self, *flags: str) -> "Worker": ...


class Worker:
    """Another process with a store in the same directory."""

    def __init__(self, directory: Path, flags: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.backends.worker", str(directory), *flags],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def answers(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def tell(self, *command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:  # noqa: ANN401 - any JSON value
        return json.loads(self.answers.readline())

    def ask(self, *command: str) -> Any:  # noqa: ANN401 - any JSON value
        self.tell(*command)
        return self.hear()

    def end(self) -> None:
        """Let it close its store and end by itself; raises when it does not."""
        with self.process as process:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(10) == 0


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    workers: list[Worker] = []

    def begin(*flags: str) -> Worker:
        workers.append(Worker(directory, flags))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.end()


def ready(*workers: Worker) -> None:
    assert [worker.hear() for worker in workers] == ["ready"] * len(workers)


def test_the_very_next_question_of_another_process_finds_what_was_acknowledged(start: Start) -> None:
    # the reader asks all the time, so that it looks in the midst of each write as well
    writer, reader = start(), start("--spin")
    ready(writer, reader)
    missed = []
    for number in range(500):
        key = f"key:{number}"
        assert writer.ask("put", key) == key
        if reader.ask("find", key) != {key: "cancelled"}:
            missed.append(key)
    assert missed == []


def test_the_very_next_question_of_another_process_misses_what_was_removed(start: Start) -> None:
    writer, reader = start(), start("--spin")
    ready(writer, reader)
    stale = []
    for number in range(100):
        key = f"key:{number}"
        writer.ask("put", key)
        assert reader.ask("find", key)
        assert writer.ask("remove", key) is True
        if reader.ask("find", key):
            stale.append(key)
    assert stale == []


def test_four_writers_at_once_are_all_seen_by_two_readers(start: Start) -> None:
    writers, readers = [start() for _ in range(4)], [start("--spin"), start()]
    ready(*writers, *readers)
    total = 4 * 60
    for number, writer in enumerate(writers):
        writer.tell("put", *(f"{number}:{one}" for one in range(60)))
    missed = []
    for key in _each_answer(writers, total):
        for reader in readers:
            reader.tell("find", key)
        missed += [key for reader in readers if reader.hear() != {key: "cancelled"}]
    assert missed == []


def test_many_processes_may_make_the_store_at_the_same_time(start: Start, directory: Path) -> None:
    workers = [start() for _ in range(6)]
    ready(*workers)
    for number, worker in enumerate(workers):
        worker.ask("put", f"key:{number}")
    keys = [f"key:{number}" for number in range(6)]
    assert all(len(worker.ask("find", *keys)) == 6 for worker in workers)
    store = SqliteStore(directory)
    assert len(store.find(tuple(keys))) == 6
    store.close()


def _each_answer(workers: list[Worker], total: int) -> Iterator[str]:
    """Each answer of any worker, as soon as it is there."""
    heard = 0
    buffers = {worker.answers.fileno(): b"" for worker in workers}
    with selectors.DefaultSelector() as selector:
        for descriptor in buffers:
            selector.register(descriptor, selectors.EVENT_READ)
        while heard < total:
            for key, _ in selector.select(10):
                # past the text layer, whose own buffer the selector cannot see
                data = os.read(key.fd, 4096)
                assert data, "a worker ended"
                *lines, rest = (buffers[key.fd] + data).split(b"\n")
                buffers[key.fd] = rest
                for line in lines:
                    heard += 1
                    yield json.loads(line)
