"""A real nginx, from the text of its `http` block."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import Process, answers, program, running

# Everything nginx would write lies in its own directory, and it stays in the foreground, where we can end it.
_AROUND: Final = """
{modules}
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr {log_level};
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{http}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """Where it listens, and its process."""

    host: str
    port: int
    process: Process

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"


_STREAM: Final = """
{module}
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
stream {{
{stream}
}}
"""


@contextmanager
def streaming(stream: str) -> Iterator[tuple[str, int]]:
    """Run nginx with these directives in its `stream` block until the block ends; return where it listens.

    `$LISTEN` is replaced as in `nginx`.
    """
    places = (Path(__file__).parents[2] / ".tools" / "libnginx-mod-stream", Path("/usr/lib/nginx/modules"))
    modules = [module for place in places for module in place.rglob("ngx_stream_module.so")]
    with reserved_port() as port, tempfile.TemporaryDirectory(prefix="sg-nginx-") as directory:
        configuration = Path(directory, "nginx.conf")
        configuration.write_text(
            _STREAM.format(
                # where there is no module, it is built in
                module=f"load_module {modules[0]};" if modules else "",
                directory=directory,
                stream=stream.replace("$LISTEN", f"{LOOPBACK}:{port}"),
                user="user root;" if os.geteuid() == 0 else "",
            )
        )
        command = [program("nginx"), "-p", directory, "-c", str(configuration), "-e", "stderr"]
        with running(command, answers(port)):
            yield LOOPBACK, port


@contextmanager
def nginx(
    http: str, *, log_level: str = "warn", modules: Sequence[Path] = (), connections: int = 512
) -> Iterator[Nginx]:
    """Run nginx with these directives in its `http` block until the block ends.

    `$LISTEN` in the text becomes `127.0.0.1:<port>`:
    "server { listen $LISTEN; location / { return 200 hello; } }".
    """
    # Short, so that a `unix:` upstream could live here too.
    with reserved_port() as port, tempfile.TemporaryDirectory(prefix="sg-nginx-") as directory:
        configuration = Path(directory, "nginx.conf")
        configuration.write_text(
            _AROUND.format(
                directory=directory,
                http=http.replace("$LISTEN", f"{LOOPBACK}:{port}"),
                log_level=log_level,
                modules="\n".join(f"load_module {module};" for module in modules),
                connections=connections,
                # As root the worker would become another user, who may not write to our directory.
                user="user root;" if os.geteuid() == 0 else "",
            )
        )
        # -e: before it has read its configuration it would log to /var/log/nginx.
        command = [program("nginx"), "-p", directory, "-c", str(configuration), "-e", "stderr"]
        with running(command, answers(port)) as process:
            yield Nginx(LOOPBACK, port, process)
