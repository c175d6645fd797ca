"""Event streams by the thousand: what one costs in memory, and what a message to one costs, beside nchan and HAProxy.

Run `python -m bench streams`; `-- --quick` takes a third of the rounds and a fifth of the streams. Memory is the growth
of the server's private memory between a tenth of the streams and all of them, each with a token of its own that is
registered under everything that can revoke it. Readers are a process of their own, and so are publishers and upstream.
"""

import argparse
import re
import shutil
import statistics
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, final

from bench.gateway import taskset
from bench.load import cpu_seconds, pinned, scratch
from bench.readers import MARK, Readers, readers
from bench.report import record
from sluicegate import compose
from sluicegate.core.revocation import Entry
from tests.cli.issuer import Issuer
from tests.cli.sluicegate import Config, configure
from tests.servers.nginx import Nginx, nginx
from tests.servers.ports import reserved_port
from tests.servers.process import Process, answers, program, running
from tests.servers.redis import Redis, redis_server

MESSAGE: Final = b"x" * 99 + MARK
STREAMS: Final = 10_000
FANNED_OUT: Final = 5_000
PROXIED: Final = 2_000
MORE: Final = 1_000
OURS: Final = "Sluicegate"
_QUIET: Final = 5.0  # seconds after which what was needed only for opening has been given back to the system

_ROUTES: Final = """
[events]
subscribe = ["*"]
publish = ["*"]
[[route]]
path = "/events/{topic}"
events = true
[[route]]
path = "/feed/*"
upstream = "http://127.0.0.1:BEHIND"
"""
_NCHAN: Final = """
server {
    listen $LISTEN backlog=4096;
    location ~ ^/(events|feed)/(?<topic>.+)$ {
        nchan_subscriber eventsource;
        nchan_channel_id $topic;
        nchan_subscriber_first_message newest;
    }
    location ~ ^/publish/(?<topic>.+)$ {
        nchan_publisher http;
        nchan_channel_id $topic;
        nchan_message_buffer_length 1000;
    }
}
"""
_HAPROXY: Final = """
global
    nbthread 1
    maxconn 9000
defaults
    mode http
    option http-no-delay
    timeout connect 5s
    timeout client 600s
    timeout server 600s
frontend public
    bind 127.0.0.1:{port} backlog 4096
    default_backend behind
backend behind
    server one 127.0.0.1:{behind}
"""
_HEAD: Final = (
    "GET {path} HTTP/1.1\r\nHost: gate.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36\r\n"
    "Accept: text/event-stream\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Cache-Control: no-cache\r\nReferer: https://app.example.com/orders\r\nAuthorization: Bearer {token}\r\n\r\n"
)


@final
class Server:
    """One that streams: what to ask it for, and how to publish."""

    def __init__(self, process: Process, port: int, path: str, *, publish: tuple[int, str, dict[str, str]]) -> None:
        self.process: Final = process
        self.address: Final = "127.0.0.1", port
        self.path: Final = path
        self._publisher: Final = HTTPConnection("127.0.0.1", publish[0])
        self._target: Final = publish[1]
        self._headers: Final = {"Content-Type": "text/plain", **publish[2]}

    def heads(self, tokens: Issuer, first: int, past: int) -> list[bytes]:
        """Return requests for streams, each with a token of its own."""
        return [_HEAD.format(path=self.path, token=tokens(number)).encode() for number in range(first, past)]

    def publish(self, messages: int) -> None:
        """Publish so many messages, one after another."""
        for _ in range(messages):
            self._publisher.request("POST", self._target, MESSAGE, self._headers)
            answer = self._publisher.getresponse()
            answer.read()
            if answer.status not in {200, 201, 202}:
                raise RuntimeError(f"publishing was answered with {answer.status}")

    @property
    def memory(self) -> int:
        """Bytes that are its alone."""
        return private_memory(self.process.pid)


def private_memory(group: int) -> int:
    """Return the bytes that a process group has written and shares with nobody."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[2]) != group:
                continue
            rollup = (stat.parent / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(map(int, re.findall(r"^Private_Dirty:\s+(\d+)", rollup, re.MULTILINE))) * 1024
    return total


def memory(server: Server, crowd: Readers, tokens: Issuer, streams: int) -> float:
    """Return the bytes that each stream of the last nine tenths takes."""
    few = streams // 10
    crowd.open(server.address, server.heads(tokens, 0, few))
    time.sleep(_QUIET)
    before = server.memory
    crowd.open(server.address, server.heads(tokens, few, streams))
    time.sleep(_QUIET)
    return (server.memory - before) / (streams - few)


def messages(servers: Sequence[Server], crowds: Sequence[Readers], streams: int, rounds: int) -> list[float]:
    """Publish to each server in turn; return the median CPU microseconds of each for a message to one stream."""
    costs: list[list[float]] = [[] for _ in servers]
    published = 200_000 // streams
    for _ in range(rounds):
        for server, crowd, seen in zip(servers, crowds, costs, strict=True):
            before = cpu_seconds(server.process.pid)
            server.publish(published)
            crowd.count(published * streams)
            seen.append((cpu_seconds(server.process.pid) - before) / (published * streams) * 1e6)
    return [statistics.median(seen) for seen in costs]


@final
class Scene:
    """Servers and crowds of one run, each until its end."""

    def __init__(self, stack: ExitStack, directory: Path, part: int) -> None:
        self._stack: Final = stack
        self._directory: Final = directory
        self.part: Final = part
        """The divisor of how many streams there are."""
        module = next(Path(__file__).parents[1].glob(".tools/**/ngx_nchan_module.so"), None)
        self._nchan: Final = module or Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

    def crowd(self) -> Readers:
        """Readers in a process of their own."""
        return self._stack.enter_context(readers())

    def nchan(self) -> Nginx:
        """An nginx that is a hub."""
        started = self._stack.enter_context(nginx(_NCHAN, modules=(self._nchan,), connections=16_000))
        taskset(started.process)
        return started

    def beside(self) -> Server:
        """A hub beside ours."""
        peer = self.nchan()
        return Server(peer.process, peer.port, "/events/news", publish=(peer.port, "/publish/news", {}))

    def gate(self, behind: Nginx, *, proxies: bool = False, tokens: str = "") -> tuple[Config, Server]:
        """Ours, in front of a hub, or as one."""
        port = self._stack.enter_context(reserved_port())
        place = self._directory / f"gate-{port}"
        place.mkdir()
        config = configure(place, _ROUTES.replace("BEHIND", str(behind.port)), tokens=tokens)
        config.path.write_text(config.path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}", 1))
        command = pinned([program("sluicegate"), "serve", "--config", str(config.path)])
        process = self._stack.enter_context(running(command, answers(port)))
        if proxies:
            return config, Server(process, port, "/feed/news", publish=(behind.port, "/publish/news", {}))
        writer = {"Authorization": f"Bearer {Issuer(config)(0, scope='topic:write')}"}
        return config, Server(process, port, "/events/news", publish=(port, "/events/news", writer))

    def haproxy(self, behind: Nginx) -> Server:
        """HAProxy in front of a hub."""
        port = self._stack.enter_context(reserved_port())
        file = self._directory / f"haproxy-{port}.cfg"
        file.write_text(_HAPROXY.format(port=port, behind=behind.port))
        process = self._stack.enter_context(running(pinned([program("haproxy"), "-f", str(file)]), answers(port)))
        return Server(process, port, "/feed/news", publish=(behind.port, "/publish/news", {}))


def compared(
    scene: Scene, area: str, servers: Mapping[str, Server], issuer: Issuer, *, held: int, written: int, rounds: int,
    asked: tuple[float, float],
) -> None:  # fmt: skip
    """Say what a stream takes, and what a message costs, of ours and a peer. `asked`: bytes, and part of the peer."""
    for name, server in servers.items():
        crowd = scene.crowd()
        took = memory(server, crowd, issuer, held // scene.part)
        crowd.close()
        print(f"{area:8} {name:11} {took:8.0f} bytes a stream, {held // scene.part} streams", flush=True)
        record(f"{area}: memory", name, took, "bytes", asked=asked[0] if name == OURS else None)
    crowds = [scene.crowd() for _ in servers]
    for server, crowd in zip(servers.values(), crowds, strict=True):
        crowd.open(server.address, server.heads(issuer, 0, written // scene.part))
    costs = messages(list(servers.values()), crowds, written // scene.part, rounds)
    peer = next(name for name in servers if name != OURS)
    for name, cost in zip(servers, costs, strict=True):
        ratio = costs[-1] / cost
        print(f"{area:8} {name:11} {cost:8.2f} us CPU a message; {peer} / it: {ratio:5.2f}", flush=True)
        least = asked[1] if name == OURS else None
        record(f"{area}: a message", name, cost, "µs of CPU", ratio=ratio, peer=peer, asked=least)
    for crowd in crowds:
        crowd.close()


def grown(scene: Scene, behind: Nginx, already: int) -> None:
    """Say what it costs to open and to revoke one more stream, with so many open already."""
    config, server = scene.gate(behind)
    issuer, crowd = Issuer(config), scene.crowd()
    assembly = compose.assemble(compose.settings_of(config.path), asynchronous=False)
    store = assembly.store
    if store is None:
        raise RuntimeError("there is no store")
    crowd.open(server.address, server.heads(issuer, 0, already))
    names = [str(uuid.uuid4()) for _ in range(MORE)]
    heads = [
        _HEAD.format(path=server.path, token=issuer(number, jti=jti, sub="everybody")).encode()
        for number, jti in enumerate(names)
    ]
    before = cpu_seconds(server.process.pid)
    crowd.open(server.address, heads)
    opened = (cpu_seconds(server.process.pid) - before) / MORE * 1e6
    before = cpu_seconds(server.process.pid)
    for jti in names[: MORE // 2]:
        store.put(f"BLACKLIST:key:{jti}", Entry("security"))
    crowd.ended(MORE // 2)
    revoked = (cpu_seconds(server.process.pid) - before) / (MORE // 2) * 1e6
    begun = time.monotonic()
    store.put("BLACKLIST:sub:everybody", Entry("security"))
    crowd.ended(MORE // 2)
    last = (time.monotonic() - begun) * 1e3
    assembly.close()
    crowd.close()
    said = (
        f"{opened:5.0f} us to open one more, {revoked:5.0f} us to revoke it, {last:4.0f} ms to end {MORE // 2} of one"
    )
    print(f"{already:6} streams open: {said} subject", flush=True)
    record("One more stream does not cost more", f"opened beside {already:,}", opened, "µs of CPU")
    record("One more stream does not cost more", f"revoked beside {already:,}", revoked, "µs of CPU")


def ended(scene: Scene, behind: Nginx, redis: Redis | None = None) -> None:
    """Say how long it takes until the last of many streams of one subject has ended, and what each costs the gate.

    From before the revocation is written: in the gate's own store, or by `redis-cli SETEX` in Redis.
    """
    config, server = scene.gate(behind, tokens="" if redis is None else f'redis_addr = "{redis.address}"')
    issuer, crowd, streams = Issuer(config), scene.crowd(), FANNED_OUT // scene.part
    lasts, costs = [], []
    with ExitStack() as stack:
        store = None
        if redis is None:
            store = compose.assemble(compose.settings_of(config.path), asynchronous=False).store
        if store is not None:
            stack.callback(store.close)
        for number in range(5):
            key = f"BLACKLIST:sub:of-many-{number}"
            token = issuer(0, sub=f"of-many-{number}")
            crowd.open(server.address, [_HEAD.format(path=server.path, token=token).encode()] * streams)
            time.sleep(_QUIET)
            before, begun = cpu_seconds(server.process.pid), time.monotonic()
            if redis is not None:
                redis.cli("SETEX", key, "600", "security")
            elif store is not None:
                store.put(key, Entry("security"))
            crowd.ended(streams)
            lasts.append((time.monotonic() - begun) * 1e3)
            costs.append((cpu_seconds(server.process.pid) - before) / streams * 1e6)
    crowd.close()
    last, cost, place = statistics.median(lasts), statistics.median(costs), "SQLite" if redis is None else "Redis"
    print(
        f"{place:8} {streams} streams of one subject revoked: the last has ended after {last:.0f} ms,"
        f" {cost:.0f} us CPU each",
        flush=True,
    )
    record(f"Revoked, {place}", f"{streams:,} streams of one subject, the last", last, "ms", asked=250)
    record(f"Revoked, {place}", "each of them", cost, "µs of CPU")


def run(*, quick: bool) -> None:
    """Print the figures."""
    rounds, part = (3, 5) if quick else (7, 1)
    directory = scratch()
    with ExitStack() as stack:
        scene = Scene(stack, directory, part)
        behind, other = scene.nchan(), scene.nchan()
        config, gate = scene.gate(behind)
        servers = {OURS: gate, "nchan": scene.beside()}
        issuer, asked = Issuer(config), (2500, 1.0)
        compared(scene, "Hub", servers, issuer, held=STREAMS, written=FANNED_OUT, rounds=rounds, asked=asked)
        config, gate = scene.gate(behind, proxies=True)
        servers = {OURS: gate, "HAProxy": scene.haproxy(other)}
        issuer, asked = Issuer(config), (5000, 0.8)
        compared(scene, "Proxied", servers, issuer, held=PROXIED, written=PROXIED, rounds=rounds, asked=asked)
        for already in (10, 1000, (STREAMS - MORE) // part):
            grown(scene, behind, already)
        ended(scene, behind)
        ended(scene, behind, stack.enter_context(redis_server()))
    shutil.rmtree(directory)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
