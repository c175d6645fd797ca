"""What a rule over several keys finds, and whether it can be believed where some of those keys are faulty."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from sluicegate.settings.flaw import quoted
from sluicegate.settings.toml_lines import KeyPath, Step

TABLES: Final = frozenset({"route", "issuer"})
"""The sections of which there may be several."""
SECTIONS: Final = frozenset({"http", "stateful_jwt", "jwt_verifier", "events", "forward_auth", "admin"})
"""The sections of which there is one."""


class Finding(NamedTuple):
    """One thing wrong at `loc`, or, with `serious` false, served and probably not meant.

    `reads` are the other keys that the rule looked at. When one of them is faulty, its value is not the operator's,
    so the finding says nothing.
    """

    loc: KeyPath
    problem: str
    remedy: str
    reads: tuple[KeyPath, ...] = ()
    serious: bool = True

    def is_moot(self, faulty: Iterable[KeyPath]) -> bool:
        """Tell whether it rests on a key that is faulty itself."""
        return any(related(read, loc) for loc in faulty for read in (self.loc, *self.reads))


Findings = Iterator[Finding]


def related(one: KeyPath, other: KeyPath) -> bool:
    """Tell whether two paths are the same, or one lies inside the other."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def key_name(loc: KeyPath) -> str:
    """Write a path the way an operator finds it: `[http] tls.cert_file`, `[[route]] 2: path`, `log_level`."""
    if not loc:
        return "the file"
    section, *rest = loc
    if section in TABLES:
        head = f"[[{section}]]"
        if rest and isinstance(rest[0], int):
            head, rest = f"{head} #{rest[0] + 1}", rest[1:]
    elif rest:
        head = f"[{section}]"
    else:
        return f"[{section}]" if section in SECTIONS else _written(section)
    name = ""
    for step in rest:
        if isinstance(step, int):
            name += f" item {step + 1}"
        else:
            name += f".{_written(step)}" if name else _written(step)
    return f"{head} {name}".strip()


def _written(step: Step) -> str:
    """Write a key as TOML does: bare, or quoted where it must be."""
    text = str(step)
    return text if re.fullmatch("[A-Za-z0-9_-]+", text) else quoted(text)
