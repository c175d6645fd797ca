"""The program itself, run as a user runs it."""

import base64
import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.servers.process import Process, prints, program, running
from tests.wire import Response, exchange, request

_READY: Final = re.compile(r'"message": "ready", "address": "([^"]+):(\d+)", "operators": "[^"]+:(\d+)"')


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """What it printed, as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Config:
    """A `sluicegate.toml` in a directory of its own, with a key and a store of its own."""

    path: Path

    def run(self, *arguments: str, stdin: str = "") -> Done:
        """Run a command with this configuration."""
        return run(*arguments, "--config", str(self.path), stdin=stdin)

    def mint(self, *arguments: str) -> str:
        """Return a token that this configuration's key signs."""
        done = self.run("token", "mint", "--sub", "alice", *arguments)
        assert done.code == 0, done.err
        return done.out.strip()


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running `sluicegate serve`."""

    process: Process
    address: tuple[str, int]
    operators: tuple[str, int]

    def get(self, target: str, *headers: tuple[str, str]) -> Response:
        """Send a GET and return what comes back."""
        return exchange(self.address, request(target, *headers))

    def health(self, *headers: tuple[str, str]) -> Response:
        """Ask the operators' listener."""
        return exchange(self.operators, request("/health", *headers, host="localhost"))


def bearer(token: str) -> tuple[str, str]:
    """Return the header that carries a token."""
    return "Authorization", f"Bearer {token}"


def run(*arguments: str, stdin: str = "", environment: dict[str, str] | None = None) -> Done:
    """Run the program to its end."""
    done = subprocess.run(
        [program("sluicegate"), *arguments],
        input=stdin,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "COLUMNS": "200", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def configure(directory: Path, text: str = "", *, tokens: str = "") -> Config:
    """Write a configuration: free ports, a key, a store; `tokens` are further lines of `[stateful_jwt]`."""
    path = directory / "sluicegate.toml"
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    path.write_text(
        f"state_dir = {json.dumps(str(directory / 'state'))}\n"
        '[http]\nbind_address = "127.0.0.1:0"\n[admin]\nbind_address = "127.0.0.1:0"\n'
        f'[stateful_jwt]\nsign_key = "{secret}"\n{tokens}\n{text}\n',
        encoding="utf-8",
    )
    return Config(path)


@contextmanager
def serving(config: Config, *arguments: str) -> Iterator[Gateway]:
    """Start `sluicegate serve` and wait until it says that it is ready."""
    command = [program("sluicegate"), "serve", "--config", str(config.path), "--log-format", "json", *arguments]
    with running(command, prints('"message": "ready"')) as process:
        found = _READY.search(process.output())
        assert found is not None, process.output()
        host, port, operators = found[1], int(found[2]), int(found[3])
        yield Gateway(process, (host, port), (host, operators))
