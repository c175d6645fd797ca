"""The documentation of every key, drawn from the models: Markdown for readers, JSON Schema for editors."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from sluicegate.settings.finding import TABLES
from sluicegate.settings.schema import Settings

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Without the titles that pydantic makes of names: ours say what a value looks like."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `sluicegate.toml`, for editors to complete and check with."""
    schema: dict[str, Any] = Settings.model_json_schema(mode="validation", schema_generator=_Generator)
    return {"$schema": _DIALECT} | schema | {"title": "sluicegate.toml"}


def reference() -> str:
    """Return a Markdown table of the keys of each section: form, default, meaning."""
    schema = json_schema()
    parts = []
    for heading, table in _tables(schema, schema, ()):
        parts += [f"## {heading}", table["description"], _rows(schema, table)]
    return "\n\n".join(parts) + "\n"


def _tables(
    schema: JsonSchemaValue, table: JsonSchemaValue, path: tuple[str, ...]
) -> Iterator[tuple[str, JsonSchemaValue]]:
    brackets = "[[{}]]" if path and path[0] in TABLES and len(path) == 1 else "[{}]"
    yield (f"`{brackets.format('.'.join(path))}`" if path else "Above the first section", table)
    for name, key in table["properties"].items():
        inner = _table_of(schema, key)
        if inner is not None:
            yield from _tables(schema, inner, (*path, name))


def _table_of(schema: JsonSchemaValue, key: JsonSchemaValue) -> JsonSchemaValue | None:
    """Return the table that a key holds, or one of the several; None when it holds a value."""
    for candidate in (key, key.get("items", {}), *key.get("anyOf", ())):
        name = str(candidate.get("$ref", "")).removeprefix("#/$defs/")
        if name:
            table: JsonSchemaValue = schema["$defs"][name]
            return table
    return None


def _rows(schema: JsonSchemaValue, table: JsonSchemaValue) -> str:
    needed = table.get("required", ())
    lines = ["| key | form | default | meaning |", "|---|---|---|---|"]
    for name, key in table["properties"].items():
        if _table_of(schema, key) is None:
            default = _default(key, is_needed=name in needed)
            lines.append(f"| `{name}` | {_cell(key['title'])} | {default} | {_cell(key['description'])} |")
    return "\n".join(lines)


def _default(key: Mapping[str, Any], *, is_needed: bool) -> str:
    if is_needed:
        return "required"
    return f"`{_cell(json.dumps(key['default'], ensure_ascii=False))}`" if "default" in key else "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
