"""Run the measurements one after another: `make bench`, or `python -m bench gateway decide` for some of them.

What follows `--` goes to each of them: `python -m bench decide -- --quick`. A run of all of them writes what was found
to docs/figures.md and docs/figures.svg; so does one of some of them with `--write` before their names.
"""

import os
import subprocess
import sys
from pathlib import Path

from bench.load import scratch
from bench.report import RESULTS, write

HERE = Path(__file__).parent
NOT_A_MEASUREMENT = {"__init__", "__main__", "floor", "load", "peers", "readers", "report"}


def main(arguments: list[str]) -> int:
    """Run those that are named, or all; return 1 when one of them failed."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    names, options = arguments[:split], arguments[split + 1 :]
    is_written = not names or "--write" in names
    names = [name for name in names if name != "--write"]
    known = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_A_MEASUREMENT)
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no measurement is called {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    results = scratch() / "results"
    failed = False
    for name in names or known:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"bench.{name}", *options]
        failed |= subprocess.run(command, check=False, env={**os.environ, RESULTS: str(results)}).returncode != 0
    if is_written and not failed:
        write(results, f"`{' '.join(('python -m bench', *arguments))}`")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
