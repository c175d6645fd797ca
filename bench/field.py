"""Sluicegate beside what people use today: one decision, one proxied request. CPU per request, in turns, one core.

Run `python -m bench field`; `-- --quick` takes three rounds of a second instead of five of two. nginx checks nothing
here, and is what the others are compared with; Caddy and one of the Envoys check nothing either.
"""

import argparse
import base64
import json
import shutil
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path

from bench.gateway import taskset
from bench.load import compare, load, scratch
from bench.peers import SAID, Keys, Peer, caddy, envoy, flask, haproxy, make_keys, pyjwt, started
from bench.report import record
from tests.servers.nginx import nginx
from tests.servers.ports import reserved_port
from tests.servers.process import program
from tests.servers.redis import redis_server
from tests.wire import exchange, request

BEHIND = (
    "keepalive_requests 1000000000;"
    'server { listen $LISTEN; location / { return 200 "a small answer of the upstream"; } }'
)
NGINX = """
keepalive_requests 1000000000;
upstream behind { server 127.0.0.1:BEHIND; keepalive 128; keepalive_requests 1000000000; }
server {
    listen $LISTEN;
    location = /decision { return 200 "SAID"; }
    location / { proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }
}
"""
GATE = """
state_dir = {state}
[http]
bind_address = "127.0.0.1:{port}"
[admin]
bind_address = "127.0.0.1:0"
[stateful_jwt]
redis_addr = "{redis}"
timeout = "5s"
sign_key = {key}
sign_alg = "{algorithm}"
meta_claims = ["tier"]
[[route]]
path = "/decision"
respond = "Hello {{http.auth.user.id}}! Your tier: {{http.auth.user.tier}}"
[[route]]
path = "/*"
upstream = "http://127.0.0.1:{behind}"
"""


def gate(stack: ExitStack, directory: Path, *, behind: int, keys: Keys, algorithm: str, redis: str = "") -> Peer:
    """Start Sluicegate as anybody would, with one worker."""
    home = directory / f"gate-{algorithm}-{bool(redis)}"
    home.mkdir()
    port = stack.enter_context(reserved_port())
    key = base64.b64encode(keys.secret.encode()).decode() if algorithm == "HS256" else keys.public
    text = GATE.format(
        state=json.dumps(str(home / "state")),
        port=port,
        redis=redis,
        key=json.dumps(key),
        algorithm=algorithm,
        behind=behind,
    )
    (home / "sluicegate.toml").write_text(text)
    command = [program("sluicegate"), "serve", "--config", str(home / "sluicegate.toml")]
    return stack.enter_context(started(command, port))


def run(*, quick: bool) -> None:
    """Print one table."""
    rounds, seconds = (3, 1.0) if quick else (5, 2.0)
    directory = scratch()
    keys = make_keys()
    with ExitStack() as stack:
        enter = stack.enter_context
        behind = enter(nginx(BEHIND)).port
        redis = enter(redis_server())
        base = enter(nginx(NGINX.replace("BEHIND", str(behind)).replace("SAID", SAID)))
        taskset(base.process)
        peers = {
            "nginx, no check": Peer(base.port, base.process),
            "Sluicegate, HS256": gate(stack, directory, behind=behind, keys=keys, algorithm="HS256"),
            "Sluicegate, RS256": gate(stack, directory, behind=behind, keys=keys, algorithm="RS256"),
            "Sluicegate, HS256, Redis asked": gate(
                stack, directory, behind=behind, keys=keys, algorithm="HS256", redis=redis.url
            ),
            "HAProxy jwt_verify, HS256": enter(haproxy(directory, behind, keys=keys, algorithm="HS256")),
            "HAProxy jwt_verify, RS256": enter(haproxy(directory, behind, keys=keys, algorithm="RS256")),
            "Caddy, no check": enter(caddy(directory, behind)),
            "Envoy, no check": enter(envoy(directory, behind, keys=keys)),
            "Envoy jwt_authn, HS256": enter(envoy(directory, behind, keys=keys, algorithm="HS256")),
            "Envoy jwt_authn, RS256": enter(envoy(directory, behind, keys=keys, algorithm="RS256")),
            "Envoy jwt_authn, RS256, its cache": enter(
                envoy(directory, behind, keys=keys, algorithm="RS256", remembers=True)
            ),
        }
        servers = {
            "Starlette on uvicorn, PyJWT": enter(pyjwt(directory, keys=keys)),
            "Flask-JWT-Extended on gunicorn, Redis asked": enter(flask(directory, keys=keys, redis=redis.port)),
        }
        for path, title, named in (
            ("/decision", "A decision", {**peers, **servers}),
            ("/orders", "A proxied request", peers),
        ):
            measure(path, title, named, keys=keys, rounds=rounds, seconds=seconds)
    shutil.rmtree(directory)


def measure(path: str, title: str, named: dict[str, Peer], *, keys: Keys, rounds: int, seconds: float) -> None:
    """Load all in turn, and print what each request cost."""
    loads = {}
    for name, peer in named.items():
        bearer = {"Authorization": f"Bearer {keys.rs256 if 'RS256' in name else keys.hs256}"}
        found = exchange(("127.0.0.1", peer.port), request(path, *bearer.items()))
        # an empty 200 is an answer too, and costs less: the body tells whether it is the same work
        if found.status != HTTPStatus.OK or (path == "/decision" and found.body.decode() != SAID):
            raise RuntimeError(f"{name} answers {path} with {found.status} {found.body!r} before any load")
        url = f"http://127.0.0.1:{peer.port}{path}"
        loads[name] = partial(load, url, peer.process, headers=bearer, seconds=seconds)
    costs = compare(loads, rounds=rounds)
    base = costs["nginx, no check"][0]
    for name, (cpu, requests) in sorted(costs.items(), key=lambda item: item[1][0]):
        rate = requests / seconds
        print(f"{title:18} {name:44} {cpu:8.2f} us CPU a request {rate:9.0f}/s   nginx / it: {base / cpu:5.2f}")
        record(f"{title}, beside others", name, cpu, "µs of CPU", ratio=base / cpu, peer="nginx without a check")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
