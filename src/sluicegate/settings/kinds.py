"""What a key may hold: how a value is read, what is said when it cannot be, and what an editor is told.

A `Kind` stands in a field's annotation. It reads strictly (a string is no number, a number no boolean), except that a
value which came whole out of a placeholder is text and is converted.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, final

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, SecretStr, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from sluicegate.settings.flaw import CONTROL, Filled, Flaw, found, listed, nearest, quoted, shown

MOST_COUNTED: Final = 2**31 - 1
"""What a count may be at most where nothing nearer bounds it: whatever is behind takes a signed 32-bit number."""

_MOST_SHOWN: Final = 10**18

SECTION: Final = ConfigDict(
    frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True, validate_default=True
)
"""How every section behaves. Defaults are written as an operator would write them and are read like any value."""

PLACEHOLDER_SCHEMA: Final = {"type": "string", "pattern": r"^\{(env|file)\.[^{}]+\}$"}
_SURROGATE_OR_NUL: Final = re.compile("[\0\ud800-\udfff]")


def key(default: object, description: str, *, shown_default: str | None = None) -> Any:  # noqa: ANN401 - as pydantic's
    """Declare a key: its default, as it would stand in TOML, and the sentence that documents it.

    `shown_default` describes a default that the machine decides.
    """
    extra: dict[str, Any] | None = None if shown_default is None else {"default": shown_default}
    return Field(default=default, description=description, json_schema_extra=extra)


def needed(description: str) -> Any:  # noqa: ANN401 - as pydantic's
    """Declare a key that has no default."""
    return Field(description=description)


def off(description: str) -> Any:  # noqa: ANN401 - as pydantic's
    """Declare a boolean key that is false unless the operator says otherwise."""
    return Field(default=False, description=description)


def on(description: str) -> Any:  # noqa: ANN401 - as pydantic's
    """Declare a boolean key that is true unless the operator says otherwise."""
    return Field(default=True, description=description)


def table(model: type[BaseModel], description: str) -> Any:  # noqa: ANN401 - as pydantic's
    """Declare a key that holds a table of its own, with every key of it at its default."""
    return Field(default_factory=model, description=description)


@final
@dataclass(frozen=True, slots=True)
class Kind:
    """How the values of a key are read. `read` raises `Flaw`; `schema` is JSON Schema, its `title` the short form."""

    read: Callable[[Any], object]
    schema: Mapping[str, object]

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read with `read` and nothing else."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the value for editors."""
        return dict(self.schema)


@final
@dataclass(frozen=True, slots=True)
class Several:
    """A list of some kind, read into a tuple. `or_one` allows a single value without brackets."""

    example: str
    or_one: bool = False
    empty: bool = True
    same: Callable[[Any], object] = lambda item: item
    """Items that it maps to one thing are repetitions."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Bring the value into the form of a list, read each item, refuse repetitions."""
        return core_schema.no_info_after_validator_function(
            self._no_repetition, core_schema.no_info_before_validator_function(self._as_list, handler(source))
        )

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the list, the single value and the placeholder."""
        schema = handler(core)
        item = schema["items"]
        schema = {"type": "array", "items": item} | ({} if self.empty else {"minItems": 1})
        if self.or_one:
            return {"title": f"{item['title']}, or a list", "anyOf": [item, schema]}
        return {"title": f"list: {item['title']}", "anyOf": [schema, PLACEHOLDER_SCHEMA]}

    def _as_list(self, value: object) -> object:
        if isinstance(value, Filled) and value.whole:
            value = split_filled(value)
        elif isinstance(value, str) and self.or_one:
            value = [value]
        if not isinstance(value, list | tuple):
            raise Flaw(f"is {found(value)} where a list belongs", f"write it so: {self.example}")
        if not value and not self.empty:
            raise Flaw("is an empty list", f"name at least one: {self.example}")
        return value

    def _no_repetition(self, items: tuple[object, ...]) -> tuple[object, ...]:
        first: dict[object, int] = {}
        for number, item in enumerate(items, start=1):
            earlier = first.setdefault(self.same(item), number)
            if earlier != number:
                raise Flaw(f"repeats item {earlier} as item {number}", "take one of them out")
        return items


def split_filled(text: Filled) -> list[Filled]:
    """Return the items of a list that came out of a placeholder, where commas or blanks part them. Raises `Flaw`."""
    parts = [part for part in re.split(r"[,\s]+", text.strip()) if part]
    if not parts:
        # an unset list of issuers must not quietly become "any issuer"
        raise Flaw(
            f"is empty once {quoted(text.origin)} is replaced", "fill it with names and commas, or write [] for none"
        )
    return [Filled.of(part, text.origin, whole=True) for part in parts]


def whole(least: int = 0, most: int = MOST_COUNTED, *, example: str = "") -> Kind:
    """Return the kind of an integer from `least` to `most`."""
    span = f"{least} or more" if most == MOST_COUNTED else f"{least} to {most}"
    instead = f"write an integer, {span}" + (f": {example}" if example else "")

    def read(value: object) -> int:
        came_through = isinstance(value, Filled)
        if isinstance(value, Filled) and value.whole and re.fullmatch(r"[+-]?[0-9]{1,20}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            quotes = ", without quotes" if isinstance(value, str) and not came_through else ""
            raise Flaw(f"is {found(value)} where an integer belongs", instead + quotes)
        if not least <= value <= most:
            # a number of thousands of digits cannot even be written (CVE-2020-10735)
            given = "is" if came_through or abs(value) > _MOST_SHOWN else f"is {value}, which is"
            raise Flaw(f"{given} out of range", f"give {least} to {most}")
        return value

    number = {"type": "integer", "minimum": least, "maximum": most}
    return Kind(read, {"title": f"integer, {span}", "anyOf": [number, PLACEHOLDER_SCHEMA]})


def _read_boolean(value: object) -> bool:
    if isinstance(value, Filled) and value.whole and value in {"true", "false"}:
        return value == "true"
    if not isinstance(value, bool):
        quotes = ", without quotes" if isinstance(value, str) else ""
        raise Flaw(f"is {found(value)} where a boolean belongs", f"write true or false{quotes}")
    return value


def words(*known: str, also: Mapping[str, str] | None = None) -> Kind:
    """Return the kind of one of these words. `also` maps words of other programs to ours."""
    synonyms = also or {}

    def read(value: object) -> str:
        text = as_text(value, f'"{known[0]}"')
        word = synonyms.get(text, text)
        if word not in known:
            near = nearest(text, known)
            guess = f'did you mean "{near}"? ' if near else ""
            raise Flaw(f"is {shown(text)}, which is no choice here", f"{guess}choose one of: {listed(known)}")
        return str(word)

    titled = " or ".join(f'"{word}"' for word in known)
    return Kind(read, {"title": titled, "anyOf": [{"enum": [*known, *synonyms]}, PLACEHOLDER_SCHEMA]})


def text(
    title: str, example: str, *, check: Callable[[str], str] | None = None, empty: bool = False, unset: bool = False
) -> Kind:
    """Return the kind of a string without control characters; `check` may refuse or change it.

    `empty` allows the empty string where it is written so; `unset` also where a placeholder came out empty. Without
    that, a webhook or an issuer whose variable was forgotten would quietly be none.
    """

    def read(value: object) -> str:
        line = as_line(value, example)
        if not line and (unset or (empty and not isinstance(line, Filled))):
            return ""
        if not line.strip():
            origin = f" once {quoted(line.origin)} is replaced" if isinstance(line, Filled) else ""
            raise Flaw(f"is empty{origin}", f"write it so: {example}")
        return check(line) if check else str(line)

    return Kind(read, {"title": title, "type": "string"} | ({} if empty or unset else {"minLength": 1}))


def parsed(title: str, example: str, parse: Callable[[str], object]) -> Kind:
    """Return the kind of a string that `parse` turns into something else, or refuses with `Flaw`."""
    return Kind(lambda value: parse(as_line(value, example)), {"title": title, "type": "string"})


def as_line(value: object, example: str) -> str:
    """Return the value if it is a string without control characters. Raises `Flaw`."""
    line = as_text(value, example)
    if CONTROL.search(line):
        raise Flaw("holds a control character or a lone surrogate", f"write one plain line: {example}")
    return line


def as_text(value: object, example: str) -> str:
    """Return the value if it is a string. Raises `Flaw` with an example of what belongs there."""
    if not isinstance(value, str):
        raise Flaw(f"is {found(value)} where a string belongs", f"write it so, with quotes: {example}")
    return value


def _read_secret(value: object, *, needed: bool) -> SecretStr:
    if isinstance(value, SecretStr):
        return _read_secret(value.get_secret_value(), needed=needed)
    # neither the value nor its length goes into a message
    text_ = as_text(value, '"{env.SECRET_NAME}"')
    if _SURROGATE_OR_NUL.search(text_):
        raise Flaw("holds a NUL or bytes that are not UTF-8", "store the secret as text; binary keys as base64")
    if text_.strip():
        return SecretStr(str(text_))
    if needed and (isinstance(text_, Filled) or text_):
        origin = f" once {quoted(text_.origin)} is replaced" if isinstance(text_, Filled) else ""
        raise Flaw(f"is empty{origin}", "fill it, or take this line out if no secret is meant")
    return SecretStr("")


@final
@dataclass(frozen=True, slots=True)
class _PathKind:
    """A path; relative ones start from the directory of the TOML file. `empty` allows the empty string: no path.

    `words` are what is no path.
    """

    example: str
    empty: bool = False
    words: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = "".join(f'"{word}" or ' for word in self.words)
        return {"title": f"{words}path", "type": "string"}

    def _read(self, value: object, info: ValidationInfo) -> Path | str | None:
        name = as_line(str(value) if isinstance(value, Path) else value, self.example)
        if name in self.words:
            return str(name)
        if name:
            base: Path = (info.context or {}).get("base", Path())
            return base / name
        if isinstance(name, Filled) or not self.empty:
            origin = f" once {quoted(name.origin)} is replaced" if isinstance(name, Filled) else ""
            raise Flaw(f"is empty{origin}", f"give a path: {self.example}")
        return None


_SECRET_SCHEMA: Final = {"title": "secret", "type": "string"}

Boolean = Annotated[bool, Kind(_read_boolean, {"title": "boolean", "anyOf": [{"type": "boolean"}, PLACEHOLDER_SCHEMA]})]
Secret = Annotated[SecretStr, Kind(lambda value: _read_secret(value, needed=True), _SECRET_SCHEMA)]
"""A secret; empty is none. Empty out of a placeholder is a fault: somebody meant there to be one."""
OptionalSecret = Annotated[SecretStr, Kind(lambda value: _read_secret(value, needed=False), _SECRET_SCHEMA)]
FilePath = Annotated[Path | None, _PathKind('"/etc/sluicegate/file.pem"', empty=True)]
FileOrStandard = Annotated[
    Path | str | None, _PathKind('"/var/log/sluicegate/access.log"', empty=True, words=("stdout", "stderr"))
]
"""A file to write to, or one of the standard streams."""
Directory = Annotated[Path, _PathKind('"/var/lib/sluicegate"')]
