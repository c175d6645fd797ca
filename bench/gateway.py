"""The gateway beside nginx: a decision, a proxied request with one, and a question of nginx about one.

CPU per request, interleaved, one core.

Run `python -m bench gateway`; `-- --quick` takes three rounds of a second instead of seven of two.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path

from bench.load import compare, load, pinned, scratch
from bench.report import record
from tests.cli.sluicegate import Config, configure
from tests.servers.nginx import Nginx, nginx
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
    location = /auth { return 204; }
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
_FORWARD_AUTH = """
[forward_auth]
proxy = "nginx"
"""
# asks about each request before it passes it on
_ASKING = """
access_log off;
keepalive_requests 1000000000;
upstream behind { server 127.0.0.1:BEHIND; keepalive 128; keepalive_requests 1000000000; }
upstream gate { server 127.0.0.1:GATE; keepalive 128; keepalive_requests 1000000000; }
proxy_http_version 1.1;
server {
    listen $LISTEN;
    location = /_gate {
        internal;
        proxy_pass http://gate/auth;
        proxy_pass_request_body off;
        proxy_set_header Connection "";
        proxy_set_header Content-Length "";
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Original-URI $request_uri;
    }
    location / {
        auth_request /_gate;
        auth_request_set $gate_id $upstream_http_x_auth_user_id;
        proxy_set_header Connection "";
        proxy_set_header X-Auth-User-Id $gate_id;
        proxy_pass http://behind;
    }
}
"""
ASKED = {
    ("decision", "embedded"): 0.45,
    ("decision", "redis"): 0.35,
    ("proxy", "embedded"): 0.50,
    ("auth_request", "embedded"): 0.40,
}
"""The least that each should be of nginx, which checks nothing."""

_BEHIND = 'server { listen $LISTEN; location / { return 200 "a small answer of the upstream"; } }'


def run(*, quick: bool) -> None:
    """Print one table."""
    rounds, seconds = (3, 1.0) if quick else (7, 2.0)
    directory = scratch()
    with ExitStack() as stack:
        behind = stack.enter_context(nginx("keepalive_requests 1000000000;" + _BEHIND)).port
        peer = stack.enter_context(nginx(_NGINX.replace("BEHIND", str(behind))))
        redis = stack.enter_context(redis_server())
        gates, token = gates_of(stack, directory, behind=behind, redis=redis.url)
        bearer = {"Authorization": f"Bearer {token}"}
        for port, _ in gates.values():
            for path in ("/decision", "/orders"):
                require(port, path, HTTPStatus.OK, bearer)
        asking = {name: stack.enter_context(doorman(behind, port)) for name, (port, _) in gates.items()}
        # what it costs at least: a gate that checks nothing and says yes
        asking["nginx too"] = stack.enter_context(doorman(behind, peer.port))
        for name, door in asking.items():
            require(door.port, "/orders", HTTPStatus.UNAUTHORIZED if name in gates else HTTPStatus.OK, {})
        for server in (peer, *asking.values()):
            taskset(server.process)
        gates["nginx too"] = peer.port, peer.process
        floor = stack.enter_context(reserved_port())
        command = pinned([sys.executable, "-m", "bench.floor", str(floor)])
        floored = stack.enter_context(running(command, answers(floor)))
        once = partial(load, headers=bearer, seconds=seconds)
        for path, title in (("/decision", "decision"), ("/orders", "proxy"), ("/orders", "auth_request")):
            loads = {"nginx": partial(once, f"http://127.0.0.1:{peer.port}{path}", peer.process)}
            if title == "decision":
                loads["floor"] = partial(once, f"http://127.0.0.1:{floor}{path}", floored)
            for name, (port, process) in gates.items():
                if title == "auth_request":
                    door = asking[name]
                    loads[name] = partial(once, f"http://127.0.0.1:{door.port}{path}", door.process, behind=[process])
                elif process is not peer.process:
                    loads[name] = partial(once, f"http://127.0.0.1:{port}{path}", process)
            show(title, compare(loads, rounds=rounds), seconds=seconds)
    shutil.rmtree(directory)


def gates_of(
    stack: ExitStack, directory: Path, *, behind: int, redis: str
) -> tuple[dict[str, tuple[int, Process]], str]:
    """Start a gate on each store; return them by name, and a token that all of them take."""
    gates: dict[str, tuple[int, Process]] = {}
    token = ""
    for name, tokens in (("embedded", ""), ("redis", f'redis_addr = "{redis}"\ntimeout = "5s"')):
        (directory / name).mkdir()
        port = stack.enter_context(reserved_port())
        routes = _ROUTES.replace("BEHIND", str(behind)) + _FORWARD_AUTH
        config = configure(directory / name, routes, tokens=f'meta_claims = ["tier"]\n{tokens}')
        same_key(config, directory)
        text = config.path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)
        config.path.write_text(text)
        command = pinned([program("sluicegate"), "serve", "--config", str(config.path)])
        gates[name] = port, stack.enter_context(running(command, answers(port)))
        token = token or config.mint("--claim", "tier=PREMIUM", "--claim", "name=" + "x" * 200, "--ttl", "1d")
    return gates, token


def require(port: int, path: str, status: HTTPStatus, headers: Mapping[str, str]) -> None:
    """Raise `RuntimeError` where a server does not answer so: it would be something else that is measured."""
    found = exchange(("127.0.0.1", port), request(path, *headers.items()))
    if found.status != status:
        raise RuntimeError(f"{path} is answered with {found.status} before any load, not with {status:d}")


def show(title: str, costs: Mapping[str, tuple[float, float]], *, seconds: float) -> None:
    """Print what was measured."""
    base = costs["nginx"][0]
    for name, (cpu, requests) in costs.items():
        rate = requests / seconds
        print(f"{title:12} {name:10} {cpu:7.2f} us CPU a request {rate:9.0f}/s   nginx / it: {base / cpu:5.2f}")
        if asked := ASKED.get((title, name)):
            called = f"Sluicegate, {title}, {name}"
            record("The gateway beside nginx", called, cpu, "µs of CPU", ratio=base / cpu, peer="nginx", asked=asked)


def doorman(behind: int, gate: int) -> AbstractContextManager[Nginx]:
    """Run an nginx that asks a gate about each request."""
    return nginx(_ASKING.replace("BEHIND", str(behind)).replace("GATE", str(gate)))


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
