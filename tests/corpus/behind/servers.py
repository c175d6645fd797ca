"""nginx, Node.js and gunicorn, as they are: only their bounds are raised, so that none refuses what is merely long."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, cast, final

from tests.corpus.reading import NotStrict, Sent, take_answer, take_request
from tests.servers.nginx import nginx
from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import answers, program, running

_HERE: Final = Path(__file__).parent

# Names that nginx by default leaves out are let in: what it does not pass on, nobody behind it can mistake.
_NGINX: Final = """
    client_max_body_size 0;
    client_header_buffer_size 64k;
    large_client_header_buffers 16 128k;
    underscores_in_headers on;
    ignore_invalid_headers off;
    keepalive_requests 1000000;
    proxy_http_version 1.1;
    proxy_buffer_size 256k;
    proxy_buffers 4 256k;
    proxy_busy_buffers_size 512k;
    upstream echo {{ server 127.0.0.1:{port}; keepalive 8; }}
    server {{
        listen $LISTEN;
        location / {{
            proxy_pass http://echo;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
        }}
    }}
"""
_GUNICORN: Final = (
    "--worker-class=gthread", "--workers=1", "--threads=8", "--keep-alive=120", "--limit-request-line=0",
    "--limit-request-fields=32768", "--limit-request-field_size=100000", "--no-control-socket",
)  # fmt: skip


@contextmanager
def node() -> Iterator[int]:
    """Run Node.js; give its port."""
    with reserved_port() as port, running([program("node"), str(_HERE / "echo.js"), str(port)], answers(port)):
        yield port


@contextmanager
def gunicorn() -> Iterator[int]:
    """Run gunicorn; give its port."""
    with reserved_port() as port:
        command = [program("gunicorn"), *_GUNICORN, f"--bind={LOOPBACK}:{port}", "tests.corpus.behind.echo:application"]
        with running(command, answers(port), directory=_HERE.parents[2]):
            yield port


@contextmanager
def behind(echo: int) -> Iterator[dict[str, int]]:
    """Run all three, nginx before the echo on this port; give their ports by name."""
    with ExitStack() as stack:
        yield {
            "nginx": stack.enter_context(nginx(_NGINX.format(port=echo))).port,
            "Node.js": stack.enter_context(node()),
            "gunicorn": stack.enter_context(gunicorn()),
        }


class _Echo(asyncio.Protocol):
    """What nginx passes on, said back."""

    def __init__(self) -> None:
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        while self._held and (taken := take_request(self._held)) is not None:
            sent, end = taken
            self._held = self._held[end:]
            said = {"method": sent.method, "target": sent.target, "fields": sent.fields, "body": sent.digest}
            header = base64.b64encode(json.dumps(said).encode())
            body = b"" if sent.method == "HEAD" else b"ok"
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Understood: %b\r\n\r\n%b" % (header, body)
            )


@asynccontextmanager
async def echo(listening: socket.socket) -> AsyncIterator[None]:
    """Say back, on this socket, what comes."""
    server = await asyncio.get_running_loop().create_server(_Echo, sock=listening)
    yield
    server.close()


_LEFT_OUT: Final = frozenset(
    {"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""What frames a message, or ends at the first hop: each server writes its own."""


@final
class Understood:
    """A request as a server understood it; two compare equal when no application could tell them apart.

    A list is the same on one line or on several. WSGI knows no case and no `_`, so gunicorn leaves names with it out.
    """

    def __init__(self, method: str, target: str, fields: list[tuple[str, str]], body: str) -> None:
        joined: dict[str, str] = {}
        for name, value in fields:
            if name not in _LEFT_OUT and "_" not in name:
                joined[name] = f"{joined[name]},{value}" if name in joined else value
        items = {name: ",".join(part.strip(" \t") for part in value.split(",")) for name, value in joined.items()}
        self.seen: Final = (method, target, body, sorted(items.items()))

    def unlike(self, other: "Understood") -> str:
        """Say how they differ; empty where they do not."""
        return "; ".join(
            f"{mine!r} is {theirs!r}" for mine, theirs in zip(self.seen, other.seen, strict=True) if mine != theirs
        )


def understood(sent: Sent) -> Understood:
    """Return a request as the gate understood it: what it wrote is what it means."""
    return Understood(sent.method, sent.target, list(sent.fields), sent.digest)


@final
class Asked:
    """A connection to one server, used for request after request: one too many, or too few, shifts every answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: Sent) -> str:
        """Send a request; return how it was understood differently, empty where it was not."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(LOOPBACK, self._port)
        reader, writer = self._streams
        writer.write(sent.raw)
        received = b""
        while True:
            data = await asyncio.wait_for(reader.read(1 << 20), 20)
            if not data:
                self.close()
                return f"the connection was closed after {received!r}"
            received += data
            while (taken := take_answer(received, method=sent.method)) is not None and taken[0].status < 200:
                received = received[taken[1] :]
            if taken is not None:
                break
        answer, end = taken
        if received[end:]:
            self.close()
            return f"more than one answer: {received[end:]!r}"
        if answer.fields.get("connection", "").lower() == "close":
            self.close()
        if answer.status != 200:
            return f"it was answered with {answer.status}"
        said = json.loads(base64.b64decode(answer.fields["x-understood"]))
        return understood(sent).unlike(Understood(said["method"], said["target"], said["fields"], said["body"]))

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def differences(port: int, requests: list[tuple[str, Sent]]) -> list[str]:
    """Send requests, each with the name of its case, to the server on this port; return what it reads differently."""
    asked = Asked(port)
    found = []
    for name, sent in requests:
        try:
            unlike = await asked.ask(sent)
        except (NotStrict, OSError, TimeoutError) as fault:
            unlike = repr(fault)
            asked.close()
        if unlike:
            found.append(f"{name}: {sent}: {unlike}")
    asked.close()
    return found
