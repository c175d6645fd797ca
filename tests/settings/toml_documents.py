"""TOML documents in every style that TOML 1.0 has, each with the tree that it must be read as."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, NamedTuple

from hypothesis import strategies as st

Tree = dict[str, Any]
_PIECES = ["a", "é", " ", "#", "[t]", "[[t]]", "k = 1", "{", "}", "]", ",", "=", ".", '"', "'", "\\", "\\n"]
_COMMENTS = ["", "  # [x]", '\t# k = """', " # '''", "#]", " # }"]


class Document(NamedTuple):
    text: str
    tree: Tree


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Draw a document."""
    writer = _Writer(draw)
    tree = writer.table(depth=0)
    writer.write(tree, ())
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    # tomllib reads CR LF as LF everywhere, in strings too
    return Document(newline.join(writer.lines).replace("\r\n", "\n").replace("\n", newline), tree)


class _Writer:
    """Makes up a tree and writes it. Every key of a document is different, so a line that holds it is its own."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._number = count()
        self.lines: list[str] = []

    def table(self, depth: int) -> Tree:
        return {self._new_key(): self._value(depth) for _ in range(self._draw(st.integers(0, 3)))}

    def write(self, table: Tree, path: tuple[str, ...]) -> None:
        later: list[Callable[[], None]] = []
        for key, value in table.items():
            if isinstance(value, dict) and self._flip():
                later.append(lambda key=key, value=value: self._header_table(value, (*path, key)))  # type: ignore[misc]
            elif value and isinstance(value, list) and all(isinstance(item, dict) for item in value) and self._flip():
                later.append(lambda key=key, value=value: self._array_of_tables(value, (*path, key)))  # type: ignore[misc]
            elif value and isinstance(value, dict) and self._flip():
                for dotted, leaf in _leaves(value, (key,)):
                    self._line(f"{self._dotted(dotted)}{self._blank()}={self._blank()}{self._inline(leaf)}")
            else:
                self._line(f"{self._dotted((key,))} = {self._inline(value)}")
        for write in later:
            write()

    def _header_table(self, table: Tree, path: tuple[str, ...]) -> None:
        if not table or self._flip() or not all(isinstance(value, dict) for value in table.values()):
            self._line(f"[{self._blank()}{self._dotted(path)}{self._blank()}]")
            self.write(table, path)
        else:
            # a table that only its inner tables name
            for key, value in table.items():
                self._header_table(value, (*path, key))

    def _array_of_tables(self, tables: list[Tree], path: tuple[str, ...]) -> None:
        for table in tables:
            self._line(f"[[{self._dotted(path)}]]")
            self.write(table, path)

    def _line(self, text: str) -> None:
        if self._flip():
            self.lines.append(self._draw(st.sampled_from(_COMMENTS)))
        self.lines.append(f"{self._blank()}{text}{self._draw(st.sampled_from(_COMMENTS))}")

    def _new_key(self) -> str:
        text = self._draw(st.sampled_from(["", "a", "b-c", "_", "é", "a b", "#", "[x]", "a.b", "=", '"', "'", "\\"]))
        return f"{text}k{next(self._number)}k"

    def _dotted(self, keys: tuple[str, ...]) -> str:
        return f"{self._blank()}.{self._blank()}".join(map(self._key, keys))

    def _key(self, key: str) -> str:
        if re.fullmatch("[A-Za-z0-9_-]+", key) and self._flip():
            return key
        return f"'{key}'" if "'" not in key else f'"{key}"'

    def _value(self, depth: int) -> Any:  # noqa: ANN401 - any TOML value
        kinds = ["string", "number", "boolean", "array", "table", "tables"] if depth < 3 else ["string", "number"]
        match self._draw(st.sampled_from(kinds)):
            case "string":
                return "".join(self._draw(st.lists(st.sampled_from([*_PIECES, "\n"]), max_size=4)))
            case "number":
                return self._draw(st.integers(-9, 10**6) | st.sampled_from([0.5, -1e30]))
            case "boolean":
                return self._flip()
            case "array":
                return [self._value(depth + 1) for _ in range(self._draw(st.integers(0, 3)))]
            case "tables":
                return [self.table(depth + 1) for _ in range(self._draw(st.integers(1, 3)))]
            case _:
                return self.table(depth + 1)

    def _inline(self, value: Any, *, one_line: bool = False) -> str:  # noqa: ANN401 - any TOML value
        match value:
            case bool():
                return "true" if value else "false"
            case str():
                return self._string(value)
            case list():
                gap = "" if one_line else self._draw(st.sampled_from(["", " ", "\n", "\n  # ] }\n", " # [\n\t"]))
                items = [gap + self._inline(item, one_line=one_line) + gap for item in value]
                return "[" + ",".join(items) + ("," if items and self._flip() else "") + gap + "]"
            case dict():
                # TOML 1.0 keeps an inline table on one line, but for the strings and arrays within it
                pairs = [f"{self._key(key)} = {self._inline(item, one_line=True)}" for key, item in value.items()]
                return "{ " + ", ".join(pairs) + " }"
            case _:
                return repr(value)

    def _string(self, value: str) -> str:
        forms = [json.dumps(value, ensure_ascii=self._flip())]
        escaped = value.replace("\\", "\\\\")
        if '"""' not in value and not value.startswith("\n"):
            body, quotes = re.fullmatch(r'(.*?)("{0,2})', escaped, re.DOTALL).groups()  # type: ignore[union-attr]
            forms += [f'"""{body}{quotes}"""', f'"""\n{body}{quotes}"""', f'"""\\\n  \n {body}{quotes}"""'][
                : 3 if body.strip() == body and body else 2
            ]
        if "'''" not in value and not value.startswith("\n"):
            forms += [f"'''{value}'''", f"'''\n{value}'''"]
        if "'" not in value and "\n" not in value:
            forms.append(f"'{value}'")
        return self._draw(st.sampled_from(forms))

    def _blank(self) -> str:
        return self._draw(st.sampled_from(["", "", " ", "\t"]))

    def _flip(self) -> bool:
        return self._draw(st.booleans())


def _leaves(table: Tree, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value
