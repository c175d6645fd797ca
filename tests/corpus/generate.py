"""Write the corpus from its families: `python -m tests.corpus.generate`. A test checks that this makes the data."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.corpus.case import DATA, Case, written
from tests.corpus.families import chunks, fields, framing, hosts, lines, pipelines, published, smuggling, targets
from tests.corpus.replies import replies

FAMILIES: Final[Mapping[str, Callable[[], Iterator[Case]]]] = {
    module.__name__.rpartition(".")[2]: module.cases
    for module in (framing, chunks, fields, hosts, lines, targets, smuggling, published, pipelines)
}


def texts() -> dict[str, str]:
    """Return the text of each file."""
    return {name: written(cases()) for name, cases in FAMILIES.items()} | {"replies": written(replies())}


if __name__ == "__main__":
    for family, text in texts().items():
        (DATA / f"{family}.jsonl").write_text(text, "ascii")
