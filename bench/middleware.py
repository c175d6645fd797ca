"""What the ASGI middleware adds to a request of a Starlette app on uvicorn, with a warm token on the embedded store.

Run `python -m bench middleware`; `-- --quick` takes three rounds of a second. CPU per request, in turns: the app alone,
the app behind `SluicegateMiddleware`, and behind a middleware of a dozen lines that calls PyJWT.
"""

import argparse
import base64
import shutil
import sys
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path

from bench.load import compare, load, scratch
from bench.peers import CHECKED, Keys, Peer, make_keys, started
from bench.report import record
from tests.servers.ports import reserved_port
from tests.wire import exchange, request

ASKED = 25.0
APP = """
from sluicegate import AsyncGate, SluicegateMiddleware


async def hello(request):
    return PlainTextResponse("hello")


alone = Starlette(routes=[Route("/", hello)])
checked = Checked(alone)
gated = SluicegateMiddleware(alone, AsyncGate(sign_key=os.environ["KEY"], state_dir=os.environ["STATE"]))
"""


def serving(stack: ExitStack, directory: Path, name: str, *, keys: Keys) -> Peer:
    """Run one of the three on the server's core."""
    port = stack.enter_context(reserved_port())
    options = ["--port", str(port), "--no-access-log", "--log-level", "warning", "--app-dir", str(directory)]
    environment = {
        "SECRET": keys.secret,
        "KEY": base64.b64encode(keys.secret.encode()).decode(),
        "STATE": str(directory / "state"),
    }
    command = [sys.executable, "-m", "uvicorn", f"app:{name}", *options]
    return stack.enter_context(started(command, port, **environment))


def run(*, quick: bool) -> None:
    """Print one table."""
    rounds, seconds = (3, 1.0) if quick else (7, 2.0)
    directory = scratch()
    keys = make_keys()
    (directory / "app.py").write_text(CHECKED + APP)
    bearer = {"Authorization": f"Bearer {keys.hs256}"}
    with ExitStack() as stack:
        loads = {}
        for name in ("alone", "checked", "gated"):
            peer = serving(stack, directory, name, keys=keys)
            found = exchange(("127.0.0.1", peer.port), request("/", *bearer.items()))
            if found.status != HTTPStatus.OK or found.body != b"hello":
                raise RuntimeError(f"{name} answers with {found.status} {found.body!r} before any load")
            url = f"http://127.0.0.1:{peer.port}/"
            loads[name] = partial(load, url, peer.process, headers=bearer, seconds=seconds)
        costs = compare(loads, rounds=rounds)
    alone = costs["alone"][0]
    for name, title in (("checked", "a middleware with PyJWT"), ("gated", "Sluicegate's middleware")):
        added = costs[name][0] - alone
        print(f"{title:28} adds {added:6.2f} us of CPU to {alone:.2f}")
        asked = ASKED if name == "gated" else None
        record("Added to a request of Starlette on uvicorn", title, added, "µs of CPU", asked=asked)
    shutil.rmtree(directory)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
