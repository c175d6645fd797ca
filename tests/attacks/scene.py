"""A gateway under attack: the running program, a store, and an upstream that keeps the very bytes it was sent."""

import base64
import socket
import threading
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from sluicegate import Gate
from tests.cli.sluicegate import Config, Gateway, bearer, configure, serving
from tests.servers.redis import Redis, redis_server
from tests.table import tokens
from tests.wire import Response, exchange, request

CLAIMS: Final = {**tokens.CLAIMS, "iat": 1_700_000_000}
"""The usual claims, for the real clock: good as they are, so that whatever an attack changes is why it is refused."""

_FENCE: Final = "/fence"
_ROUTES: Final = """
[[route]]
path = "/admin"
upstream = "http://127.0.0.1:{port}"
require = {{ scopes = ["admin"] }}

[[route]]
path = "/public/*"
upstream = "http://127.0.0.1:{port}"
auth = "none"

[[route]]
path = "/*"
upstream = "http://127.0.0.1:{port}"
header_up = {{ X-User-Tier = "{{http.auth.user.tier}}" }}
"""


@final
class Recorder:
    """An upstream that answers everything with 200 and keeps what came, byte for byte, connection by connection."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening: Final = listening
        self._received: dict[int, bytearray] = {}
        threading.Thread(target=self._accept, name="recorder", daemon=True).start()

    @property
    def port(self) -> int:
        """The TCP port."""
        port: int = self._listening.getsockname()[1]
        return port

    @property
    def received(self) -> bytes:
        """All that has come, connection after connection."""
        return b"".join(bytes(came) for came in list(self._received.values()))

    def forget(self) -> None:
        """Begin anew."""
        for came in list(self._received.values()):
            came.clear()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        came = self._received.setdefault(id(connection), bytearray())
        seen = b""
        with connection:
            while data := _read(connection):
                came += data
                seen += data
                while b"\r\n\r\n" in seen:
                    seen = seen.partition(b"\r\n\r\n")[2]
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def _read(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


@dataclass(frozen=True, slots=True)
class Scene:
    """What an attack meets."""

    gateway: Gateway
    config: Config
    upstream: Recorder
    secret: bytes
    redis: Redis | None
    operator: Gate
    """Writes to the same store from another process."""

    def mint(self, header: dict[str, Any] | None = None, **claims: Any) -> str:  # noqa: ANN401 - any JSON
        """Sign the usual claims, changed as given, with the gate's own key."""
        return tokens.mint(header=header, secret=self.secret, **{"iat": CLAIMS["iat"], **claims})

    def get(self, target: str, *headers: tuple[str, str]) -> Response:
        """Send a GET."""
        return self.gateway.get(target, *headers)

    def seen(self, target: str, *headers: tuple[str, str]) -> list[tuple[str, str]]:
        """Send a GET that must pass, and return the header fields that the upstream got, names in lower case."""
        self.upstream.forget()
        assert self.get(target, *headers).status == 200
        head = self.upstream.received.partition(b"\r\n\r\n")[0].decode("latin-1")
        pairs = (line.partition(": ") for line in head.split("\r\n")[1:])
        return [(name.lower(), value) for name, _, value in pairs]

    def reached(self) -> bytes:
        """Return what has reached the upstream since it was last asked to forget; waits for what is on its way."""
        fence = exchange(self.gateway.address, request(_FENCE, bearer(self.mint(jti="fence"))))
        assert fence.status == 200
        return self.upstream.received.partition(b"GET " + _FENCE.encode())[0]

    def revoke(self, jti: str) -> None:
        """Revoke as an operator does."""
        self.operator.revoke(jti=jti, reason="security")


@contextmanager
def scene(
    directory: Path, *, redis: Redis | None = None, tokens: str = "", text: str = "", http: str = ""
) -> Iterator[Scene]:
    """Start a gateway with further lines of two sections, and further sections, until the block ends."""
    address = "" if redis is None else f'redis_addr = "{redis.address}"\n'
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        upstream = Recorder(listening)
        lines = f'meta_claims = ["tier"]\nlog_blocked = true\n{address}{tokens}'
        config = configure(directory, _ROUTES.format(port=upstream.port) + text, tokens=lines)
        config.path.write_text(config.path.read_text().replace("[http]\n", f"[http]\n{http}\n"))
        secret = base64.b64decode(tomllib.loads(config.path.read_text())["stateful_jwt"]["sign_key"])
        with serving(config) as gateway, Gate.from_toml(config.path) as operator:
            yield Scene(gateway, config, upstream, secret, redis, operator)


@contextmanager
def scene_on(store: str, directory: Path) -> Iterator[Scene]:
    """Start a gateway on the embedded store, or on a redis-server of its own."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server()) if store == "redis" else None
        yield stack.enter_context(scene(directory, redis=redis))
