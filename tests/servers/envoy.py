"""A real Envoy, from the text of its bootstrap."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import answers, program, running


@contextmanager
def envoy(bootstrap: str) -> Iterator[tuple[str, int]]:
    """Run Envoy with this bootstrap (YAML) until the block ends; return where it listens: `$PORT` in the text."""
    with reserved_port() as port, tempfile.TemporaryDirectory(prefix="sg-envoy-") as directory:
        configuration = Path(directory, "envoy.yaml")
        configuration.write_text(bootstrap.replace("$PORT", str(port)))
        command = [program("envoy"), "-c", str(configuration), "--concurrency", "1", "--disable-hot-restart"]
        with running([*command, "-l", "error"], answers(port)):
            yield LOOPBACK, port
