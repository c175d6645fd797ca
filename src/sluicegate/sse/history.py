"""The last events of one topic, and whether they reach back to where a reader was.

Ids are `<milliseconds>-<number>`, as Redis gives them to the entries of a stream, and grow: without that a reader that
reconnects could not say what it has.
"""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final, final

import msgspec

from sluicegate.ports import EventId

BEGINNING: Final[EventId] = (0, 0)

_OVERHEAD: Final = 256
_ID: Final = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?", re.ASCII)


class Event(msgspec.Struct, frozen=True):
    """An event as it leaves: encoded once, wrapped as one chunk of a response, the same bytes for every reader."""

    id: EventId
    wrapped: bytes


def written(event_id: EventId) -> str:
    """Return an id as it stands on the wire."""
    return f"{event_id[0]}-{event_id[1]}"


def read_id(text: str) -> EventId | None:
    """Read an id; None where it is none of ours. A bare number is the first of its millisecond, as in Redis."""
    matched = _ID.fullmatch(text)
    return None if matched is None else (int(matched[1]), int(matched[2] or 0))


def following(last: EventId, now: float) -> EventId:
    """Return the id of what comes now, at seconds since the epoch: greater than the last, whatever the clock did."""
    milliseconds = int(now * 1000)
    return (milliseconds, 0) if milliseconds > last[0] else (last[0], last[1] + 1)


@final
class History:
    """At most `most` events, none older than `ttl` seconds by its id.

    `lost` is the id up to which something may be missing: whoever has less can be told of a gap, and never that there
    was nothing. `last` is the greatest id ever seen, kept or not.
    """

    __slots__ = ("_events", "_most", "_ttl", "last", "lost", "size")

    def __init__(self, most: int, ttl: float, *, since: EventId) -> None:
        self._most: Final = most
        self._ttl: Final = int(ttl * 1000)
        self._events: Final[deque[Event]] = deque()
        self.lost = since
        self.last = since
        self.size = 0
        """Bytes held, with what holding them takes."""

    def __len__(self) -> int:
        """Return how many events are kept."""
        return len(self._events)

    def add(self, event: Event) -> None:
        """Keep an event that is newer than all before it."""
        self.last = event.id
        self._events.append(event)
        self.size += len(event.wrapped) + _OVERHEAD
        if len(self._events) > self._most:
            self.drop_oldest()
        self.expire(event.id[0])

    def drop_oldest(self) -> None:
        """Forget the oldest, and remember that there was one."""
        oldest = self._events.popleft()
        self.size -= len(oldest.wrapped) + _OVERHEAD
        self.lost = oldest.id

    def precede(self, lost: EventId, events: Sequence[Event]) -> None:
        """Take what came before all that is here, and after `lost`; as much of it as there is room for."""
        room = max(0, self._most - len(self._events))
        taken = events[len(events) - room :] if room < len(events) else events
        self.lost = lost if len(taken) == len(events) else events[len(events) - room - 1].id
        self._events.extendleft(reversed(taken))
        self.size += sum(len(event.wrapped) + _OVERHEAD for event in taken)

    def restart(self, lost: EventId) -> None:
        """Forget all: what comes is after this id, and up to it something may be missing."""
        self._events.clear()
        self.size = 0
        self.lost = self.last = lost

    def expire(self, milliseconds: int) -> None:
        """Forget what is too old at this moment of the ids' clock."""
        events = self._events
        while events and events[0].id[0] < milliseconds - self._ttl:
            self.drop_oldest()

    def reaches(self, after: EventId) -> bool:
        """Tell whether everything after this id is here, and the id is none of the future."""
        return self.lost <= after <= self.last

    def after(self, event_id: EventId, most: int) -> Sequence[Event]:
        """Return the next events after an id, so many at most."""
        events = self._events
        start = bisect_right(events, event_id, key=_id_of)
        return [events[place] for place in range(start, min(start + most, len(events)))]

    @property
    def oldest(self) -> EventId | None:
        """The id of the oldest event that is kept."""
        return self._events[0].id if self._events else None


def _id_of(event: Event) -> EventId:
    return event.id
