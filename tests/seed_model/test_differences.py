"""The page about differences, and the tests that it stands for."""

import re
from pathlib import Path
from typing import Final

from tests.seed_model.rules import TESTED_ELSEWHERE, Rule
from tests.seed_model.test_plugin import SHOWN

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "differences.md").read_text("utf-8")


def test_the_page_names_each_difference_in_order() -> None:
    assert re.findall(r"^## \d+\. (.*)$", PAGE, re.MULTILINE) == [rule.value for rule in Rule]


def test_each_difference_has_a_test() -> None:
    webhook = {Rule.TOPIC}
    assert SHOWN | set(TESTED_ELSEWHERE) | webhook == set(Rule)
    for place in (place for places in TESTED_ELSEWHERE.values() for place in places):
        path, _, name = place.partition("::")
        text = (ROOT / path).read_text("utf-8")
        assert not name or f"def {name}(" in text, place
