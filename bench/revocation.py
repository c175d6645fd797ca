"""How long streams outlive their token beside Redis: one `redis-cli SETEX`, 5,000 streams of one subject, the last one.

Run `python -m bench revocation`; `-- --quick` takes three rounds instead of seven. The time is from before redis-cli is
started to when the last client has read the end of its stream. For one gateway, for two, and for two with two workers
each; and for one stream, what a writer waits for at the least. The clients are one process, which reads 5,000 ends too.
"""

import argparse
import re
import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.load import scratch
from bench.readers import Readers, readers
from bench.report import record
from tests.cli.issuer import Issuer
from tests.cli.sluicegate import Gateway, configure, serving
from tests.servers.redis import Redis, redis_server

STREAMS = 5_000
_SETTLED = 0.5
_SETTINGS = """
[events]
subscribe = ["*"]
publish = ["*"]
[[route]]
path = "/events/{topic}"
events = true
"""


def run(*, quick: bool) -> None:
    """Print the figures."""
    rounds = 3 if quick else 7
    for title, gateways, workers, streams in (
        ("one gateway", 1, 1, STREAMS),
        ("two gateways", 2, 1, STREAMS),
        ("two gateways of two workers", 2, 2, STREAMS),
        ("one stream, one gateway", 1, 1, 1),
    ):
        directory = scratch()
        with ExitStack() as stack:
            redis = stack.enter_context(redis_server())
            crowd = stack.enter_context(readers())
            served, issuer = started(stack, directory, redis, gateways, workers)
            seen = [
                once(redis, crowd, served, issuer=issuer, streams=streams, number=number) for number in range(rounds)
            ]
        shutil.rmtree(directory)
        median, worst = statistics.median(seen), max(seen)
        print(f"{title}: {streams} streams, the last has ended after {median:.0f} ms, {worst:.0f} at most", flush=True)
        asked = 250 if streams == STREAMS else None
        record("Revoked by redis-cli", f"{streams:,} streams, {title}, the last", median, "ms", asked=asked)


def started(
    stack: ExitStack, directory: Path, redis: Redis, gateways: int, workers: int
) -> tuple[list[Gateway], Issuer]:
    """Start gateways that take the same tokens."""
    served = []
    line, config = "", None
    for number in range(gateways):
        own = directory / str(number)
        own.mkdir()
        config = configure(own, _SETTINGS, tokens=f'redis_addr = "{redis.address}"\ntimeout = "1s"')
        text = config.path.read_text().replace("[admin]", f"workers = {workers}\n[admin]", 1)
        theirs = re.findall(r"sign_key = .*", text)[0]
        line = line or theirs
        config.path.write_text(text.replace(theirs, line))
        served.append(stack.enter_context(serving(config)))
    if config is None:
        raise ValueError("at least one gateway")
    return served, Issuer(config)


def once(
    redis: Redis, crowd: Readers, gateways: Sequence[Gateway], *, issuer: Issuer, streams: int, number: int
) -> float:
    """Open streams, revoke their subject, and return the milliseconds until the last has ended."""
    subject = f"of-round-{number}"
    for place, gateway in enumerate(gateways):
        share = streams // len(gateways) + (place < streams % len(gateways))
        heads = [
            f"GET /events/public-x HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {issuer(0, sub=subject)}\r\n\r\n"
            for _ in range(share)
        ]
        crowd.open(gateway.address, [head.encode() for head in heads])
    time.sleep(_SETTLED)
    begun = time.monotonic()
    redis.cli("SETEX", f"BLACKLIST:sub:{subject}", "600", "security")
    crowd.ended(streams)
    return (time.monotonic() - begun) * 1e3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
