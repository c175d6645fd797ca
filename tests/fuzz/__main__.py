"""Fuzz: `python -m tests.fuzz [SECONDS [NAME …]]`, so many seconds a harness (20), or those that are named.

What is found grows in `.fuzz/NAME`; an input that breaks a harness is left there as `crash-…`, and its bytes are
printed. `--keep` writes the smallest set of inputs that reaches as far into `tests/fuzz/corpus`.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fuzz.harnesses import HARNESSES
from tests.fuzz.inputs import commit, committed
from tests.fuzz.seeds import seeds, words

WORK: Final = Path(".fuzz")
LONGEST: Final = 2048


def _atheris(name: str, *arguments: str) -> int:
    command = [sys.executable, "-m", "tests.fuzz.under_atheris", name, *arguments]
    return subprocess.run(command, check=False).returncode


def fuzz(name: str, seconds: int) -> bool:
    """Run one harness; tell whether it held."""
    work = WORK / name
    work.mkdir(parents=True, exist_ok=True)
    for one in (*committed(name), *seeds()[name]):
        (work / hashlib.sha256(one).hexdigest()[:20]).write_bytes(one)
    words_file = WORK / "words"
    words_file.write_text(words())
    return not _atheris(
        name,
        str(work),
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        f"-dict={words_file}",
        f"-artifact_prefix={work}/",
        "-print_final_stats=1",
        "-verbosity=0",
    )


def keep(name: str) -> None:
    """Commit the smallest set of inputs that reaches as far as all of them."""
    small = WORK / f"{name}.small"
    shutil.rmtree(small, ignore_errors=True)
    small.mkdir(parents=True)
    if _atheris(name, "-merge=1", "-max_len=400", "-verbosity=0", str(small), str(WORK / name)):
        return
    commit(name, [one.read_bytes() for one in small.iterdir()])


def main(arguments: list[str]) -> int:
    """Fuzz one harness after another."""
    keeping = "--keep" in arguments
    given = [argument for argument in arguments if argument != "--keep"]
    seconds = int(given[0]) if given else 20
    broken = [name for name in given[1:] or HARNESSES if not fuzz(name, seconds)]
    for name in broken:
        for crash in sorted((WORK / name).glob("crash-*")):
            print(f"{name}: {crash}: {crash.read_bytes()!r}")  # noqa: T201 - what the command is for
    if keeping:
        for name in given[1:] or HARNESSES:
            keep(name)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
