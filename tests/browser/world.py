"""A gateway that keeps its address across restarts, pages on other origins, and what is published and revoked."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, final

from tests.cli.sluicegate import Config, Gateway, bearer, configure, serving
from tests.servers.ports import LOOPBACK, reserved_port
from tests.wire import exchange, request

PAGES: Final = Path(__file__).parents[2] / "examples" / "page"

SETTINGS: Final = """
[events]
subscribe = ["public-*"]
publish = ["public-*"]
retry_ms = 700
[[route]]
path = "/events/{topic}"
events = true
[[route]]
path = "/page"
respond = "a page of the gate's own host"
auth = "none"
[[route]]
path = "/ws/*"
upstream = "http://127.0.0.1:%d"
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's
        """Say nothing."""


@contextmanager
def pages() -> Iterator[str]:
    """Serve the example page on an origin of its own."""
    with ThreadingHTTPServer((LOOPBACK, 0), partial(Quiet, directory=str(PAGES))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@final
class World:
    """A gateway that can be restarted."""

    def __init__(self, config: Config, port: int, *, ours: str, foreign: str) -> None:
        self.config: Final = config
        self.gate: Final = f"http://{LOOPBACK}:{port}"
        self.own_page: Final = f"{self.gate}/page"
        self.ours: Final = ours
        self.foreign: Final = foreign
        self.address: Final = (LOOPBACK, port)
        self._writer: Final = config.mint("--scope", "topic:write")
        self._stack: Final = ExitStack()
        self._gateway: Gateway | None = None

    def start(self) -> None:
        """Serve."""
        self._gateway = self._stack.enter_context(serving(self.config))

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._gateway is not None
        self._gateway.process.kill()
        self._stack.close()

    def close(self) -> None:
        """End it."""
        self._stack.close()

    def restart(self, topic: str, said_meanwhile: str) -> None:
        """Kill it, start it again, and publish before anybody can have come back."""
        self.kill()
        self.start()
        self.publish(topic, said_meanwhile)

    def publish(self, topic: str, data: str) -> None:
        """Publish a text."""
        kind = ("Content-Type", "text/plain")
        raw = request(f"/events/{topic}", bearer(self._writer), kind, method="POST", body=data.encode())
        assert exchange(self.address, raw).status == 201

    def revoke(self, jti: str) -> None:
        """Revoke a token, as an operator does."""
        assert self.config.run("revoke", "--jti", jti).code == 0


@contextmanager
def world(directory: Path, *, upstream: int = 9) -> Iterator[World]:
    """Serve until the block ends."""
    with reserved_port() as port, pages() as ours, pages() as foreign:
        config = configure(directory, SETTINGS % upstream)
        text = config.path.read_text("utf-8").replace(
            'bind_address = "127.0.0.1:0"\n',
            f'bind_address = "127.0.0.1:{port}"\ncors_allowed_origins = [{json.dumps(ours)}]\n',
            1,
        )
        config.path.write_text(text, "utf-8")
        here = World(config, port, ours=ours, foreign=foreign)
        here.start()
        try:
            yield here
        finally:
            here.close()
