"""What RevenProx's `proxy.toml` says in other words: renamed keys, and its mesh, which Redis stands in for."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sluicegate.settings.finding import Finding
from sluicegate.settings.toml_lines import KeyPath

RENAMED: Final[Mapping[tuple[str, str], str]] = {("http", "thread_pool_size"): "workers"}
"""RevenProx's section and key, and our name of the key."""

MESH_SECTIONS: Final = ("nng", "distributed_state", "mesh", "cluster", "gossip", "discovery", "peers")
"""The sections by which RevenProx' nodes find each other."""


class Translated(NamedTuple):
    """A file in our words. `renamed` maps each key that was renamed to where it stands in the file."""

    tree: dict[str, Any]
    renamed: Mapping[KeyPath, KeyPath]
    findings: tuple[Finding, ...]


def translate(tree: Mapping[str, Any]) -> Translated:
    """Return the tree with RevenProx's names replaced, and what to say about them."""
    ours = {name: dict(value) if isinstance(value, Mapping) else value for name, value in tree.items()}
    renamed: dict[KeyPath, KeyPath] = {}
    findings: list[Finding] = []
    for (section, old), new in RENAMED.items():
        table = ours.get(section)
        if not isinstance(table, dict) or old not in table:
            continue
        value = table.pop(old)
        if new in table:
            findings.append(Finding((section, old), f"stands beside {new}, its present name", f"keep {new} alone"))
            continue
        table[new] = value
        renamed[section, new] = (section, old)
        findings.append(Finding((section, new), "is an older name", f"write {new}", serious=False))
    mesh = [name for name in MESH_SECTIONS if isinstance(ours.get(name), dict | list)]
    for name in mesh:
        del ours[name]
    if mesh:
        sections = ", ".join(f"[{name}]" for name in mesh)
        findings.append(
            Finding(
                (mesh[0],),
                f"describes RevenProx's mesh ({sections}), which is not needed here",
                "nodes share revocations and events through one Redis: [stateful_jwt] redis_addr",
                serious=False,
            )
        )
    return Translated(ours, renamed, tuple(findings))
