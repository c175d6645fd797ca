"""One pass over all keys: what each says by itself, and settings with which the rules can go on in spite of faults."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sluicegate.settings.finding import TABLES, Finding, key_name
from sluicegate.settings.flaw import Flaw, found, listed, nearest
from sluicegate.settings.schema import Settings
from sluicegate.settings.toml_lines import KeyPath, Step

# Where a whole table is faulty, or what it must have is: something with which the others can still be judged.
_STAND_INS: Final[Mapping[str, Mapping[str, Any]]] = {
    "route": {"path": "/", "respond": ""},
    "issuer": {"name": "stand-in", "iss": "stand-in", "sign_key": "stand-in"},
}
_REQUIRED: Final = frozenset({"path", "name", "iss"})
_FEW_KEYS: Final = 12
_MOST_ROUNDS: Final = 8


class Validated(NamedTuple):
    """Settings in which every faulty key has its default, what is wrong, and of which keys to believe nothing."""

    settings: Settings
    findings: list[Finding]
    faulty: list[KeyPath]


def validate(tree: dict[str, Any], base: Path, *, faulty: Sequence[KeyPath]) -> Validated:
    """Read every key. `tree` is taken apart in the course; `faulty` are keys known to be so already.

    `base` is the directory that relative paths start from.
    """
    marked = list(faulty)
    findings: list[Finding] = []
    for loc in marked:
        _take_out(tree, loc)
    # what is taken out has its default then, so the second round finds nothing, or the third
    for _ in range(_MOST_ROUNDS):
        try:
            return Validated(Settings.model_validate(tree, context={"base": base}), findings, marked)
        except ValidationError as error:
            details = error.errors(include_url=False)
        new = [_finding(one, tree) for one in details]
        for finding, meant in new:
            findings.append(finding)
            marked += (finding.loc, *meant)
            _take_out(tree, finding.loc)
    raise AssertionError("a default is faulty")  # pragma: no cover - a default that cannot be read is a defect


def _finding(details: ErrorDetails, tree: Mapping[str, Any]) -> tuple[Finding, tuple[KeyPath, ...]]:
    """Return what is wrong, and the keys that a misspelt one was probably meant to be."""
    steps = details["loc"]
    if steps[-1] == "[key]" and details["type"] == "value_error":
        steps = steps[:-1]  # pydantic's mark for a key that is itself faulty
    loc = _written(steps, tree)
    flaw = details.get("ctx", {}).get("error")
    if isinstance(flaw, Flaw):
        return Finding(loc, flaw.problem, flaw.remedy), ()
    match details["type"]:
        case "extra_forbidden" | "invalid_key":
            return _unknown(loc)
        case "missing":
            return Finding(loc, "is missing", f"every {key_name(loc[:1])} needs it"), ()
        case "model_type" | "model_attributes_type":
            problem = f"is {found(details['input'])} where a table belongs"
            return Finding(loc, problem, "write its keys below a [section] line, or in braces"), ()
        case _:  # pragma: no cover - nothing that we declare comes here; pydantic's words never hold the value
            return Finding(loc, f"cannot be read ({details['msg']})", "see the reference of this key"), ()


def _written(loc: KeyPath, tree: Mapping[str, Any]) -> KeyPath:
    """Return the path as it stands in the tree.

    A list may be written as a single value, and then has no index, or as a table, whose keys stand for indexes.
    """
    node: Any = tree
    path: KeyPath = ()
    for step in loc:
        if isinstance(node, str):
            break
        if isinstance(node, dict):
            name = list(node)[step] if isinstance(step, int) else step
            path = (*path, name)
            node = node.get(name)
        else:
            path = (*path, step)
            node = node[step] if isinstance(node, list) and isinstance(step, int) else None
    return path


def _unknown(loc: KeyPath) -> tuple[Finding, tuple[KeyPath, ...]]:
    *outer, last = loc
    name, parent = str(last), tuple(outer)
    known = list(_model_at(parent).model_fields)
    near = nearest(name, known)
    where = f"a key of {key_name(parent)}" if parent else "a section or key"
    if near is not None:
        # one slip is one fault: nothing more is said about the key that was meant
        return Finding(loc, f"is not {where}", f"did you mean {near}?"), ((*parent, near),)
    homes = [home for home in _homes(name) if home != parent]
    if homes:
        place = "above the first section" if homes[0] == () else "below " + " or ".join(map(key_name, homes))
        return Finding(loc, f"is not {where}", f"it belongs {place}"), tuple((*home, name) for home in homes)
    choice = f"; known are {listed(known)}" if len(known) <= _FEW_KEYS else ""
    return Finding(loc, f"is not {where}", f"take it out{choice}"), ()


def _model_at(loc: KeyPath) -> type[BaseModel]:
    model: type[BaseModel] = Settings
    for step in loc:
        if isinstance(step, str):
            model = next(_models(model.model_fields[step].annotation))
    return model


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _homes(name: str) -> Iterator[KeyPath]:
    """Find the sections that have a key of this name."""
    if name in Settings.model_fields:
        yield ()
    for section, field in Settings.model_fields.items():
        for model in _models(field.annotation):
            if name in model.model_fields:
                yield (section,)


def _take_out(tree: dict[str, Any], loc: KeyPath) -> None:
    """Take a faulty key out of the tree, whole, so that its default stands in for it."""
    section, *inner = loc
    tables = tree.get(str(section))
    index, *keys = inner or [""]
    if section in TABLES and isinstance(tables, list) and isinstance(index, int):
        stand_in = _STAND_INS[str(section)]
        if not keys or not isinstance(tables[index], dict):
            tables[index] = dict(stand_in)
            return
        _remove(tables[index], keys)
        tables[index] = {key: stand_in[key] for key in _REQUIRED & stand_in.keys()} | tables[index]
    else:
        _remove(tree, loc)


def _remove(table: dict[Any, Any], steps: Sequence[Step]) -> None:
    """Remove the innermost key of a table that the steps lead to; a list goes with the key that it belongs to."""
    step, *rest = steps
    if rest and isinstance(table.get(step), dict):
        _remove(table[step], rest)
    else:
        table.pop(step, None)
