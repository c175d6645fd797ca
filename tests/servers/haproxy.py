"""A real HAProxy, from the text of its sections."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import answers, program, running

_DEFAULTS: Final = """
global
    maxconn 512
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
"""


@contextmanager
def haproxy(sections: str) -> Iterator[tuple[str, int]]:
    r"""Run HAProxy with these sections until the block ends; return where it listens.

    `$LISTEN` in the text becomes `127.0.0.1:<port>`: "listen gate\\n bind $LISTEN\\n server gate 127.0.0.1:8080".
    """
    with reserved_port() as port, tempfile.TemporaryDirectory(prefix="sg-haproxy-") as directory:
        configuration = Path(directory, "haproxy.cfg")
        configuration.write_text(_DEFAULTS + sections.replace("$LISTEN", f"{LOOPBACK}:{port}") + "\n")
        command = [program("haproxy"), "-db", "-f", str(configuration)]
        with running(command, answers(port)):
            yield LOOPBACK, port
