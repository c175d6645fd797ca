"""What happens to a whole process, each in one of its own: `python -m tests.backends.scenes NAME DIRECTORY`.

A scene exits with 0 when all went as it says.
"""

import ctypes
import os
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from sluicegate.backends.sqlite.store import SqliteStore
from sluicegate.core.revocation import Entry
from sluicegate.errors import StateUnavailable

ROUNDS = 200
NOBODY = 65534
CANCELLED = Entry("cancelled")


def scene_killed(directory: Path) -> None:
    """A writer is killed in the midst of its writes, 200 times: what it acknowledged stands."""
    chance = random.Random(20260101)  # noqa: S311 - chosen moments, no secrets
    acknowledged: list[str] = []
    for number in range(ROUNDS):
        with pipe() as (read, write):
            writer = child(partial(_write_on, directory, f"{number}:", write))
            # killed after some acknowledgements, at a moment that may lie anywhere in the next write
            for _ in range(chance.randrange(1, 6)):
                acknowledged += read_lines(read, once=True)
            spin(chance.uniform(0, 0.002))
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
            os.close(write)
            acknowledged += read_lines(read)
        if number % 20 == 0:
            check(directory, acknowledged)
    check(directory, acknowledged)
    assert len(acknowledged) >= ROUNDS
    sys.stdout.write(f"{len(acknowledged)} acknowledged\n")


def scene_killed_while_others_write(directory: Path) -> None:
    """Of three writers one is killed, 30 times: what any of them acknowledged stands, and the others go on."""
    chance = random.Random(20260102)  # noqa: S311 - likewise
    for number in range(30):
        with pipe() as (read, write):
            writers = [child(partial(_write_on, directory, f"{number}:{one}:", write)) for one in range(3)]
            acknowledged = [line for _ in range(chance.randrange(3, 12)) for line in read_lines(read, once=True)]
            os.kill(writers[0], signal.SIGKILL)
            for _ in range(6):  # the lock of the dead is free
                acknowledged += read_lines(read, once=True)
            for writer in writers[1:]:
                os.kill(writer, signal.SIGKILL)
            for writer in writers:
                os.waitpid(writer, 0)
            os.close(write)
            acknowledged += read_lines(read)
        check(directory, acknowledged)


def scene_forked(directory: Path) -> None:
    """Parent and children go on with the store that was made before the fork, and each sees what the others write."""
    store = SqliteStore(directory)
    store.put("before", CANCELLED)
    assert store.find(("before",))
    children = []
    for number in range(4):

        def go(number: int = number) -> None:
            assert store.find(("before",))
            assert len(store) >= 1  # the copy came along
            for one in range(20):
                store.put(f"{number}:{one}", CANCELLED)
                assert store.find((f"{number}:{one}",))

        children.append(child(go))
    for one in range(20):
        store.put(f"parent:{one}", CANCELLED)
    for pid in children:
        assert ended(pid) == 0
    keys = tuple(f"{number}:{one}" for number in range(4) for one in range(20))
    assert len(store.find(keys)) == len(keys)


def scene_orphaned(directory: Path) -> None:
    """A child goes on writing after its parent, the only other process with the store, has closed it and ended."""
    _orphan(directory, os.fork)


def scene_orphaned_behind_python(directory: Path) -> None:
    """The same, where a server in C forks without telling Python."""
    _orphan(directory, ctypes.PyDLL(None).fork)


def _orphan(directory: Path, fork: Callable[[], int]) -> None:
    with pipe() as (ready, say_ready), pipe() as (go, say_go), pipe() as (read, write):

        def parent() -> None:
            store = SqliteStore(directory)
            store.put("parent", CANCELLED)
            assert store.find(("parent",))

            def orphan() -> None:
                assert store.find(("parent",))
                store.put("orphan:0", CANCELLED)
                os.write(say_ready, b"ready\n")
                read_lines(go, once=True)
                for one in range(1, 50):
                    store.put(f"orphan:{one}", CANCELLED)
                os.write(write, b"done\n")
                os.kill(os.getpid(), signal.SIGKILL)  # closing would hide what was not on the disk

            child(orphan, fork)
            store.put("parent again", CANCELLED)
            read_lines(ready, once=True)
            store.close()

        assert ended(child(parent)) == 0
        # as any command would, between the parent's end and the child's next write
        check(directory, ["parent", "parent again", "orphan:0"])
        os.write(say_go, b"go\n")
        assert read_lines(read, once=True) == ["done"]
    check(directory, ["parent", "parent again", *(f"orphan:{one}" for one in range(50))])


def scene_forked_among_threads(directory: Path) -> None:
    """Forks while other threads ask and write: no child hangs, no thread misses an answer."""
    store = SqliteStore(directory)
    store.put("before", CANCELLED)
    stop = threading.Event()
    faults: list[BaseException] = []

    def go_on(work: Callable[[int], object]) -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                work(number)
        except BaseException as fault:
            faults.append(fault)
            raise

    def ask(_: int) -> None:
        assert store.find(("before", "nothing")) == {"before": "cancelled"}

    threads = [
        threading.Thread(target=go_on, args=(work,))
        for work in (ask, ask, lambda number: store.put(f"thread:{number}", CANCELLED))
    ]
    for thread in threads:
        thread.start()
    for number in range(8):

        def go(number: int = number) -> None:
            ask(0)
            store.put(f"child:{number}", CANCELLED)
            assert store.find((f"child:{number}",))

        pid = child(go)
        assert ended(pid) == 0
        assert store.find((f"child:{number}",))
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []


def scene_full_disk(directory: Path) -> None:
    """No room: a write says so and leaves nothing behind, questions are answered, and room brings writes back."""
    store = SqliteStore(directory)
    store.put("before", CANCELLED)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    acknowledged = ["before"]
    refused = ""
    while not refused:
        key = f"{len(acknowledged)}:{'x' * 200}"
        refused = refusal(partial(store.put, key, CANCELLED))
        acknowledged += [] if refused else [key]
    assert "state.db" in refused
    report = store.inspect()
    assert report.reachable
    assert any("could not be written" in warning for warning in report.warnings)
    assert len(store.find(tuple(acknowledged))) == len(acknowledged)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    store.put("after", CANCELLED)
    assert store.inspect().warnings == ()
    store.close()
    check(directory, [*acknowledged, "after"])


def scene_read_only(directory: Path) -> None:
    """No right to write: every question is answered with the error, until there is the right again."""
    with opened(directory) as store:
        store.put("before", CANCELLED)
    files = [directory, *directory.iterdir()]
    for path in files:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.setuid(NOBODY)  # no permission binds root
    store = SqliteStore(directory)
    assert "Permission denied" in refusal(lambda: store.find(("before",)))
    assert "Permission denied" in refusal(lambda: store.put("more", CANCELLED))
    assert "Permission denied" in refusal(lambda: list(store.entries("")))
    report = store.inspect()
    assert not report.reachable
    assert report.since is not None
    for path in files:
        path.chmod(0o700 if path.is_dir() else 0o600)
    deadline = time.monotonic() + 10
    while not store.inspect().reachable:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert store.find(("before",))
    store.put("more", CANCELLED)
    assert store.inspect().since is None


def _write_on(directory: Path, name: str, write: int) -> None:
    store = SqliteStore(directory)
    number = 0
    while True:
        number += 1
        store.put(f"{name}{number}", CANCELLED)
        os.write(write, f"{name}{number}\n".encode())


def refusal(question: Callable[[], object]) -> str:
    """Return why the store does not answer, "" when it does."""
    try:
        question()
    except StateUnavailable as error:
        return str(error)
    return ""


def check(directory: Path, acknowledged: list[str]) -> None:
    """Fail unless all that was acknowledged stands for a process that comes fresh."""
    with opened(directory) as store:
        found = store.find(tuple(acknowledged))
        missing = [key for key in acknowledged if key not in found]
        assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged are missing: {missing[:5]}"


@contextmanager
def opened(directory: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(directory)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    try:
        yield read, write
    finally:
        for end in (read, write):
            with suppress(OSError):  # closed already, so that the other side sees the end
                os.close(end)


def read_lines(read: int, *, once: bool = False) -> list[str]:
    """Read whole lines: those that are there next, or all up to the end."""
    data = os.read(read, 65536)
    while data and not (once and data.endswith(b"\n")):
        more = os.read(read, 65536)
        if not more:
            break
        data += more
    return data.decode().splitlines()


def spin(seconds: float) -> None:
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        pass


def child(work: Callable[[], None], fork: Callable[[], int] = os.fork) -> int:
    """Do the work in a child, and end it there; returns the child's process id."""
    pid = fork()
    if pid == 0:
        with failing_loudly():
            work()
    return pid


@contextmanager
def failing_loudly() -> Iterator[None]:
    """End the process with this block, with 1 and the reason when it fails."""
    code = 1
    try:
        yield
        code = 0
    except BaseException:  # noqa: BLE001 - even an interrupt must not go on into what the parent was doing
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for a child; return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    globals()[f"scene_{sys.argv[1]}"](Path(sys.argv[2]))
