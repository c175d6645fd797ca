"""A real Caddy, from the text of its Caddyfile."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import Process, answers, program, running

# No admin endpoint on a fixed port, no certificates fetched, nothing written outside its directory; and loopback alone:
# the port is reserved there, and on all addresses somebody else may have it.
_GLOBAL: Final = """{
    admin off
    auto_https off
    persist_config off
    skip_install_trust
    default_bind 127.0.0.1
}
"""


@dataclass(frozen=True, slots=True)
class Caddy:
    """Where it listens, and its process."""

    host: str
    port: int
    process: Process

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"


@contextmanager
def caddy(sites: str) -> Iterator[Caddy]:
    """Run Caddy with these site blocks until the block ends.

    `$LISTEN` in the text becomes `http://127.0.0.1:<port>`: "$LISTEN { respond hello }". Caddy matches the Host header
    against it: to accept any, write "http://:$PORT { bind 127.0.0.1 … }".
    """
    with reserved_port() as port, tempfile.TemporaryDirectory(prefix="sg-caddy-") as directory:
        configuration = Path(directory, "Caddyfile")
        text = sites.replace("$LISTEN", f"http://{LOOPBACK}:{port}").replace("$PORT", str(port))
        configuration.write_text(_GLOBAL + text)
        home = {"HOME": directory, "XDG_CONFIG_HOME": directory, "XDG_DATA_HOME": directory}
        command = [program("caddy"), "run", "--config", str(configuration), "--adapter", "caddyfile"]
        with running(command, answers(port), environment=home) as process:
            yield Caddy(LOOPBACK, port, process)
