"""The committed corpora: for each harness one file, a line an input, one character a byte."""

import json
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).parent / "corpus"


def committed(harness: str) -> list[bytes]:
    """Read the inputs of a harness."""
    lines = (CORPUS / f"{harness}.jsonl").read_text("ascii").splitlines()
    return [json.loads(line).encode("latin-1") for line in lines]


def commit(harness: str, found: list[bytes]) -> None:
    """Write them, each once, the short ones first."""
    lines = (json.dumps(one.decode("latin-1")) for one in sorted(set(found), key=lambda one: (len(one), one)))
    (CORPUS / f"{harness}.jsonl").write_text("".join(f"{line}\n" for line in lines), "ascii")
