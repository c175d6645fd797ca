"""Every input that the fuzzer has kept, and every seed, through its harness."""

import pytest

from tests.fuzz.harnesses import HARNESSES
from tests.fuzz.inputs import CORPUS, committed
from tests.fuzz.seeds import seeds


@pytest.mark.parametrize("name", HARNESSES)
def test_what_was_found_breaks_nothing(name: str) -> None:
    for one in (*committed(name), *seeds()[name], b""):
        HARNESSES[name](one)


def test_each_harness_has_inputs_and_each_file_a_harness() -> None:
    assert {path.stem for path in CORPUS.glob("*.jsonl")} == set(HARNESSES) == set(seeds())
    assert all(committed(name) for name in HARNESSES)
