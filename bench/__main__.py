"""Run the measurements one after another: `make bench`, or `python -m bench gateway decide` for some of them.

What follows `--` goes to each of them: `python -m bench decide -- --quick`.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_A_MEASUREMENT = {"__init__", "__main__", "load"}


def main(arguments: list[str]) -> int:
    """Run those that are named, or all; return 1 when one of them failed."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    names, options = arguments[:split], arguments[split + 1 :]
    known = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_A_MEASUREMENT)
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no measurement is called {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    failed = False
    for name in names or known:
        print(f"\n== {name}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"bench.{name}", *options], check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
