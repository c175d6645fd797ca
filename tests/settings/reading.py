"""How these tests read settings: from text, with an environment and files of the test's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from sluicegate.errors import Fault, SettingsError
from sluicegate.settings import Settings, load

FILE: Final = Path("sluicegate.toml")
KEY: Final = '[stateful_jwt]\nsign_key = "c2VjcmV0"\n'
"""Enough for the settings to stand: a key."""


def read(text: str, *, environ: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None) -> Settings:
    """Load this text as a file that stands in the directory `/etc/gate`."""
    stored = {"/etc/gate/sluicegate.toml": text} | dict(files or {})

    def read_file(path: Path) -> str:
        try:
            return stored[str(path)]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", str(path)) from None

    return load(
        Path("/etc/gate/sluicegate.toml"), environ={"HOME": "/home/op"} | dict(environ or {}), read_file=read_file
    )


def faults(
    text: str, *, environ: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None
) -> list[Fault]:
    """Load what must not stand; return its faults."""
    with pytest.raises(SettingsError) as caught:
        read(text, environ=environ, files=files)
    return list(caught.value.faults)


def fault(text: str, *, environ: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None) -> Fault:
    """Load what has exactly one fault; return it."""
    found = faults(text, environ=environ, files=files)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]
