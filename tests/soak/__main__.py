"""Run what must hold for long: `make soak`, or `python -m tests.soak steady --minutes 30` for one of them."""

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Final

from tests.soak import relay, steady

SOAKS: Final[Mapping[str, Callable[[float], None]]] = {"steady": steady.soak, "relay": relay.soak}
"""Each runs for so many minutes, says what it sees, and raises `AssertionError` for what should not be."""


def main() -> int:
    """Run those that are named, or all; return 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SOAKS], help="which; all of them where none is named")
    parser.add_argument("--minutes", type=float, default=30, help="how long each runs (default: 30)")
    asked = parser.parse_args()
    failed = False
    for name in asked.names or SOAKS:
        print(f"== {name}, {asked.minutes:g} minutes", flush=True)
        try:
            SOAKS[name](asked.minutes)
        except AssertionError as error:
            print(f"{name} FAILED: {error}", flush=True)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
