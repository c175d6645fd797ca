"""The log: one line a decision, from one frozen record. Never a token, a query or a header.

Lines go to the standard logger `sluicegate`, so that an application's own logging takes them; `configure` sets up
the servers' own, as JSON or to be read.
"""

import datetime as dt
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TextIO
from urllib.parse import unquote

from sluicegate.core.decision import Admit, Identity, Reason, Refuse
from sluicegate.ports import Record

LogForm = Literal["auto", "json", "text"]

LOGGER: Final = logging.getLogger("sluicegate")

_FIELDS = "sluicegate_fields"
# Not somebody's bad token but our own trouble: said whether or not blocked requests are logged.
_TROUBLE = frozenset(
    {
        Reason.STATE_UNAVAILABLE,
        Reason.WEBHOOK_UNAVAILABLE,
        Reason.KEYS_UNAVAILABLE,
        Reason.BREAKER_OPEN,
        Reason.VERIFICATION_RATE,
    }
)
# A token begins anywhere in a word that ends in a dot. Whether it ends so is seen once a word, and nothing that was
# taken is given back, so that one pass is enough: looking for the dot behind each `ey`, 8 KiB of them took a second.
_WORD, _DOT = "[0-9A-Za-z_-]", r"(?:\.|%2[eE])"
_TOKEN: Final = re.compile(rf"(?<!{_WORD})(?={_WORD}++{_DOT})({_WORD}*?)ey{_WORD}{{8,}}+(?:{_DOT}{_WORD}*+)++")
_MAYBE_TOKEN: Final = re.compile("%|ey")
_INSTEAD: Final = "<token>"
_MOST_DECODED: Final = 3
_LONGEST_PATH: Final = 1024
ABSENT: Final = "…"
"""Stands where something too long was cut."""

_TROUBLE_EVERY = 1.0
"""Seconds between two lines on the same trouble: a store that is away must not fill the disk too."""


def masked(path: str) -> str:
    """Return a path without tokens. Nobody looks for one there, but clients put them there, and encode them, and again.

    A link to confirm has one, or an address within an address. What was decoded is not written: it may hold anything.
    Nor is what comes after 1,024 characters, and it is cut off first: looking through it would be for nothing.
    """
    if len(path) <= _LONGEST_PATH:
        return _without_tokens(path)
    # half a token is not known by its form, so of the segment that is cut nothing is written from where one may begin
    whole, slash, torn = path[:_LONGEST_PATH].rpartition("/")
    return _without_tokens(whole) + slash + _MAYBE_TOKEN.split(torn, 1)[0] + ABSENT


def _without_tokens(path: str) -> str:
    if "%" not in path:
        return _replaced(path)
    return "/".join(map(_masked, path.split("/")))


def _masked(segment: str) -> str:
    plain = segment
    for _ in range(_MOST_DECODED):
        if "%" not in plain:
            break
        plain = unquote(plain)
        if _TOKEN.search(plain) is not None:
            return _INSTEAD
    return _replaced(segment)


def _replaced(text: str) -> str:
    return _TOKEN.sub(rf"\1{_INSTEAD}", text)


class LogObserver:
    """Writes decisions to the log.

    Admissions are written at level debug; refusals at info, when `log_blocked`; trouble of our own at warning, once
    a second and kind, with the number left out in between.
    """

    def __init__(self, *, log_blocked: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._log_blocked: Final = log_blocked
        self._clock: Final = clock
        self._troubles: dict[str, tuple[float, int]] = {}

    def decided(self, record: Record) -> None:
        """Write one line, or none."""
        decision = record.decision
        if isinstance(decision, Admit):
            if decision.state_unknown:
                self._trouble("admitted, state unknown", record)
            elif LOGGER.isEnabledFor(logging.DEBUG):
                LOGGER.debug("admitted", extra={_FIELDS: _fields(record)})
        elif decision.reason in _TROUBLE:
            self._trouble("refused", record)
        elif self._log_blocked:
            LOGGER.info("refused", extra={_FIELDS: _fields(record)})

    def _trouble(self, message: str, record: Record) -> None:
        decision = record.decision
        kind = decision.reason if isinstance(decision, Refuse) else message
        now = self._clock()
        last, left_out = self._troubles.get(kind, (-_TROUBLE_EVERY, 0))
        if now - last < _TROUBLE_EVERY:
            self._troubles[kind] = (last, left_out + 1)
            return
        self._troubles[kind] = (now, 0)
        LOGGER.warning(message, extra={_FIELDS: _fields(record) | {"like_it_before": left_out}})


def _fields(record: Record) -> dict[str, Any]:
    request, decision = record.request, record.decision
    fields: dict[str, Any] = {
        "id": request.id,
        "client": request.client,
        "method": request.method,
        "path": masked(request.path),
        "source": str(decision.source) if decision.source else None,
    }
    match decision:
        case Admit(identity=Identity() as identity):
            fields |= {"sub": identity.id, "jti": identity.jti, "issuer": identity.issuer}
        case Admit():
            fields["anonymous"] = True
        case Refuse():
            fields |= {"reason": decision.reason.value, "detail": decision.detail or None}
            fields |= {"sub": decision.subject, "jti": decision.jti}
    fields["took_ms"] = round(record.took * 1000, 3)
    return {name: value for name, value in fields.items() if value is not None}


def configure(
    level: str, *, form: LogForm = "auto", stream: TextIO | None = None, source: Mapping[str, Any] | None = None
) -> logging.Handler:
    """Send the log to `stream` (standard error): as JSON, or as text where a person reads it on a terminal.

    `source` is what every line ends with: who of several processes says it. Said again for the same stream, it takes
    the place of what was said before. Returns the handler, for whoever must take it off again.
    """
    out = sys.stderr if stream is None else stream
    handler = _Handler(out)
    as_text = form == "text" or (form == "auto" and out.isatty())
    handler.setFormatter(TextLine(source) if as_text else JsonLine(source))
    for before in list(LOGGER.handlers):
        if isinstance(before, _Handler) and before.stream is out:
            LOGGER.removeHandler(before)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False
    return handler


def event(level: int, message: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write a line that is no decision: a start, a stop, an unsafe setting."""
    LOGGER.log(level, message, extra={_FIELDS: fields})


class _Handler(logging.StreamHandler[TextIO]):
    """Ours: no other is taken off."""


class _Line(logging.Formatter):
    """A line, and whose it is."""

    def __init__(self, source: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.source: Final = dict(source or {})


class JsonLine(_Line):
    """One JSON object a line (RFC 8259); nothing in it can break the line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, message and fields."""
        line = {"time": _stamp(record), "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(line | dict(_extra(record)) | self.source | _traceback(self, record), default=str)


class TextLine(_Line):
    """One line to read: time, level, message, then `name=value`, quoted where a value could mislead."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, message and fields."""
        pairs = (f"{name}={_quoted(value)}" for name, value in {**_extra(record), **self.source}.items())
        line = " ".join((_stamp(record), f"{record.levelname.lower():7}", record.getMessage(), *pairs))
        return line + "".join(f"\n{text}" for text in _traceback(self, record).values())


def _stamp(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, _FIELDS, {})
    return fields


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, str]:
    return {"traceback": formatter.formatException(record.exc_info)} if record.exc_info else {}


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = text.isascii() and text.isprintable() and not set(text) & set(' "=')
    return text if plain and text else json.dumps(text)
