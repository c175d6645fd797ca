"""Where settings come from, and how a fault names the place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from sluicegate.errors import Fault
from sluicegate.settings.finding import key_name
from sluicegate.settings.toml_lines import KeyPath


@final
@dataclass(frozen=True, slots=True)
class Source:
    """A file, or keyword arguments, which have no lines.

    `renamed` maps each of our keys that stands there under an older name to that name.
    """

    name: str
    lines: Mapping[KeyPath, int] = field(default_factory=dict, repr=False)
    renamed: Mapping[KeyPath, KeyPath] = field(default_factory=dict, repr=False)

    def key(self, loc: KeyPath) -> str:
        """Return the key as it stands there: `[http] thread_pool_size`."""
        return key_name(self.renamed.get(loc, loc))

    def line(self, loc: KeyPath) -> int | None:
        """Return the line of a key, or of the innermost table around it that is there; None where there is neither."""
        path = self.renamed.get(loc, loc)
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return line
        return None

    def fault(self, loc: KeyPath, problem: str, remedy: str) -> Fault:
        """Return the fault of a key."""
        return Fault(self.name, self.line(loc), self.key(loc), problem, remedy)
