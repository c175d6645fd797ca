"""Arguments that several commands take, and how they are read."""

import datetime as dt
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from sluicegate.cli.exits import fail
from sluicegate.core.revocation import Kind, Selector
from sluicegate.settings.quantities import seconds

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="SLUICEGATE_CONFIG", help="The TOML file; without one, the defaults."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Token = Annotated[str, typer.Argument(help="A token; - reads it from standard input, which no process list shows.")]

Jti = Annotated[str | None, typer.Option("--jti", help="The token with this id.")]
Sub = Annotated[str | None, typer.Option("--sub", help="Every token of this subject.")]
Sid = Annotated[str | None, typer.Option("--sid", help="Every token of this session.")]
Client = Annotated[str | None, typer.Option("--client", help="Every token of this client (azp, client_id).")]
Kid = Annotated[str | None, typer.Option("--kid", help="Every token signed with this key id.")]
Iss = Annotated[str | None, typer.Option("--iss", help="Every token of this issuer.")]
Sha256 = Annotated[str | None, typer.Option("--sha256", help="The token with this SHA-256, in hex.")]


_MOST_SECONDS: Final = 10**11
"""The year 5138; what is larger was meant as milliseconds."""


def plain(text: str) -> str:
    """Return a text that steers no terminal: what stands in a store or a token may be anybody's."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def read_token(argument: str) -> str:
    """Return the token given, or read from standard input for `-`; a `Bearer ` before it is taken off."""
    text = (sys.stdin.read() if argument == "-" else argument).strip()
    if text[:7].lower() == "bearer ":
        text = text[7:].strip()
    if not text:
        fail("no token was given; pass it as the argument, or - and pipe it in")
    return text


def selectors(**given: str | None) -> list[Selector]:
    """Return the selectors that were given, by the name of their kind."""
    return [Selector(Kind(kind), value) for kind, value in given.items() if value is not None]


def read_duration(text: str | None, option: str) -> float | None:
    """Return a duration in seconds: `90s`, `24h`, `7d`, or a bare number of seconds; None for none."""
    if text is None:
        return None
    try:
        value: float | None = float(text)
    except ValueError:
        value = seconds(text)
    if value is None or not 0 < value < 10**10:
        fail(f'{option} is "{text}", which is no duration: write 90s, 15m, 24h or 7d')
    return float(value)


def read_moment(text: str | None, option: str) -> float | None:
    """Return a moment in seconds since the epoch: `now`, a number, or ISO 8601; None for none."""
    if text is None:
        return None
    if text == "now":
        return time.time()
    try:
        number = float(text)
    except ValueError:
        number = None
    if number is not None:
        if not 0 <= number < _MOST_SECONDS:  # NaN too; a cut-off in milliseconds would refuse every fresh login
            fail(f'{option} is "{text}", which is no moment in seconds since 1970; milliseconds have three digits more')
        return number
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        fail(f'{option} is "{text}", which is no moment: write now, 2026-01-31T12:00:00Z or seconds since 1970')
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def moment(timestamp: float | None) -> str:
    """Write seconds since the epoch as ISO 8601 in UTC; `never` for None."""
    if timestamp is None:
        return "never"
    try:
        return dt.datetime.fromtimestamp(timestamp, dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return str(timestamp)


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print one JSON value on one line."""
    print(json.dumps(value, default=str))
