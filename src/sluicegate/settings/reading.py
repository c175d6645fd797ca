"""From a TOML file, or a mapping, to `Settings`, or to every fault at once."""

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from sluicegate.errors import Fault, SettingsError
from sluicegate.settings.finding import Finding
from sluicegate.settings.flaw import Filled
from sluicegate.settings.key_rules import SIGN_KEY
from sluicegate.settings.placeholders import ReadFile, World, fill, read_text
from sluicegate.settings.revenprox import translate
from sluicegate.settings.rules import findings
from sluicegate.settings.schema import Settings, Warning_, default_state_dir
from sluicegate.settings.source import Source
from sluicegate.settings.toml_lines import key_lines
from sluicegate.settings.validation import validate

ADMIN_TOKEN_VARIABLE: Final = "SLUICEGATE_ADMIN_TOKEN"  # noqa: S105 - the variable's name
"""Where the operators' token comes from when the file says nothing of it."""

_PLACE_IN_MESSAGE: Final = re.compile(
    r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$"
)


def load(path: Path | None, *, environ: Mapping[str, str], read_file: ReadFile = read_text) -> Settings:
    """Read a TOML file; without one, return the defaults.

    `environ` fills `{env.NAME}` and says where state lives; `read_file` reads the file and whatever `{file./path}`
    names. Relative paths start from the file's own directory. Raises `SettingsError` with every fault, in file order.
    The defaults alone hold no key: with them no token is good, and a warning says so.
    """
    if path is None:
        return _settle(
            {},
            Source("defaults", {}),
            World(environ, read_file, Path()),
            borne=lambda finding: finding.loc == SIGN_KEY,
        )
    text = _text_of(path, read_file)
    try:
        tree = tomllib.loads(text)
        lines = key_lines(text)
    except ValueError as error:
        raise _syntax_error(path, text, str(error)) from None
    except RecursionError:
        raise _syntax_error(path, text, "Arrays or tables stand too deep in each other (at line 1, column 1)") from None
    world = World(environ, read_file, path.parent)
    return _settle(tree, Source(str(path), lines), world)


def from_mapping(
    mapping: Mapping[str, Any],
    *,
    source: str = "keywords",
    environ: Mapping[str, str],
    read_file: ReadFile = read_text,
) -> Settings:
    """Read a mapping with the sections and keys of the TOML file, such as keyword arguments make.

    `source` stands in faults where a file's name would. Raises `SettingsError` as `load` does.
    """
    return _settle(mapping, Source(source, {}), World(environ, read_file, Path()))


def _settle(
    given: Mapping[str, Any], source: Source, world: World, *, borne: Callable[[Finding], bool] = lambda _: False
) -> Settings:
    """Return settings, with what is `borne` among their warnings, or raise `SettingsError` with every fault."""
    translated = translate(given)
    source = replace(source, renamed=translated.renamed)
    filled, broken = fill(translated.tree, world)
    # made of plain dicts with string keys by `fill`
    tree = cast("dict[str, Any]", filled)
    _add_defaults(tree, world.environ)
    found = list(translated.findings)
    found += (Finding(loc, flaw.problem, flaw.remedy) for loc, flaw in broken)
    validated = validate(tree, world.base, faulty=[finding.loc for finding in found if finding.serious])
    found += validated.findings
    found += findings(validated.settings, validated.faulty)
    # what has no line stands last; among those of one line the order of the rules is kept
    found.sort(key=lambda finding: source.line(finding.loc) or math.inf)
    faults = tuple(
        source.fault(finding.loc, finding.problem, finding.remedy)
        for finding in found
        if finding.serious and not borne(finding)
    )
    if faults:
        raise SettingsError(faults)
    return validated.settings.read_from(
        source,
        tuple(
            Warning_(source.key(finding.loc), finding.problem, finding.remedy, source.line(finding.loc))
            for finding in found
        ),
    )


def _add_defaults(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Put in what this machine decides where the operator does not."""
    tree.setdefault("state_dir", default_state_dir(environ))
    token = environ.get(ADMIN_TOKEN_VARIABLE)
    admin = tree.setdefault("admin", {})
    if token and isinstance(admin, dict):
        admin.setdefault("token", Filled.of(token, f"{{env.{ADMIN_TOKEN_VARIABLE}}}", whole=True))


def _text_of(path: Path, read_file: ReadFile) -> str:
    try:
        return read_file(path).removeprefix("\ufeff")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        fault = Fault(str(path), None, "the file", f"cannot be read ({reason})", "give the path of a TOML file")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        fault = Fault(str(path), line, "the file", "is not UTF-8", "save it as UTF-8, as TOML asks")
    raise SettingsError((fault,))


def _syntax_error(path: Path, text: str, message: str) -> SettingsError:
    match = _PLACE_IN_MESSAGE.match(message)
    what = match["what"] if match else message
    line = int(match["line"]) if match and match["line"] else text.count("\n") + 1
    column = f" at column {match['column']}" if match and match["column"] else ""
    return SettingsError(
        (
            Fault(
                str(path), line, "syntax", f"{what[:1].lower()}{what[1:]}{column}", "this is not TOML (https://toml.io)"
            ),
        )
    )
