"""A server as a process of its own: started, waited for until it is ready, and ended whole."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals
from typing import Final, final

from tests.servers.ports import LOOPBACK

READY_WITHIN: Final = 20.0
"""Seconds a server has to become ready; far more than any needs, because a busy machine is not a failed test."""

ENDED_WITHIN: Final = 10.0
"""Seconds a server has to end by itself once asked; then it is killed."""

_GLANCE: Final = 0.01

Ready = Callable[["Process"], bool]
"""Asked again and again until it says yes; `answers` and `prints` make the usual ones."""


class ServerFailed(AssertionError):  # noqa: N818 - says what happened, with the server's own words
    """A server ended early, did not become ready, or did not do what a test waited for."""


def program(name: str) -> str:
    """Find a program: beside this Python, among what `tools/setup` unpacked, on the PATH, or in sbin."""
    root = Path(__file__).parents[2]
    places = [Path(sys.executable).parent, root / ".tools" / "bin", *os.get_exec_path(), "/usr/sbin", "/sbin"]
    found = shutil.which(name, path=os.pathsep.join(map(str, places)))
    if found is None:
        raise ServerFailed(f"there is no {name} on this machine; `make setup` brings it")
    return found


def answers(port: int, *, host: str = LOOPBACK) -> Ready:
    """Ready when a TCP connection to this port is accepted."""

    def accepts(_: Process) -> bool:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            return False
        return True

    return accepts


def prints(text: str) -> Ready:
    """Ready when this text has appeared in the output."""
    return lambda process: text in process.output()


@final
class Process:
    """A running server and everything that it started: they share one process group and are signalled together."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None, directory: Path | None
    ) -> None:
        self.command = tuple(command)
        # A file, not a pipe: nobody has to read it for the server to go on, and all of it is there for the message.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else {**os.environ, **environment},
            cwd=directory,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._child.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; minus the signal's number where a signal ended it."""
        return self._child.poll()

    def output(self) -> str:
        """Everything printed so far, standard output and standard error as they came."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="backslashreplace")

    def wait_until(self, ready: Ready, *, within: float = READY_WITHIN) -> None:
        """Wait for a condition; raise `ServerFailed` when the process ends first, or after `within` seconds."""
        deadline = time.monotonic() + within
        while not ready(self):
            # Waiting for its end is the pause between two looks: an early death is seen at once.
            if self._ends(_GLANCE):
                raise self._failure(f"ended with status {self.exit_status} before it was ready")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready within {within:g} s")

    def wait(self, *, within: float = ENDED_WITHIN) -> int:
        """Wait for it to end by itself, and return its exit status."""
        if not self._ends(within):
            raise self._failure(f"did not end within {within:g} s")
        return self._child.returncode

    def signal(self, number: Signals) -> None:
        """Signal the server alone, as an operator's `kill` does."""
        self._child.send_signal(number)

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP): connections stay open and nothing answers."""
        self._signal_group(SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal_group(SIGCONT)

    def kill(self) -> None:
        """End it and what it started at once (SIGKILL): no shutdown code runs. Returns when it is gone."""
        self._signal_group(SIGKILL)
        self._child.wait()
        self._end_group()

    def stop(self, *, within: float = ENDED_WITHIN) -> int:
        """Ask it to end (SIGTERM), and kill it after `within` seconds. Return its exit status."""
        if self._child.poll() is None:
            self._child.terminate()
            self.thaw()
            if not self._ends(within):
                self.kill()
        self._end_group()
        return self._child.returncode

    def close(self) -> None:
        """Stop it and forget its output."""
        self.stop()
        self._output.close()

    def _ends(self, within: float) -> bool:
        try:
            self._child.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _end_group(self) -> None:
        """Kill what the server started and left behind; return when it is dead."""
        self._signal_group(SIGKILL)
        deadline = time.monotonic() + ENDED_WITHIN
        while left := _living_members(self.pid):
            if time.monotonic() > deadline:
                raise self._failure(f"left processes that cannot be killed: {left}")
            time.sleep(_GLANCE)

    def _signal_group(self, number: Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def _failure(self, what: str) -> ServerFailed:
        return ServerFailed(f"{' '.join(self.command)}\n{what}; it said:\n{self.output()}")


def _living_members(group: int) -> list[int]:
    """The processes of a group. The dead do not count: who buries an orphan, and when, is not ours to say."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name is in parentheses and may hold any character; state, parent and group follow the last one.
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            members.append(int(stat.parent.name))
    return members


@contextmanager
def running(
    command: Sequence[str],
    ready: Ready,
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    within: float = READY_WITHIN,
) -> Iterator[Process]:
    """Start a server, wait until it is ready, and end it with the block.

    `environment` is added to ours. Raises `ServerFailed`, with the server's own output, when it does not become ready
    within so many seconds.
    """
    process = Process(command, environment=environment, directory=directory)
    try:
        process.wait_until(ready, within=within)
        yield process
    finally:
        process.close()
