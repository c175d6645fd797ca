import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given

from sluicegate.settings.toml_lines import KeyPath, key_lines
from tests.settings.toml_documents import Document, documents


def paths(value: Any, outer: KeyPath = ()) -> Iterator[KeyPath]:  # noqa: ANN401 - any TOML value
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*outer, step)
        yield from paths(inner, (*outer, step))


@given(documents())
def test_every_key_that_tomllib_reads_has_the_line_it_stands_on_and_no_other_key_has_one(document: Document) -> None:
    assert tomllib.loads(document.text) == document.tree, "the document is not what the test means"
    lines = key_lines(document.text)
    assert set(lines) == set(paths(document.tree))
    written = document.text.split("\n")
    for path, line in lines.items():
        name = path[-1]
        if isinstance(name, str):
            assert name in written[line - 1], (path, line)


def test_lines_are_those_that_an_operator_counts() -> None:
    text = '''\
proxy_id = "a"

[http]  # [not.this]
tls.cert_file = """
[nor]
this = 1"""
trusted_proxies = [  # one a line
    "10.0.0.0/8",

    "127.0.0.1", # last
]
[[route]]
path = "/"
require = { scopes = ["a",
  "b"], claims = { role = "x" } }
[route.header_up]
"X-A" = '1'
[[route]]
"pa\\u0074h" = "/b"
'''
    lines = key_lines(text)
    assert lines["proxy_id",] == 1
    assert lines["http",] == 3
    assert lines["http", "tls"] == lines["http", "tls", "cert_file"] == 4
    assert [lines["http", "trusted_proxies", index] for index in (0, 1)] == [8, 10]
    assert [lines["route", index] for index in (0, 1)] == [12, 18]
    assert lines["route", 0, "require", "scopes", 1] == 15
    assert lines["route", 0, "require", "claims", "role"] == 15
    assert lines["route", 0, "header_up", "X-A"] == 17
    assert lines["route", 1, "path"] == 19


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only this", "a = 1", "a = 1\r\n", "[a]\n[a.b]", "a = 1979-05-27 07:32:00Z"]
)
def test_short_documents_are_read_to_their_end(text: str) -> None:
    assert set(key_lines(text)) == set(paths(tomllib.loads(text)))
