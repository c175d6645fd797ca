"""A real redis-server: plain, with a password, ACL users, TLS or an append-only file; and its accidents."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import final

from tests.servers.certificates import Certificate
from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import Process, ServerFailed, answers, program


@final
class Redis:
    """A redis-server of one test. It can be frozen, killed and restarted, always on the same port."""

    host = LOOPBACK

    def __init__(
        self,
        port: int,
        directory: Path,
        *,
        arguments: Sequence[str],
        tls: Certificate | None,
        client: Certificate | None,
    ) -> None:
        self.port = port
        self.directory = directory
        self.unix_socket = directory / "redis.sock"
        self.tls = tls
        self.client = client
        self._command = (program("redis-server"), *arguments)
        self._process: Process | None = None

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`redis://host:port`, or `rediss://` over TLS."""
        return f"{'redis' if self.tls is None else 'rediss'}://{self.address}"

    @property
    def process(self) -> Process:
        """The process that runs now; raises `ServerFailed` between `kill` or `stop` and `start`."""
        if self._process is None:
            raise ServerFailed("this redis-server was stopped and not started again")
        return self._process

    def start(self) -> None:
        """Start it, and return when it answers and has loaded its data."""
        assert self._process is None, "it runs already"
        self._process = process = Process(self._command, environment=None, directory=self.directory)
        # From then on it answers commands; a port that accepts may still say LOADING.
        process.wait_until(lambda it: "Ready to accept connections" in it.output() and answers(self.port)(it))

    def stop(self) -> None:
        """End it in good order (SIGTERM): an append-only file is synced."""
        process, self._process = self.process, None
        process.close()

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash does."""
        self.process.kill()
        self.stop()

    def close(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self.stop()

    def restart(self) -> None:
        """Kill it and start it again on the same port; what it held is gone, unless it keeps an append-only file."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay open, new ones are accepted by the kernel, nothing answers."""
        self.process.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        self.process.thaw()

    def cli(self, *words: str, user: str | None = None, password: str | None = None) -> str:
        """Send one command with redis-cli, as an operator would, and return what it prints.

        Raises `ServerFailed` when the server answers with an error or not at all.
        """
        # -e: an error reply is a failed command.
        call = [program("redis-cli"), "-e", "-h", self.host, "-p", str(self.port), *self._tls_arguments()]
        if user is not None:
            call += ["--user", user]
        if password is not None:
            call += ["--pass", password, "--no-auth-warning"]
        done = subprocess.run(
            [*call, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
        )
        if done.returncode:
            raise ServerFailed(f"redis-cli {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout.removesuffix("\n")

    def _tls_arguments(self) -> list[str]:
        if self.tls is None:
            return []
        arguments = ["--tls", "--cacert", str(self.tls.ca_file)]
        if self.client is not None:
            arguments += ["--cert", str(self.client.cert_file), "--key", str(self.client.key_file)]
        return arguments


@contextmanager
def redis_server(
    *,
    tls: Certificate | None = None,
    client: Certificate | None = None,
    password: str | None = None,
    users: Sequence[str] = (),
    append_only: bool = False,
    arguments: Sequence[str] = (),
) -> Iterator[Redis]:
    """Run a redis-server of our own until the block ends.

    `tls`: speak only TLS, with this certificate. `client`: and only to clients that show one of the same authority;
    redis-cli shows this. `password`: of the default user. `users`: ACL rules without the word "user", as
    "gate on >secret ~BLACKLIST:* +exists +get". `append_only`: keep every write, so that a restart finds it. What
    else redis-server understands goes into `arguments`: ("--cluster-enabled", "yes").
    """
    # Short, because the path of a Unix socket ends at 107 bytes.
    with reserved_port() as port, tempfile.TemporaryDirectory(prefix="sg-redis-") as directory:
        given = [
            *("--port", "0" if tls else str(port), "--bind", LOOPBACK, "--unixsocket", "redis.sock"),
            *("--dir", directory, "--save", "", "--appendonly", "yes" if append_only else "no"),
            *("--daemonize", "no", "--appendfsync", "always" if append_only else "no"),
        ]
        if tls is not None:
            given += ["--tls-port", str(port), "--tls-ca-cert-file", str(tls.ca_file)]
            given += ["--tls-cert-file", str(tls.cert_file), "--tls-key-file", str(tls.key_file)]
            given += ["--tls-auth-clients", "yes" if client else "no"]
        if password is not None:
            given += ["--requirepass", password]
        for rule in users:
            given += ["--user", *rule.split()]
        server = Redis(port, Path(directory), arguments=[*given, *arguments], tls=tls, client=client)
        server.start()
        try:
            yield server
        finally:
            server.close()
