"""Webhook verifications: how many cold ones a second, and what a remembered one costs beside a warm decision.

    python -m bench webhook

The webhook is a process of its own on loopback that says yes at once, and the gate runs in this process on uvloop; on
a machine with two cores each has its own. Cold: a token never seen, one call each, 64 requests at a time. Remembered
and warm are the same requests over and over, interleaved, verified by a webhook once and by a local key once.
Figures are processor time; requests a second of wall time stand beside them and depend on the neighbours.
"""

import argparse
import asyncio
import base64
import hmac
import json
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvloop

from bench.report import record
from sluicegate.backends.http.loop import LoopFetcher
from sluicegate.backends.memory import MemoryStore
from sluicegate.backends.scheduler import LoopScheduler
from sluicegate.core.attempts import Terms
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.verify import LocalKeys
from sluicegate.core.webhook import Webhook
from sluicegate.engine import Engine

COLD = 6_000
TOGETHER = 64
WARM = 20_000
SECRET = secrets.token_bytes(32)
NAMES = ClaimNames(meta=(("tier", "tier"),))
SAYS_YES = b'{"valid":true,"user_id":"user_123","expires_at":4102444800}'


class SayingYes(asyncio.Protocol):
    """The webhook: as little as HTTP needs."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport, self._read = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that has come whole."""
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self._read) < end + 4 + length:
                return
            self._read = self._read[end + 4 + length :]
            answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(SAYS_YES)
            self._transport.write(answer + SAYS_YES)  # type: ignore[attr-defined]


async def serve() -> None:
    """Be the webhook, until killed; the port goes to standard output."""
    server = await asyncio.get_running_loop().create_server(SayingYes, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def webhook() -> Iterator[str]:
    """Run the webhook on a core of its own where there is one; yield its URL."""
    process = subprocess.Popen([sys.executable, "-m", "bench.webhook", "--serve"], stdout=subprocess.PIPE, text=True)
    pin(process.pid, 1)
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/verify"
    finally:
        process.kill()
        process.wait()


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where the machine has it."""
    with suppress(OSError):
        os.sched_setaffinity(pid, {core})


def mint(**changed: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Sign a token of some 600 bytes, as issuers write them."""
    now = int(time.time())
    claims = {
        "iss": "https://auth.example.com",
        "sub": "user_123",
        "aud": ["https://api.example.com"],
        "exp": now + 3600,
        "iat": now,
        "tier": "PREMIUM",
        "scope": "read write",
        "org_id": "org_456",
        "name": "x" * 100,
    }
    parts = (json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims | changed))
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return signed + b"." + base64.urlsafe_b64encode(hmac.digest(SECRET, signed, "sha256")).rstrip(b"=")


def asking(jti: str) -> Request:
    """Make a request with ten headers."""
    others = [(f"x-header-{number}".encode(), b"a value") for number in range(9)]
    return Request(headers=[*others, (b"authorization", b"Bearer " + mint(jti=jti))], topic="news")


async def cold(url: str) -> tuple[float, float]:
    """Return processor time and wall time of a cold verification, in seconds."""
    terms = Terms(url=url, rate=10**6, cache_size=COLD)
    fetcher = LoopFetcher()
    verifier = Webhook(terms, NAMES, lock=threading.Lock())
    engine = Engine(Policy(), verifier, state=MemoryStore(), fetcher=fetcher, scheduler=LoopScheduler())
    requests = iter([asking(f"key-{number}") for number in range(COLD)])

    async def ask() -> None:
        for request in requests:
            decision = await engine.decide_async(request)
            if getattr(getattr(decision, "identity", None), "id", None) != "user_123":
                raise RuntimeError(f"not admitted: {decision}")

    wall, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ask() for _ in range(TOGETHER)))
    taken = (time.process_time() - processor) / COLD, (time.perf_counter() - wall) / COLD
    fetcher.close()
    return taken


def repeated(engine: Engine, request: Request) -> float:
    """Return the processor time of a decision that is made again and again, in seconds."""
    begun = time.process_time()
    for _ in range(WARM):
        engine.begin(request)
    return (time.process_time() - begun) / WARM


async def engines(url: str) -> tuple[Engine, Engine]:
    """Return an engine behind a webhook and one with a local key, each of which has seen the token."""
    verifier = Webhook(Terms(url=url), NAMES, lock=threading.Lock())
    asked = Engine(Policy(), verifier, state=MemoryStore(), fetcher=LoopFetcher(), scheduler=LoopScheduler())
    key = load(base64.b64encode(SECRET).decode(), ["HS256"])
    own = Engine(Policy(), LocalKeys(key, NAMES), state=MemoryStore())
    for engine in (asked, own):
        await engine.decide_async(asking("warm"))
    return asked, own


def main() -> None:
    """Measure, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--quick", action="store_true", help="two rounds")
    arguments.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.serve:
        uvloop.run(serve())
        return
    rounds = 2 if chosen.quick else chosen.rounds
    pin(0, 0)
    with webhook() as url:
        colds = [uvloop.run(cold(url)) for _ in range(rounds)]
        asked, own = uvloop.run(engines(url))
    request = asking("warm")
    pairs = [(repeated(asked, request), repeated(own, request)) for _ in range(rounds)]
    processor, wall = (statistics.median(column) for column in zip(*colds, strict=True))
    remembered, warm = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"cold, webhook on loopback   {processor * 1e6:7.1f} µs of processor time: {1 / processor:,.0f} a core")
    print(f"                            {wall * 1e6:7.1f} µs of wall time: {1 / wall:,.0f} a second")
    record("Verified by a webhook", "a verification, none remembered", 1e6 * processor, "µs of CPU", asked=1e6 / 3000)
    record("Verified by a webhook", "remembered ÷ warm with a local key", ratio, "", asked=1.1)
    print(f"remembered                  {remembered * 1e6:7.2f} µs")
    print(f"warm, local key             {warm * 1e6:7.2f} µs")
    print(f"remembered ÷ warm           {ratio:7.2f}")


if __name__ == "__main__":
    main()
