"""What the embedded store costs: a question that finds nothing, one that finds something, a write, a start.

Run `python bench/state_sqlite.py`, with `--sizes` for other numbers of entries and `--directory` for another disk. Each
size is measured in a process of its own, best of several rounds: the machine's neighbours only ever add.
"""

import argparse
import gc
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench.report import record
from sluicegate.backends.sqlite.store import SqliteStore
from sluicegate.core.revocation import Entry

SIZES = (1_000, 100_000, 1_000_000)
REASONS = ("cancelled", "expired", "downgraded", "security", "abuse")
QUESTIONS = 20_000
ROUNDS = 9
PUTS = 400
ENDS = 4_000_000_000.0


def key(number: int) -> str:
    """Return the key of a `jti` in the form of a UUID."""
    return f"BLACKLIST:key:{number:08x}-4f1c-4a2b-9d3e-{number * 2654435761 % 2**48:012x}"


def question(number: int, jti: str) -> tuple[str, ...]:
    """Return what is asked about one token: all that it can be revoked by."""
    keys = (
        jti,
        f"BLACKLIST:sub:user-{number}",
        f"BLACKLIST:sid:{number:032x}",
        f"BLACKLIST:client:web-{number % 7}",
        f"BLACKLIST:kid:key-{number % 3}",
        f"BLACKLIST:token:{number * 2654435761 % 2**256:064x}",
    )
    for one in keys:
        hash(one)  # as in the gate, where a token's keys are made once and asked often
    return keys


def fill(directory: Path, size: int) -> None:
    """Put so many entries into a new store: by SQL, a thousand times faster than one durable write each."""
    with closing(SqliteStore(directory)) as store:
        store.find(())
    with closing(sqlite3.connect(directory / "state.db")) as client, client:
        client.executemany(
            "INSERT INTO revocation (key, value, expires_at) VALUES (?, ?, ?)",
            ((key(number), REASONS[number % 5], ENDS + number) for number in range(size)),
        )


def per_call(store: SqliteStore, questions: list[tuple[str, ...]]) -> float:
    """Return microseconds a question takes, the loop around it included: of the best round."""
    find = store.find
    rounds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for keys in questions:
            find(keys)
        rounds.append(time.perf_counter() - begin)
    return min(rounds) / len(questions) * 1e6


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(directory: Path, size: int) -> dict[str, float]:
    """Measure one size, in this process."""
    fill(directory, size)
    gc.collect()
    before = resident()
    with closing(SqliteStore(directory)) as store:
        begin = time.perf_counter()
        store.find(())
        loaded = time.perf_counter() - begin
        held = resident() - before
        misses = [question(number, key(size + number)) for number in range(QUESTIONS)]
        hits = [question(number, key(number * 7919 % size)) for number in range(QUESTIONS)]
        miss, hit = per_call(store, misses), per_call(store, hits)
        writes = []
        for number in range(PUTS):
            begin = time.perf_counter()
            store.put(f"BLACKLIST:key:new-{number}", Entry("cancelled", ENDS))
            writes.append(time.perf_counter() - begin)
        reads = []
        for number in range(PUTS):
            store.put(f"BLACKLIST:key:newer-{number}", Entry("cancelled", ENDS))
            begin = time.perf_counter()
            store.find(misses[number])
            reads.append(time.perf_counter() - begin)
    return {
        "miss": miss,
        "hit": hit,
        "catch_up": statistics.median(reads) * 1e6,
        "put": statistics.median(writes) * 1e3,
        "put_p99": statistics.quantiles(writes, n=100)[-1] * 1e3,
        "load": loaded,
        "bytes": held / size,
    }


def main() -> None:
    """Measure every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of entries")
    parser.add_argument("--directory", type=Path, help="where to write; a temporary directory by default")
    parser.add_argument("--measure", type=int, metavar="SIZE", help="measure one size here and print it as JSON")
    parser.add_argument("--quick", action="store_true", help="without the largest size")
    arguments = parser.parse_args()
    sizes = arguments.sizes[:-1] if arguments.quick else arguments.sizes
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        if arguments.measure:
            print(json.dumps(measure(Path(name) / "state", arguments.measure)))
            return
        print(f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}, {os.cpu_count()} cores, in {name}")
        print("   entries   miss µs   hit µs   first find after a write µs   put ms   put p99 ms   load s   bytes each")
        for size in sizes:
            command = [sys.executable, "-m", "bench.state_sqlite", "--directory", name, "--measure", str(size)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{size:10,} {row['miss']:9.3f} {row['hit']:8.3f} {row['catch_up']:29.1f} {row['put']:8.2f} "
                f"{row['put_p99']:12.2f} {row['load']:8.3f} {row['bytes']:12.0f}"
            )
            record("A question to the embedded store", f"{size:,} revoked keys", row["miss"], "µs of CPU")


if __name__ == "__main__":
    main()
