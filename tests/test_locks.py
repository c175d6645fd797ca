"""What is installed is what was locked: exact, hashed, and from wherever this machine gets its packages."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[1]
LOCKS: Final = ("base", "server", "dev")

PIN: Final = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)((?:.*\\\n)*.*)", re.MULTILINE)
"""A name, a version, and the lines that belong to them."""


def pins(lock: str) -> dict[str, str]:
    """The versions that a lock file names."""
    return {name: version for name, version, _ in PIN.findall(text(lock))}


def text(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.txt").read_text()


def names(requirements: list[Any]) -> set[str]:
    """The packages of a list in pyproject.toml, without their bounds."""
    return {re.split(r"[^A-Za-z0-9-]", line)[0].lower() for line in requirements if isinstance(line, str)}


@pytest.mark.parametrize("lock", [*LOCKS, "fuzz"])
def test_every_pin_carries_hashes_and_no_address(lock: str) -> None:
    assert all("--hash=sha256:" in rest for _, _, rest in PIN.findall(text(lock)))
    assert "://" not in text(lock)
    assert "--index-url" not in text(lock)


def test_the_smaller_locks_are_cut_from_the_largest() -> None:
    base, server, dev = map(pins, LOCKS)
    assert base.items() <= server.items() <= dev.items()


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """When this fails, pyproject.toml was changed after the last `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    base = names(project["project"]["dependencies"])
    server = base | names(extras["server"]) | names(groups["build"])
    assert base <= pins("base").keys()
    assert server <= pins("server").keys()
    assert server | names(groups["dev"]) | names(extras["redis"]) <= pins("dev").keys()


def test_the_server_extra_is_everything() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {line for extra in extras.values() for line in extra} == set(extras["server"])


def test_node_packages_carry_hashes_and_no_address() -> None:
    lock = json.loads((ROOT / "tests" / "interop" / "node" / "package-lock.json").read_text())
    packages = [package for path, package in lock["packages"].items() if path]
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages)
