"""A gateway of several processes, and what its tests do to it."""

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.sluicegate import Config, Gateway, bearer, configure, serving
from tests.wire import Wire, connected, request
from tests.workers.load import Address, wait_for

OPEN = '[[route]]\npath = "/open"\nrespond = "open"\nauth = "none"\n'
HELLO = '[[route]]\npath = "/hello"\nrespond = "Hello {http.auth.user.id}"\n'


@dataclass(frozen=True, slots=True)
class Several:
    """A running gateway, and the settings that it read."""

    config: Config
    gateway: Gateway

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.gateway.address

    def health(self) -> dict[str, Any]:
        """Say how it says it is."""
        told: dict[str, Any] = json.loads(self.gateway.health().body)
        return told

    def pids(self) -> list[int]:
        """Return the processes of the workers of the youngest generation."""
        told = self.health()
        return [one["pid"] for one in told["workers"] if one["generation"] == told["generation"]]

    def write(self, old: str, new: str) -> None:
        """Change the settings file."""
        text = self.config.path.read_text()
        assert old in text
        self.config.path.write_text(text.replace(old, new))

    def said(self, message: str) -> list[dict[str, Any]]:
        """Return the lines of the log with this message."""
        lines = [line for line in self.gateway.process.output().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line["message"] == message]

    def reload(self, expected: str = "reloaded") -> dict[str, Any]:
        """Have it read its settings again, and wait until it says what came of it."""
        before = len(self.said(expected))
        self.gateway.process.signal(signal.SIGHUP)
        wait_for(lambda: len(self.said(expected)) > before, f'"{expected}"')
        return self.said(expected)[-1]

    def kill(self, pid: int) -> None:
        """End one process as the kernel does when memory is short, and wait until another one has its place."""
        died = "a worker died; another one takes its place"
        before = len(self.said(died))
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(self.said(died)) > before, "the death to be seen")


@contextmanager
def several(
    directory: Path, text: str = "", *, workers: int = 2, tokens: str = "", http: str = ""
) -> Iterator[Several]:
    """Run a gateway with so many workers."""
    directory.mkdir(exist_ok=True)
    config = configure(directory, OPEN + HELLO + text, tokens=tokens)
    path = config.path
    path.write_text(path.read_text().replace("[http]\n", f"[http]\nworkers = {workers}\n{http}", 1))
    with serving(config) as gateway:
        yield Several(config, gateway)


@contextmanager
def many(address: Address, count: int) -> Iterator[list[Wire]]:
    """Open so many connections, and close them with the block."""
    with ExitStack() as stack:
        yield [stack.enter_context(connected(address)) for _ in range(count)]


def asking(target: str, token: str = "", *headers: tuple[str, str]) -> bytes:
    """Return a request, with a token where there is one."""
    return request(target, *([bearer(token)] if token else []), *headers)


def worker_of(request_id: str | None) -> int:
    """Return the process that gave a request its id."""
    found = re.fullmatch(r"[0-9a-f]+-([0-9a-f]+)-[0-9a-f]+", request_id or "")
    assert found is not None
    return int(found[1], 16)


def is_alive(pid: int) -> bool:
    """Tell whether a process lives; one that is dead and not buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
