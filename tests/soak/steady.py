"""One gateway at half load for long: requests, bodies, streams, revocations, accidents. Nothing of it may grow."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sluicegate import compose
from sluicegate.core.revocation import Entry
from tests.cli.issuer import Issuer
from tests.cli.sluicegate import Gateway, configure, serving
from tests.soak.behind import serve
from tests.soak.crowd import Crowd
from tests.soak.rush import Rush
from tests.soak.samples import Sample, growth, sample

PLAYERS: Final = 40
LOAD: Final = 0.5
"""What part of a core the gateway is to use."""

WARM: Final = 1 / 3
"""The part of the run in which caches fill and the allocator finds its size."""

GREW: Final = 0.05
"""By what part memory may differ between the ends of the line through the rest: noise, and no leak.

An allocator takes a megabyte at a time, and caches that are emptied whole fill again. It is fine enough: 13,000
revocations that a store still kept, 170 bytes each, were found by it in a quarter of an hour.
"""

SWAYS: Final = 0.15
"""By what part descriptors, tasks and threads may differ: the crowd is now larger, now smaller.

That nothing is held of those who have gone is asked when all have gone, and to the last one.
"""

OPENED_ONCE: Final = 4
"""Descriptors that are opened when they are first needed, and then kept."""

_PAUSE: Final = 0.1  # seconds between two scenes of a player, which are dear to play and not to serve
_SAMPLES: Final = 120
_WARM_TOKENS: Final = 50
_REVOKED_FOR: Final = 20.0
_QUIET_WITHIN: Final = 30.0

# every cache is smaller than what comes by in the first third, so that what grows after it is no cache
_SETTINGS: Final = """
[events]
subscribe = ["*"]
publish = ["*"]
history = 50
[[route]]
path = "/hello"
respond = "Hello {http.auth.user.id}!"
[[route]]
path = "/events/{topic}"
events = true
[[route]]
path = "/api/*"
upstream = "http://127.0.0.1:BEHIND"
"""


def soak(minutes: float) -> None:
    """Load a gateway for so many minutes. Raises `AssertionError` with what has grown."""
    with TemporaryDirectory(prefix="sg-soak-") as directory, standing(Path(directory)) as (gateway, crowd):
        before = looked(gateway)
        tokens = [crowd.issuer(10_000_000 + user) for user in range(_WARM_TOKENS)]
        rush = Rush(Path(directory), gateway.address, tokens)
        samples = asyncio.run(_load(gateway, crowd, rush, 60 * minutes))
        print(f"rushed {rush.sent} requests: {rush.failed or 'all were answered 200'}")
        print(f"played {sum(crowd.seen.values())} scenes: {dict(crowd.seen.most_common())}")
        after = settled(gateway, before)
    load = (samples[-1].cpu - samples[0].cpu) / (samples[-1].at - samples[0].at)
    print(f"load: {load:.0%} of a core")
    steady = [one for one in samples if one.at >= samples[0].at + WARM * 60 * minutes]
    report = {what: growth(steady, what) for what in ("memory", "descriptors", "tasks", "threads")}
    print(f"before: {before}\nafter:  {after}")
    print("growth after warming up: " + ", ".join(f"{what} {by:+.0f}" for what, by in report.items()))
    assert rush.failed == []
    assert report["memory"] <= GREW * steady[0].memory, f"memory grew by {report['memory'] / 1e6:.2f} MB"
    for what in ("descriptors", "tasks", "threads"):
        assert report[what] <= max(3.0, SWAYS * getattr(steady[0], what)), f"{what} grew by {report[what]:.0f}"


@contextmanager
def standing(directory: Path) -> Iterator[tuple[Gateway, Crowd]]:
    """A gateway, an upstream behind it, and a crowd in front of it, until the block ends."""
    with upstream() as behind:
        tokens = "verified_cache_size = 2000"
        config = configure(directory, _SETTINGS.replace("BEHIND", str(behind)), tokens=tokens)
        assembly = compose.assemble(compose.settings_of(config.path), asynchronous=False)
        store = assembly.store
        assert store is not None
        with serving(config) as gateway:

            def revoke(key: str) -> None:
                store.put(key, Entry("abuse", time.time() + _REVOKED_FOR))

            yield gateway, Crowd(gateway.address, Issuer(config), revoke, seed=1)
        assembly.close()


@contextmanager
def upstream() -> Iterator[int]:
    """Run the upstream in a thread until the block ends; its port."""
    ports: list[int] = []
    listening, over = threading.Event(), threading.Event()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        listening.set()
        await asyncio.to_thread(over.wait)
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert listening.wait(20)
    try:
        yield ports[0]
    finally:
        over.set()
        thread.join()


def settled(gateway: Gateway, before: Sample) -> Sample:
    """Wait until the gateway holds no more than before; raise `AssertionError` with what it still holds."""
    deadline = time.monotonic() + _QUIET_WITHIN
    while True:
        now = looked(gateway)
        left = [
            f"{getattr(now, what)} {what}, and had {getattr(before, what)}"
            for what, more in (("connections", 0), ("descriptors", OPENED_ONCE), ("tasks", 0))
            if getattr(now, what) > getattr(before, what) + more
        ]
        if not left:
            return now
        assert time.monotonic() < deadline, f"the gateway still has {', '.join(left)}"


def looked(gateway: Gateway) -> Sample:
    """Look at a gateway."""
    return sample(gateway.process.pid, _health(gateway))


def _health(gateway: Gateway) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(gateway.health().body)
    return report


async def _load(gateway: Gateway, crowd: Crowd, rush: Rush, seconds: float) -> list[Sample]:
    """Have the crowd play beside a rush that keeps the gateway at its load; return what was seen meanwhile."""
    samples: list[Sample] = []
    done = asyncio.Event()

    async def watch() -> None:
        step = seconds / _SAMPLES
        last = await asyncio.to_thread(looked, gateway)
        for number in range(1, _SAMPLES + 1):
            await asyncio.sleep(step)
            now = await asyncio.to_thread(looked, gateway)
            samples.append(now)
            load = (now.cpu - last.cpu) / (now.at - last.at)
            last = now
            if number % (_SAMPLES // 30) == 0:
                print(f"{number * step:7.0f} s  {now}  {load:4.0%} of a core", flush=True)
        done.set()

    async with asyncio.TaskGroup() as group:
        crowd.pause = _PAUSE
        group.create_task(crowd.play(PLAYERS, done))
        group.create_task(rush.play(done, load=LOAD, cpu=lambda: looked(gateway).cpu))
        group.create_task(watch())
    return samples
