"""`{env.NAME}` and `{file./path}` in strings, replaced at any depth before anything else reads them.

Braces of other meanings stay as they are: `{topic}` in a route's path, `{http.auth.user.id}` in a header.
"""

import errno
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, final

from sluicegate.settings.flaw import Filled, Flaw, quoted
from sluicegate.settings.toml_lines import KeyPath

_PLACEHOLDER: Final = re.compile(r"\{(env|file)\.([^{}]*)\}")

ReadFile = Callable[[Path], str]
"""Reads a file whole, as `read_text` does, and raises what it raises."""

_LONGEST: Final = 16 << 20
"""Characters of a file; no settings and no key come near."""


def read_text(path: Path) -> str:
    """Return the text of a file. Raises `OSError`, and `UnicodeDecodeError` where it is not UTF-8."""
    with path.open(encoding="utf-8") as file:
        text = file.read(_LONGEST + 1)
    if len(text) > _LONGEST:  # a device has no end
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return text


class World(NamedTuple):
    """Where values come from that do not stand in the file itself.

    `base` is the directory that relative paths start from: that of the TOML file, so that a command means the same
    from wherever it is called.
    """

    environ: Mapping[str, str]
    read_file: ReadFile
    base: Path


class BrokenPlaceholder(NamedTuple):
    """A placeholder that cannot be replaced, and the key path of the string that it stands in."""

    loc: KeyPath
    flaw: Flaw


def fill(tree: object, world: World) -> tuple[object, list[BrokenPlaceholder]]:
    """Return a copy of `tree` with every placeholder replaced, and those that could not be.

    The copy is made of plain dicts and lists. A string with a broken placeholder stays as it was.
    """
    filler = _Filler(world)
    return filler.copy(tree, ()), filler.broken


@final
class _Filler:
    __slots__ = ("_world", "broken")

    def __init__(self, world: World) -> None:
        self._world = world
        self.broken: list[BrokenPlaceholder] = []

    def copy(self, value: object, loc: KeyPath) -> object:
        match value:
            case str():
                return self._text(value, loc)
            case Mapping():
                return {str(key): self.copy(item, (*loc, str(key))) for key, item in value.items()}
            case list() | tuple():
                return [self.copy(item, (*loc, index)) for index, item in enumerate(value)]
            case _:
                return value

    def _text(self, text: str, loc: KeyPath) -> str:
        if not _PLACEHOLDER.search(text):
            return text
        flaws: list[Flaw] = []

        def replace(match: re.Match[str]) -> str:
            try:
                return self._value(match[1], match[2])
            except Flaw as flaw:
                flaws.append(flaw)
                return ""

        # one pass: a value that looks like a placeholder itself is a value
        filled = _PLACEHOLDER.sub(replace, text)
        self.broken += (BrokenPlaceholder(loc, flaw) for flaw in flaws)
        if flaws:
            return text
        return Filled.of(filled, text, whole=_PLACEHOLDER.fullmatch(text) is not None)

    def _value(self, source: str, name: str) -> str:
        if source == "env":
            return self._variable(name)
        return self._file(name)

    def _variable(self, name: str) -> str:
        value = self._world.environ.get(name)
        if value is None:
            raise Flaw(
                f"names the environment variable {quoted(name)}, which is not set",
                "set it in the environment of this process, or write the value here",
            )
        return value

    def _file(self, name: str) -> str:
        if not name or "\0" in name:
            raise Flaw("names a file without a path", "write it so: {file./run/secrets/jwt_key}")
        try:
            text = self._world.read_file(self._world.base / name)
        except OSError as error:
            raise Flaw(
                f"names the file {quoted(name)}, which cannot be read ({error.strerror or type(error).__name__})",
                "give the path of a file that this process may read",
            ) from None
        except UnicodeDecodeError:
            raise Flaw(
                f"names the file {quoted(name)}, which is not UTF-8 text", "store the value as text; keys as base64"
            ) from None
        # editors and `echo` end a file with a newline that no secret has
        return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
