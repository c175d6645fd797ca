"""On which line of a TOML document each key stands (TOML 1.0.0).

`tomllib` gives values and no places. This gives places and no values, and is asked only about documents that
`tomllib` has read, so it need not tell right from wrong, only where things are.
"""

import re
import tomllib
from bisect import bisect_left
from typing import Final, final

Step = str | int
KeyPath = tuple[Step, ...]
"""Keys and, inside arrays, indexes from 0: `("route", 1, "header_up", "X-User-ID")`."""

_SPACE: Final = re.compile(r"[ \t]*")
# Between statements and inside arrays: blanks, line ends, comments.
_BETWEEN: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")
_STRINGS: Final = (
    # Three quotes end a multi-line string, but up to two more may stand before them: `"""a"""""` is `a""`.
    ('"""', re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL)),
    ("'''", re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL)),
    ('"', re.compile(r'"(?:[^"\\]|\\.)*"')),
    ("'", re.compile(r"'[^']*'")),
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of every key and array item of a document that `tomllib` accepts.

    A table has the line that first names it: its header, or that of a table inside it. Raises `RecursionError` for
    arrays nested about as deeply as `tomllib` itself allows.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


@final
class _Scanner:
    """One pass over the text. `lines` fills as it goes."""

    __slots__ = ("_ends", "_last", "_pos", "_text", "lines")

    def __init__(self, text: str) -> None:
        self._text = text
        self._pos = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._last: dict[KeyPath, int] = {}
        """The index of the newest table of each array of tables."""
        self.lines: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        while True:
            self._skip(_BETWEEN)
            if self._pos == len(self._text):
                return
            if self._text.startswith("[[", self._pos):
                table = self._header(2)
                index = self._last.get(table, -1) + 1
                self._last[table] = index
                table = self._note((*table, index))
            elif self._text[self._pos] == "[":
                table = self._header(1)
            else:
                self._pair(table)

    def _header(self, brackets: int) -> KeyPath:
        self._pos += brackets
        *outer, last = self._key()
        self._pos += brackets
        path: KeyPath = ()
        for step in outer:
            path = self._note((*path, step))
            if path in self._last:
                path = (*path, self._last[path])
        return self._note((*path, last))

    def _pair(self, table: KeyPath) -> None:
        path = table
        for step in self._key():
            path = self._note((*path, step))
        self._pos += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        """Read a dotted key and the blanks around it; stop at the `=` or `]` behind it."""
        steps = []
        while True:
            self._skip(_SPACE)
            quoted = self._text[self._pos] in "\"'"
            raw = self._string() if quoted else self._skip(_BARE_KEY)
            steps.append(str(tomllib.loads(f"key = {raw}")["key"]) if quoted else raw)
            self._skip(_SPACE)
            if self._text[self._pos] != ".":
                return steps
            self._pos += 1

    def _value(self, path: KeyPath) -> None:
        self._skip(_SPACE)
        match self._text[self._pos]:
            case '"' | "'":
                self._string()
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._pos += 1
        index = 0
        while True:
            self._skip(_BETWEEN)
            match self._text[self._pos]:
                case "]":
                    self._pos += 1
                    return
                case ",":
                    self._pos += 1
                case _:
                    self._value(self._note((*path, index)))
                    index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._pos += 1
        while True:
            # TOML 1.1 allows line ends here; 1.0 has none, so passing over them is right for both
            self._skip(_BETWEEN)
            match self._text[self._pos]:
                case "}":
                    self._pos += 1
                    return
                case ",":
                    self._pos += 1
                case _:
                    self._pair(path)

    def _string(self) -> str:
        for quote, pattern in _STRINGS:
            if self._text.startswith(quote, self._pos):
                return self._skip(pattern)
        raise AssertionError("called at a quote")  # pragma: no cover - every caller looks first

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._pos)
        if match is None:
            # only a text that tomllib would have refused gets here
            raise ValueError("not a TOML document")  # pragma: no cover
        self._pos = match.end()
        return match.group()

    def _note(self, path: KeyPath) -> KeyPath:
        self.lines.setdefault(path, bisect_left(self._ends, self._pos) + 1)
        return path
