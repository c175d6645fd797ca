"""The gateway beside nginx: a decision, and a proxied request with one. CPU per request, interleaved, one core.

Run `python -m bench gateway`; `-- --quick` takes three rounds of a second instead of seven of two.
"""

import argparse
import os
import shutil
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path

from bench.load import compare, load, pinned, scratch
from tests.cli.sluicegate import Config, configure
from tests.servers.nginx import nginx
from tests.servers.ports import reserved_port
from tests.servers.process import Process, answers, program, running
from tests.servers.redis import redis_server
from tests.wire import exchange, request

_NGINX = """
access_log off;
keepalive_requests 1000000000;
upstream behind { server 127.0.0.1:BEHIND; keepalive 128; keepalive_requests 1000000000; }
server {
    listen $LISTEN;
    location = /decision { return 200 "Hello alice! Your tier: PREMIUM"; }
    location / { proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }
}
"""
_ROUTES = """
[[route]]
path = "/decision"
respond = "Hello {http.auth.user.id}! Your tier: {http.auth.user.tier}"
[[route]]
path = "/*"
upstream = "http://127.0.0.1:BEHIND"
"""
_BEHIND = 'server { listen $LISTEN; location / { return 200 "a small answer of the upstream"; } }'


def run(*, quick: bool) -> None:
    """Print one table."""
    rounds, seconds = (3, 1.0) if quick else (7, 2.0)
    directory = scratch()
    with ExitStack() as stack:
        behind = stack.enter_context(nginx("keepalive_requests 1000000000;" + _BEHIND)).port
        peer = stack.enter_context(nginx(_NGINX.replace("BEHIND", str(behind))))
        redis = stack.enter_context(redis_server())
        gates: dict[str, tuple[int, Process]] = {}
        token = ""
        for name, tokens in (("embedded", ""), ("redis", f'redis_addr = "{redis.url}"\ntimeout = "5s"')):
            (directory / name).mkdir()
            port = stack.enter_context(reserved_port())
            config = configure(
                directory / name, _ROUTES.replace("BEHIND", str(behind)), tokens=f'meta_claims = ["tier"]\n{tokens}'
            )
            same_key(config, directory)
            text = config.path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)
            config.path.write_text(text)
            command = pinned([program("sluicegate"), "serve", "--config", str(config.path)])
            gates[name] = port, stack.enter_context(running(command, answers(port)))
            token = token or config.mint("--claim", "tier=PREMIUM", "--claim", "name=" + "x" * 200, "--ttl", "1d")
        bearer = {"Authorization": f"Bearer {token}"}
        for port, _ in gates.values():
            for path in ("/decision", "/orders"):
                found = exchange(("127.0.0.1", port), request(path, *bearer.items()))
                if found.status != HTTPStatus.OK:
                    raise RuntimeError(f"{path} is answered with {found.status} before any load")
        taskset(peer.process)
        for path, title in (("/decision", "decision"), ("/orders", "proxy")):
            named = {"nginx": (peer.port, peer.process), **gates}
            loads = {
                name: partial(load, f"http://127.0.0.1:{port}{path}", process, headers=bearer, seconds=seconds)
                for name, (port, process) in named.items()
            }
            costs = compare(loads, rounds=rounds)
            base = costs["nginx"][0]
            for name, (cpu, requests) in costs.items():
                rate = requests / seconds
                print(f"{title:10} {name:10} {cpu:7.2f} us CPU a request {rate:9.0f}/s   nginx / it: {base / cpu:5.2f}")
    shutil.rmtree(directory)


def same_key(config: Config, directory: Path) -> None:
    """Let every gate of a run take the same token."""
    kept = directory / "key"
    text = config.path.read_text()
    line = next(line for line in text.splitlines() if line.startswith("sign_key"))
    if not kept.exists():
        kept.write_text(line)
    config.path.write_text(text.replace(line, kept.read_text()))


def taskset(process: Process) -> None:
    """Put a running server and its workers on the server's core."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == process.pid:
            os.sched_setaffinity(int(stat.parent.name), {0})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
