"""`demo`: a gateway before a small upstream, with a token and the commands to try."""

import base64
import json
import multiprocessing
import os
import secrets
import shlex
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import typer

from sluicegate import compose, supervise
from sluicegate.cli.exits import fail, reported
from sluicegate.core import signing
from sluicegate.settings.schema import default_state_dir

_DAY = 86_400
_CREDENTIALS = {"authorization", "cookie", "x-api-key", "x-api-token"}

_SETTINGS = """\
# Made by `sluicegate demo`, anew at each start.
state_dir = {state_dir}

[http]
bind_address = "127.0.0.1:{port}"

[stateful_jwt]
sign_key = {secret}
meta_claims = ["tier"]
log_blocked = true

[[route]]
path = "/hello"
respond = "Hello {{http.auth.user.id}}! Your tier: {{http.auth.user.tier}}"

[[route]]
path = "/*"
upstream = "http://127.0.0.1:{upstream}"

[admin]
bind_address = "127.0.0.1:{admin}"
"""

_TEXT = """
Sluicegate is a gateway on {url}, in front of a small upstream that shows what it received.
Paste these into another terminal, one by one:

  TOKEN={token}

  # 200: the upstream sees who is let in
  curl -i -H "Authorization: Bearer $TOKEN" {url}/orders

  # from now on the token opens nothing
  {command} revoke --jti {jti} --reason security --config {config}

  # 401 api_key_blacklisted
  curl -i -H "Authorization: Bearer $TOKEN" {url}/orders

  # 200 again
  {command} restore --jti {jti} --config {config}
  curl -i -H "Authorization: Bearer $TOKEN" {url}/orders

  # each step of a decision
  {command} explain $TOKEN --path /orders --config {config}

Health is on http://127.0.0.1:{admin}/health. Ctrl-C ends it.
"""


def demo(
    *,
    port: Annotated[int, typer.Option(help="Port of the gateway; a free one is taken where it is in use.")] = 8080,
    admin_port: Annotated[int, typer.Option(help="Port of the operators' listener, likewise.")] = 9090,
) -> None:
    """Start a gateway on the embedded store before a small upstream, and print what to try."""
    directory = Path(default_state_dir(os.environ)) / "demo"
    jti = f"demo-{secrets.token_hex(4)}"
    now = int(time.time())
    claims = {"sub": "alice", "jti": jti, "tier": "PREMIUM", "scope": "orders:read", "iat": now, "exp": now + _DAY}
    sign_key = base64.b64encode(secrets.token_bytes(32)).decode()
    token = signing.mint(claims, signing.secret_signer(sign_key, "HS256"), algorithm="HS256")
    gateway_port, operators_port = _free(port), _free(admin_port)
    with reported(), _upstream() as upstream_port:
        # one for each demo that runs: another's would have the printed commands speak for another key
        config = directory / f"{os.getpid()}.toml"
        _write(
            config,
            _SETTINGS.format(
                state_dir=json.dumps(str(directory)),
                secret=json.dumps(sign_key),
                port=gateway_port,
                admin=operators_port,
                upstream=upstream_port,
            ),
        )
        text = _TEXT.format(
            url=f"http://127.0.0.1:{gateway_port}",
            admin=operators_port,
            token=token,
            jti=jti,
            command=_command(),
            config=shlex.quote(str(config)),
        )
        try:
            supervise.serve(compose.settings_of(config), ready=lambda: print(text, flush=True))
        finally:
            config.unlink(missing_ok=True)


class _Shows(BaseHTTPRequestHandler):
    """Answers with what it received, as JSON; credentials by their length only."""

    protocol_version = "HTTP/1.1"

    def _show(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode(errors="replace")
        headers = {
            name: f"<{len(value)} characters>" if name.lower() in _CREDENTIALS else value
            for name, value in self.headers.items()
        }
        path = self.path.partition("?")[0]
        answer = json.dumps({"method": self.command, "path": path, "headers": headers, "body": body}, indent=2)
        data = f"{answer}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _show  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        """Say nothing: the gateway logs."""


@contextmanager
def _upstream() -> Iterator[int]:
    # a process and no thread: the gateway forks, and a fork copies only the thread that makes it
    with ThreadingHTTPServer(("127.0.0.1", 0), _Shows) as server:
        process = multiprocessing.get_context("fork").Process(target=_serve, args=(server,), daemon=True)
        process.start()
        try:
            yield server.server_address[1]
        finally:
            process.terminate()
            process.join()


def _serve(server: ThreadingHTTPServer) -> None:
    """Serve until the demo ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the gateway, which ends us
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="demo upstream", daemon=True).start()
    demo = multiprocessing.parent_process()
    if demo is not None:
        demo.join()


def _free(wanted: int) -> int:
    """Return this port, or a free one where it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def _command() -> str:
    """Return how this very program is called from another terminal."""
    own = Path(sys.argv[0]).resolve()
    on_path = shutil.which("sluicegate")
    return "sluicegate" if on_path and Path(on_path).resolve() == own else shlex.quote(str(own))


def _write(path: Path, text: str) -> None:
    """Write a file that holds a secret: nobody else may read it, at no moment."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        fail(f"{path} cannot be written ({error.strerror}); set XDG_STATE_HOME to a directory of your own")
