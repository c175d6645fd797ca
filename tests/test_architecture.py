"""Rules of the source that no linter knows, read from its syntax tree. Each names what to do instead.

Who may import whom is in pyproject.toml, as contracts of import-linter.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parents[1] / "src" / "sluicegate"

EVERYTHING: Final = frozenset({"Exception", "BaseException"})

LONGEST: Final = 320
"""Lines of a module."""

MAKERS: Final[Mapping[str, frozenset[str]]] = {
    "Admit": frozenset({"core/decide.py"}),
    "Verified": frozenset({"core/verify.py", "core/webhook.py"}),
}
"""Values that prove something, and the only modules that may make them."""

EMPTY_NAMES: Final = frozenset(
    {"base", "common", "handler", "handlers", "helper", "helpers", "manager", "managers", "misc", "processor"}
    | {"processors", "service", "services", "util", "utils"}
)

PURE_IMPORTS: Final = frozenset(
    {
        "__future__",
        "base64",
        "binascii",
        "collections",
        "contextlib",
        "cryptography",
        "dataclasses",
        "enum",
        "fnmatch",
        "functools",
    }
    | {"hashlib", "hmac", "ipaddress", "itertools", "json", "math", "msgspec", "operator", "re", "sluicegate", "string"}
    | {"struct", "types", "typing", "unicodedata", "uuid"}
)
"""What the core may import: nothing here reads a clock, a file, a socket, the environment or chance.

`uuid` is here for `uuid5`, which is a hash; its other makers are among the `IMPURE_CALLS`.
"""

IMPURE_CALLS: Final = frozenset(
    {"__import__", "breakpoint", "eval", "exec", "globals", "input", "open", "print", "now", "today", "utcnow"}
    | {"getnode", "uuid1", "uuid4", "urandom", "token_bytes", "token_hex", "token_urlsafe"}
)


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the package: its path below it, its text and its syntax tree."""

    path: PurePosixPath
    text: str
    tree: ast.Module

    @property
    def is_core(self) -> bool:
        return self.path.parts[0] == "core"

    @property
    def is_command_line(self) -> bool:
        return self.path.parts[0] in {"cli", "cli.py"}

    def at(self, node: ast.AST, fault: str) -> str:
        return f"src/sluicegate/{self.path}:{getattr(node, 'lineno', 1)}: {fault}"


Rule = Callable[[Module], Iterator[str]]


def module(path: str, text: str) -> Module:
    return Module(PurePosixPath(path), text, ast.parse(text, path))


def called(node: ast.AST) -> str | None:
    """The last word of what a call calls: `Admit` of `decision.Admit(…)`."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name
    return None


def words(expression: ast.expr) -> Iterator[str]:
    """Every name in an expression: `builtins` and `Exception` of `(OSError, builtins.Exception)`, too."""
    for node in ast.walk(expression):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name


def has_one_maker(source: Module) -> Iterator[str]:
    for node in ast.walk(source.tree):
        makers = MAKERS.get(called(node) or "")
        if makers is not None and str(source.path) not in makers:
            yield source.at(
                node,
                f"{called(node)} is made here; it proves something only while {' and '.join(sorted(makers))} alone "
                "make it: ask them for one",
            )


def is_short(source: Module) -> Iterator[str]:
    lines = len(source.text.splitlines())
    if lines > LONGEST:
        yield source.at(source.tree, f"{lines} lines, {LONGEST} at most: a second noun or verb hides in it, cut it out")


def exports_nothing_inside(source: Module) -> Iterator[str]:
    if source.path.name == "__init__.py":
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.Name(id="__all__", ctx=ast.Store()):
                yield source.at(node, "`__all__` outside an `__init__`: put it there, or start private names with `_`")


def catches_what_it_names(source: Module) -> Iterator[str]:
    for node in ast.walk(source.tree):
        match node:
            case ast.ExceptHandler(type=None):
                yield source.at(node, "a bare `except`: name the one cause that has an outcome here")
            case ast.ExceptHandler(type=ast.Name(id="BaseException"), body=[*_, ast.Raise(exc=None)]):
                # Gives back what it holds and lets everything go on: nothing is swallowed.
                continue
            case ast.ExceptHandler(type=ast.expr() as caught) if not EVERYTHING.isdisjoint(words(caught)):
                yield source.at(
                    node,
                    "catches everything: name the one cause that has an outcome here, and let the rest crash; a crash "
                    "is a closed gate",
                )


def suppresses_what_it_names(source: Module) -> Iterator[str]:
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(args=arguments) if called(node) == "suppress":
                if any(not EVERYTHING.isdisjoint(words(argument)) for argument in arguments):
                    yield source.at(node, "suppresses everything: name the one cause that may be ignored")


def is_named_for_what_it_is(source: Module) -> Iterator[str]:
    for part in (*source.path.parent.parts, source.path.stem):
        if part.lstrip("_") in EMPTY_NAMES:
            yield source.at(
                source.tree, f"`{part}` says nothing: use a word of the RFCs, or put it beside the type it serves"
            )


def prints_only_on_the_command_line(source: Module) -> Iterator[str]:
    if source.is_command_line:
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Name(id="print" | "pprint")):
                yield source.at(node, "prints: return the text, or hand a record to the observer")


def imports_the_owner(source: Module) -> Iterator[str]:
    """Our own modules import from the module that owns a name: the package's `__init__` imports them."""
    if str(source.path) == "__init__.py":
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.ImportFrom(module="sluicegate", level=0):
                for alias in node.names:
                    if not ((PACKAGE / alias.name).is_dir() or (PACKAGE / f"{alias.name}.py").is_file()):
                        yield source.at(node, f"imports `{alias.name}` from the package's front: name its module")
            case ast.ImportFrom(level=level) if level:
                yield source.at(node, "a relative import: write `sluicegate.…`, which reads the same everywhere")


def core_imports_only_pure_modules(source: Module) -> Iterator[str]:
    if not source.is_core:
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(module=str(name)):
                imported = [name]
            case _:
                continue
        for name in imported:
            if name.partition(".")[0] not in PURE_IMPORTS:
                yield source.at(
                    node, f"the core imports `{name}`: yield a Question and let a driver answer, or take it as a value"
                )


def core_calls_nothing_impure(source: Module) -> Iterator[str]:
    if not source.is_core:
        return
    for node in ast.walk(source.tree):
        name = called(node)
        if name in IMPURE_CALLS:
            yield source.at(node, f"the core calls `{name}`: take the value as an argument, as `now` is taken")


RULES: Final[tuple[Rule, ...]] = (
    has_one_maker,
    is_short,
    exports_nothing_inside,
    catches_what_it_names,
    suppresses_what_it_names,
    is_named_for_what_it_is,
    prints_only_on_the_command_line,
    imports_the_owner,
    core_imports_only_pure_modules,
    core_calls_nothing_impure,
)

BREAKS: Final[tuple[tuple[Rule, str, str], ...]] = (
    (has_one_maker, "adapters/asgi.py", "Admit(identity=None)"),
    (has_one_maker, "core/check_state.py", "decision.Admit()"),
    (has_one_maker, "core/decide.py", "claims.Verified(id='a')"),
    (is_short, "core/token.py", "\n" * (LONGEST + 1)),
    (exports_nothing_inside, "core/token.py", "__all__ = ['peek']"),
    (exports_nothing_inside, "core/token.py", "__all__: list[str] = []"),
    (catches_what_it_names, "backends/redis/store.py", "try: ...\nexcept: ..."),
    (catches_what_it_names, "backends/redis/store.py", "try: ...\nexcept Exception: ..."),
    (
        catches_what_it_names,
        "backends/redis/store.py",
        "try: ...\nexcept (OSError, builtins.BaseException) as error: ...",
    ),
    (catches_what_it_names, "backends/redis/store.py", "try: ...\nexcept* Exception: ..."),
    (catches_what_it_names, "backends/redis/store.py", "try: ...\nexcept BaseException:\n    if late: raise"),
    (
        catches_what_it_names,
        "backends/redis/store.py",
        "try: ...\nexcept BaseException as error:\n    raise OSError from error",
    ),
    (suppresses_what_it_names, "backends/redis/store.py", "with contextlib.suppress(Exception): ..."),
    (is_named_for_what_it_is, "utils.py", ""),
    (is_named_for_what_it_is, "server/_helpers.py", ""),
    (is_named_for_what_it_is, "common/token.py", ""),
    (prints_only_on_the_command_line, "server/proxy/exchange.py", "print('here')"),
    (imports_the_owner, "cli.py", "from sluicegate import Gate"),
    (imports_the_owner, "core/decide.py", "from .token import peek"),
    (core_imports_only_pure_modules, "core/verify.py", "import time"),
    (core_imports_only_pure_modules, "core/verify.py", "from datetime import datetime"),
    (core_imports_only_pure_modules, "core/verify.py", "def late():\n    import os.path"),
    (core_calls_nothing_impure, "core/verify.py", "open('/etc/passwd')"),
    (core_calls_nothing_impure, "core/verify.py", "datetime.datetime.now()"),
    (core_calls_nothing_impure, "core/verify.py", "print(token)"),
)
"""A rule, and a module that breaks it."""

KEEPS: Final[tuple[tuple[Rule, str, str], ...]] = (
    (has_one_maker, "core/decide.py", "Admit(identity=identity)"),
    (has_one_maker, "core/webhook.py", "Verified(id=user_id)"),
    (has_one_maker, "adapters/asgi.py", "match decision:\n    case Admit(identity=identity): ..."),
    (is_short, "core/token.py", "\n" * LONGEST),
    (exports_nothing_inside, "core/__init__.py", "__all__ = ['Gate']"),
    (catches_what_it_names, "backends/redis/store.py", "try: ...\nexcept (OSError, TimeoutError): ..."),
    (catches_what_it_names, "backends/redis/store.py", "try: ...\nexcept BaseException:\n    close()\n    raise"),
    (suppresses_what_it_names, "backends/redis/store.py", "with contextlib.suppress(FileNotFoundError): ..."),
    (prints_only_on_the_command_line, "cli/demo.py", "print('here')"),
    (imports_the_owner, "engine.py", "from sluicegate.core.token import peek"),
    (core_imports_only_pure_modules, "engine.py", "import time"),
    (core_calls_nothing_impure, "core/keys.py", "key.verify(signature, data)"),
)
"""A rule, and a module that comes close and is right."""


def name_of(value: object) -> str | None:
    return value.__name__ if callable(value) and hasattr(value, "__name__") else None


@pytest.fixture(scope="module")
def package() -> tuple[Module, ...]:
    """Every module of the package, read once."""
    found = sorted(PACKAGE.rglob("*.py"))
    return tuple(module(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in found)


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_the_source_keeps_the_rule(package: tuple[Module, ...], rule: Rule) -> None:
    faults = [fault for source in package for fault in rule(source)]
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize(("rule", "path", "text"), BREAKS, ids=range(len(BREAKS)))
def test_a_module_that_breaks_the_rule_is_found(rule: Rule, path: str, text: str) -> None:
    (fault,) = rule(module(path, text))
    # The place, and what to do instead.
    assert fault.startswith(f"src/sluicegate/{path}:")
    assert ": " in fault.removeprefix(f"src/sluicegate/{path}:")


@pytest.mark.parametrize(("rule", "path", "text"), KEEPS, ids=range(len(KEEPS)))
def test_a_module_that_keeps_the_rule_is_left_alone(rule: Rule, path: str, text: str) -> None:
    assert list(rule(module(path, text))) == []


def test_every_rule_has_a_module_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BREAKS} == set(RULES)


def test_the_package_is_found(package: tuple[Module, ...]) -> None:
    """An empty package would keep every rule."""
    assert {"core/decide.py", "core/verify.py", "errors.py"} <= {str(source.path) for source in package}
