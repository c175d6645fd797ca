"""The page and the tests are one: no row without a test that runs, no test without a row."""

import inspect
from pathlib import Path

from tests.conformance.page import DECLARING, page, requirements

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_tests_declare() -> None:
    assert (ROOT / "docs" / "conformance.md").read_text("utf-8") == page()


def test_each_row_has_a_test_of_its_own_that_pytest_runs() -> None:
    declared = [row.test for row in requirements()]
    assert len(set(declared)) == len(declared) > 80
    defined = {
        f"tests/conformance/{Path(module.__file__ or '').name}::{name}"
        for module in DECLARING
        for name, test in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("test_")
        and not any(mark.name.startswith("skip") for mark in getattr(test, "pytestmark", ()))
    }
    assert defined == set(declared)


def test_no_row_is_said_twice() -> None:
    said = [(row.section, row.who, row.asks) for row in requirements()]
    assert len(set(said)) == len(said)
