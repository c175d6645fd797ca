"""Bodies of 4 GiB through the gateway, up and down, by length and in chunks: how fast, and what memory it takes.

Run `python -m bench bodies`; `-- --quick` passes 256 MiB each way. Every byte is compared at the other end. Fails where
memory grows by more than 12 MiB.
"""

import argparse
import shutil
import sys
import time
from itertools import product

from bench.load import cpu_seconds, scratch
from bench.report import record
from tests.cli.sluicegate import configure, serving
from tests.server.bodies import Framing, Way, carry, memory, reset
from tests.server.upstream import upstream

_SLACK = 12 * 2**20
_WAYS: tuple[Way, ...] = ("up", "down")
_FRAMINGS: tuple[Framing, ...] = ("length", "chunks")


def run(size: int) -> bool:
    """Print one line for each way; tell whether memory was flat."""
    directory, is_flat = scratch(), True
    with upstream() as behind:
        config = configure(directory, f'[[route]]\npath = "/*"\nupstream = "http://127.0.0.1:{behind.port}"\n')
        token = config.mint("--ttl", "1d")
        with serving(config) as gateway:
            pid = gateway.process.pid
            for way, framing in product(_WAYS, _FRAMINGS):
                carry(gateway.address, behind, way, framing, size=2**20, token=token)
            before = memory(pid).now
            for way, framing in product(_WAYS, _FRAMINGS):
                reset(pid)
                began, spent = time.monotonic(), cpu_seconds(pid)
                carry(gateway.address, behind, way, framing, size=size, token=token)
                took, spent = time.monotonic() - began, cpu_seconds(pid) - spent
                grown = memory(pid).peak - before
                is_flat &= grown < _SLACK
                print(
                    f"{way:5} {framing:7} {size / 2**30:5.2f} GiB in {took:6.2f} s, {size / 2**20 / took:7.0f} MiB/s, "
                    f"{1e3 * spent / (size / 2**30):6.0f} ms of CPU a GiB, at most {grown / 2**20:+6.2f} MiB"
                )
                record(
                    "Memory taken by a body", f"{size / 2**30:g} GiB {way}, {framing}", grown / 2**20, "MiB", asked=12
                )
    shutil.rmtree(directory)
    return is_flat


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    sys.exit(0 if run(2**28 if parser.parse_args().quick else 2**32) else 1)
