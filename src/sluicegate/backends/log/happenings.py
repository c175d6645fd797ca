"""The log of what happens on the way to verdicts: webhooks that fail, breakers that open, keys that are fetched."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final, final

from msgspec import structs

from sluicegate.backends.log.decisions import event as write
from sluicegate.core.events import (
    Attempted,
    BreakerChanged,
    Event,
    Garbled,
    Joined,
    Limited,
    Listening,
    Looked,
    Refreshed,
    UpstreamAnswered,
    UpstreamFailed,
)

AGAIN_AFTER: Final = 1.0
"""Seconds between two lines that say the same: what fails a thousand times a second must not fill the disk too."""

MOST_KINDS: Final = 256


@final
class LogInstrument:
    """Writes events to the log: trouble at warning, once a second and kind; the rest at debug, or not at all."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._said: dict[tuple[str, ...], tuple[float, int]] = {}

    def noted(self, event: Event) -> None:
        """Write one line, or none."""
        match event:
            case Attempted(service=service, outcome="refused" | "failed" | "unnamed" as outcome, detail=detail):
                self._trouble((service, outcome, detail), f"{service}: a call was {outcome}", event)
            case Attempted() | Looked() | Joined():
                return
            case Limited(service=service):
                self._trouble((service, "limited"), f"{service}: asked too often, not asked", event)
            case BreakerChanged(service=service, state=state):
                level = logging.WARNING if state == "open" else logging.INFO
                write(level, f"{service}: the breaker is {state.replace('_', ' ')}", **_fields(event))
            case Listening():
                self._listening(event)
            case Garbled(service=service):
                self._trouble((service, "garbled"), f"{service}: what is no event was passed over", event)
            case Refreshed():
                self._refreshed(event)
            case UpstreamFailed(service=service, cause=cause, detail=detail, out=out):
                self._trouble((service, cause, detail, str(out)), "an upstream failed", event)
            case UpstreamAnswered():
                write(logging.INFO, "an upstream answers again", **_fields(event))

    def _listening(self, event: Listening) -> None:
        service, what = event.service, event.what
        if event.is_on:
            write(logging.INFO, f"{service}: tells of {what}", **_fields(event))
        else:
            self._trouble((service, what, event.detail), f"{service}: does not tell of {what}", event)

    def _refreshed(self, event: Refreshed) -> None:
        service = event.service
        if event.outcome == "failed":
            self._trouble((service, "refresh", event.detail), f"{service}: its keys could not be fetched", event)
            return
        level = logging.DEBUG if event.outcome == "unchanged" else logging.INFO
        write(level, f"{service}: its keys were fetched", **_fields(event))
        for warning in event.warnings:
            write(logging.WARNING, f"{service}: {warning}")

    def _trouble(self, kind: tuple[str, ...], message: str, event: Event) -> None:
        now = self._clock()
        last, left_out = self._said.get(kind, (-AGAIN_AFTER, 0))
        if now - last < AGAIN_AFTER:
            self._said[kind] = (last, left_out + 1)
            return
        if len(self._said) >= MOST_KINDS:  # a service that finds ever new words
            self._said.clear()
        self._said[kind] = (now, 0)
        write(logging.WARNING, message, **_fields(event), like_it_before=left_out)


def _fields(event: Event) -> dict[str, Any]:
    skipped = {"warnings", "what", "is_on"}
    fields = {name: value for name, value in structs.asdict(event).items() if name not in skipped and value != ""}
    if "took" in fields:
        fields["took_ms"] = round(fields.pop("took") * 1000, 3)
    return fields
