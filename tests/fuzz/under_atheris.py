"""Run one harness under atheris: `python -m tests.fuzz.under_atheris NAME [libFuzzer's arguments]`."""

import sys

import atheris

with atheris.instrument_imports(include=["sluicegate"]):
    from tests.fuzz.harnesses import HARNESSES

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    # libFuzzer starts itself again for a merge, by a shell, with what it takes for its own name
    atheris.Setup([f"{sys.executable} -m tests.fuzz.under_atheris {name}", *arguments], HARNESSES[name])
    atheris.Fuzz()
