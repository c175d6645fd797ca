"""The same topic has the same id in every language; the code is that of docs/topics.md."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from sluicegate.core.topics import InvalidTopic, topic_id
from tests.cli.sluicegate import run
from tests.servers.process import program

PAGE: Final = (Path(__file__).parents[2] / "docs" / "topics.md").read_text(encoding="utf-8")

NAMES: Final = (
    "news",
    "user-user123-inbox",
    " ",
    "a/b?c#d%2f",
    "é",
    "e\u0301",
    "日本語",
    "🙂",
    "x" * 256,
    "é" * 128,
    "a1b2c3d4e5f67890abcdef1234567890",
    "A1B2C3D4E5F67890ABCDEF1234567890",
    "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    "A1B2C3D4-E5F6-7890-ABCD-EF1234567890",
    "{A1b2c3d4-e5f6-7890-abcd-ef1234567890}",
    "urn:uuid:a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    "URN:UUID:A1B2C3D4-E5F6-7890-ABCD-EF1234567890",
    "urn:uuid:a1b2c3d4e5f67890abcdef1234567890",
    "{a1b2c3d4e5f67890abcdef1234567890}",
    "{a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    "a1b2c3d4e5f6-7890-abcd-ef1234567890",
    "a1b2c3d4e5f67890abcdef123456789g",
    "\u0661" * 32,
    "\u212aa1b2c3d4e5f67890abcdef12345678",  # KELVIN SIGN, a K to whoever folds case too widely
    "\u017f" * 32,  # LONG S, likewise
    # what can name none
    "",
    "x" * 257,
    "é" * 129,
    "a\nb",
    "news\n",
    "a1b2c3d4e5f67890abcdef1234567890\n",
    "\x00",
    "\x7f",
    "\x85",
)

GO_MAIN: Final = """package main

import (
	"encoding/json"
	"os"

	"topics/topic"
)

func main() {
	var names []string
	if err := json.NewDecoder(os.Stdin).Decode(&names); err != nil {
		panic(err)
	}
	ids := []*string{}
	for _, name := range names {
		id, err := topic.ID(name)
		if err == nil {
			ids = append(ids, &id)
		} else {
			ids = append(ids, nil)
		}
	}
	json.NewEncoder(os.Stdout).Encode(ids)
}
"""

JS_MAIN: Final = """
const ids = JSON.parse(require('node:fs').readFileSync(0, 'utf8')).map((name) => {
  try {
    return topicId(name);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
});
console.log(JSON.stringify(ids));
"""


def snippet(language: str) -> str:
    found = re.search(f"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def javascript(names: Sequence[str], directory: Path) -> list[str | None]:
    (directory / "topics.js").write_text(snippet("javascript") + JS_MAIN, encoding="utf-8")
    return asked([program("node"), str(directory / "topics.js")], names, directory)


def golang(names: Sequence[str], directory: Path) -> list[str | None]:
    (directory / "topic").mkdir()
    (directory / "topic" / "topic.go").write_text(snippet("go"), encoding="utf-8")
    (directory / "main.go").write_text(GO_MAIN, encoding="utf-8")
    (directory / "go.mod").write_text("module topics\n\ngo 1.19\n", encoding="utf-8")
    return asked(["go", "run", "."], names, directory)


def asked(command: Sequence[str], names: Sequence[str], directory: Path) -> list[str | None]:
    done = subprocess.run(
        command, input=json.dumps(names), cwd=directory, capture_output=True, text=True, check=True, timeout=250
    )
    ids: list[str | None] = json.loads(done.stdout)
    return ids


def python(name: str) -> str | None:
    try:
        return topic_id(name)
    except InvalidTopic:
        return None


@pytest.mark.timeout(300)  # Go compiles its standard library when it is first used
@pytest.mark.parametrize("other", [javascript, *([golang] if shutil.which("go") else [])])
def test_another_language_reckons_the_same_ids(
    other: Callable[[Sequence[str], Path], list[str | None]], tmp_path: Path
) -> None:
    assert other(NAMES, tmp_path) == [python(name) for name in NAMES]


def test_a_lone_surrogate_names_no_topic_in_javascript_either(tmp_path: Path) -> None:
    """Python has no such thing in its JSON; JavaScript's strings do."""
    assert javascript(["a\ud800b"], tmp_path) == [python("a\ud800b")] == [None]


def test_the_page_says_the_python_that_there_is() -> None:
    scope: dict[str, object] = {}
    exec(snippet("python"), scope)  # noqa: S102 - our own page
    assert scope["topic_id"] is topic_id
    assert f"'{topic_id('news')}'" in snippet("python")


def test_the_command_prints_the_id_and_refuses_what_can_name_none() -> None:
    assert run("topic", "news").out == topic_id("news") + "\n"
    refused = run("topic", "a\nb")
    assert (refused.code, refused.out) == (2, "")
    assert "256 bytes" in refused.err
