import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from sluicegate.errors import SettingsError
from sluicegate.settings.finding import TABLES
from sluicegate.settings.reference import json_schema
from sluicegate.settings.schema import Settings
from sluicegate.settings.validation import validate
from tests.settings.keys import KEYS, Key
from tests.settings.reading import FILE, faults, read

_MINIMAL = {
    "": '[stateful_jwt]\nsign_key = "k"\n',
    "issuer": '[[issuer]]\nname = "main"\niss = "i"\nsign_key = "k"\n',
    "route": '[[route]]\npath = "/"\nrespond = ""\n',
}
"""What a file of each section needs for the section to stand."""


def name_of(key: Key) -> str:
    return f"{key.section}.{key.name}".lstrip(".")


def document(key: Key, value: str | None) -> str:
    """A file with this value of the key, and otherwise what must be there."""
    head = key.section.split(".")[0]
    lines = _MINIMAL.get(head, f"[{head}]\n").splitlines()
    line = f"{key.name} = {value}"
    if not key.section:
        return "\n".join([*([line] if value else []), *lines])
    if "." in key.section:
        lines.append(f"[{key.section}]")
    lines = [one for one in lines if value is None or not one.startswith(f"{key.name} =")]
    return "\n".join([*lines, *([line] if value else [])])


def settings_with(key: Key, value: str | None) -> Settings:
    validated = validate(tomllib.loads(document(key, value)), Path("/etc/gate"), faulty=())
    assert not validated.findings
    return validated.settings


def value_of(settings: Settings, key: Key) -> Any:  # noqa: ANN401 - of any type
    node: Any = settings
    for step in filter(None, key.section.split(".")):
        node = getattr(node, step)
        node = node[0] if step in TABLES else node
    return getattr(node, key.name)


def keys_of_the_schema(model: Any, section: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON Schema
    definitions = json_schema()["$defs"]
    for name, key in model["properties"].items():
        refs = [part["$ref"] for part in (key, key.get("items", {}), *key.get("anyOf", ())) if "$ref" in part]
        path = f"{section}.{name}".lstrip(".")
        if refs:
            yield from keys_of_the_schema(definitions[refs[0].removeprefix("#/$defs/")], path)
        else:
            yield path


def test_the_table_below_names_every_key_once() -> None:
    assert sorted(map(name_of, KEYS)) == sorted(keys_of_the_schema(json_schema()))


@pytest.mark.parametrize("key", [key for key in KEYS if key.default is not ...], ids=name_of)
def test_a_key_that_is_not_written_has_its_default(key: Key) -> None:
    if key.section:
        assert value_of(settings_with(key, None), key) == key.default
    else:
        assert value_of(read(_MINIMAL[""]), key) == key.default


@pytest.mark.parametrize("key", KEYS, ids=name_of)
def test_a_good_value_is_read_into_its_type(key: Key) -> None:
    value = value_of(settings_with(key, key.good), key)
    assert value == key.read
    assert type(value) is type(key.read)


@pytest.mark.parametrize("key", KEYS, ids=name_of)
def test_a_bad_value_is_a_fault_at_its_line_with_the_remedy(key: Key) -> None:
    text = document(key, key.bad)
    line = text.splitlines().index(f"{key.name} = {key.bad}") + 1
    at_the_line = [fault for fault in faults(text) if fault.line == line]
    assert len(at_the_line) == 1, faults(text)
    fault = at_the_line[0]
    assert key.says in str(fault)
    assert key.name in fault.key
    assert fault.file.endswith(FILE.name)
    assert fault.remedy


@pytest.mark.parametrize("key", [key for key in KEYS if key.default is ...], ids=name_of)
def test_a_key_without_a_default_is_missed_by_name(key: Key) -> None:
    text = "\n".join(line for line in document(key, None).splitlines() if not line.startswith(f"{key.name} ="))
    missing = [fault for fault in faults(text) if fault.problem == "is missing"]
    assert [(fault.line, fault.key) for fault in missing] == [(1, f"[[{key.section}]] #1 {key.name}")]


@pytest.mark.parametrize("name", sorted({key.section for key in KEYS if key.section and "." not in key.section}))
def test_a_section_that_is_no_table_is_a_fault(name: str) -> None:
    where = "tables belong" if name in TABLES else "a table belongs"
    at_the_line = [fault.problem for fault in faults(f"{name} = 1\n") if fault.line == 1]
    assert at_the_line == [f"is an integer where {where}"]


@pytest.mark.parametrize(
    "value", ['"{0}"', '["{0}", "{0}"]', '"a{0} \\u0007"', '["a {0}:"]', '{{ "X-A" = "{0}", b = "{0} é" }}']
)
@pytest.mark.parametrize("key", KEYS, ids=name_of)
def test_no_key_repeats_what_came_through_a_placeholder(key: Key, value: str) -> None:
    text = document(key, value.format("{env.SECRET}"))
    try:
        said = [str(warning) for warning in read(text, environ={"SECRET": "hunter2"}).warnings]
    except SettingsError as error:
        said = [str(fault) for fault in error.faults]
    assert "hunter2" not in "\n".join(said)


def test_settings_and_every_section_are_frozen() -> None:
    settings = read(_MINIMAL["route"] + _MINIMAL[""])
    for part in (settings, settings.http, settings.stateful_jwt.tls, settings.route[0].require):
        assert isinstance(part, BaseModel)
        with pytest.raises(ValueError, match="frozen"):
            setattr(part, next(iter(type(part).model_fields)), "other")
