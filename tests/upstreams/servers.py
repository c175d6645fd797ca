"""The servers, and a gate before them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.servers.nginx import Nginx, nginx
from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import Process, answers, prints, program, running

_HERE: Final = Path(__file__).parent
_NGINX: Final = """
    client_max_body_size {most};
    {directives}
    server {{
        listen $LISTEN{tls};
        location / {{
            proxy_pass http://127.0.0.1:{port};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_set_header Connection "";
            add_header X-Resumed $ssl_session_reused;
            add_header X-Socket $connection;
        }}
        location = /file {{
            root {directory};
        }}
    }}
"""


class Node(NamedTuple):
    """A Node.js, and what it notes to have done."""

    port: int
    process: Process
    notes: Path


def node_on(port: int, directory: Path) -> tuple[list[str], Path]:
    """Return how Node.js is started on a port, and where it notes what it has done."""
    notes = directory / f"{port}.notes"
    notes.touch()
    return [program("node"), str(_HERE / "app.cjs"), str(port), str(notes)], notes


@contextmanager
def node(directory: Path) -> Iterator[Node]:
    """Run Node.js until the block ends."""
    with reserved_port() as port:
        command, notes = node_on(port, directory)
        with running(command, prints("listening")) as process:
            yield Node(port, process, notes)


@contextmanager
def gunicorn() -> Iterator[int]:
    """Run gunicorn until the block ends; give its port."""
    with reserved_port() as port:
        command = [
            program("gunicorn"), "--worker-class=gthread", "--workers=1", "--threads=4", "--keep-alive=60",
            "--no-control-socket", f"--bind={LOOPBACK}:{port}", "tests.upstreams.app:application",
        ]  # fmt: skip
        with running(command, answers(port), directory=_HERE.parents[1]):
            yield port


@contextmanager
def nginx_before(
    port: int, directory: Path, *, most: str = "0", tls: str = "", directives: str = ""
) -> Iterator[Nginx]:
    """Run nginx before another server until the block ends; a file of 10,000 bytes is its own.

    `most` bounds bodies, `tls` and `directives` are words of its own for the listener and for all.
    """
    (directory / "file").write_bytes(b"0123456789" * 1000)
    text = _NGINX.format(port=port, directory=directory, most=most, tls=tls, directives=directives)
    with nginx(text) as it:
        yield it
