"""Exit codes, and how an error becomes one. Scripts may rely on them.

| code | meaning |
|---|---|
| 0 | done; admitted; found |
| 1 | refused; not found |
| 2 | the settings or the arguments cannot be served; every fault is on standard error |
| 3 | the revocation store is out of reach |
| 130 | interrupted |
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

import typer

from sluicegate.errors import InvalidSelector, KeyFault, SettingsError, StateUnavailable


class Exit(IntEnum):
    """What the process ends with."""

    DONE = 0
    REFUSED = 1
    FAULT = 2
    UNAVAILABLE = 3


def fail(message: str, code: Exit = Exit.FAULT) -> NoReturn:
    """Say what is wrong on standard error, and end."""
    sys.stderr.write(f"sluicegate: {message}\n")
    raise typer.Exit(code)


@contextmanager
def reported() -> Iterator[None]:
    """Turn our errors into sentences and exit codes. Any other is a defect and shows its traceback."""
    try:
        yield
    except SettingsError as error:
        for fault in error.faults:
            sys.stderr.write(f"{fault}\n")
        count = len(error.faults)
        fail(f"{count} fault{'s' if count != 1 else ''} in the settings; nothing was started")
    except (KeyFault, InvalidSelector) as error:
        fail(str(error))
    except StateUnavailable as error:
        fail(f"the revocation store is out of reach: {error}", Exit.UNAVAILABLE)
