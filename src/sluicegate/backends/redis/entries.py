"""How events stand in Redis, and how they are told there: names, the script that publishes, entries read back. Pure.

A topic's history is a stream. Each entry names the one before it (`p`), so that whoever reads on from an id sees if
anything between has been trimmed away; `e` is the event's name, `d` its data. What is read was written by another node,
or by nobody knows whom, so it is judged as a publisher's words are: what is no event is none.
"""

import re
from typing import Final, final

import msgspec

from sluicegate.backends.redis.wire import Reply, pack
from sluicegate.core.topics import EVENTS_PREFIX
from sluicegate.ports import EventId, Kept, Stretch
from sluicegate.sse.event import InvalidEvent, chunk, encode, published_name, text_of
from sluicegate.sse.history import BEGINNING, written

LARGEST: Final = 1 << 25
"""Bytes of the longest data that is believed to be some node's event: nobody may configure half as much."""

_PAGE_BYTES: Final = 4 << 20
_LONGEST_PAGE: Final = 256
_SHORT: Final = 100
_ID: Final = re.compile(rb"([0-9]{1,19})-([0-9]{1,19})")
_LAST_NUMBER: Final = 2**64 - 1

# XADD, then PUBLISH, in one step: what is told has the order of the stream, on every node. XADD is the first write: a
# server that is full refuses no later one. When anything after it is refused, what was added is taken back.
_PUBLISH: Final = """
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local before = newest and newest[1] or ''
local id = redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], ARGV[3], '*', 'p', before, 'e', ARGV[5], 'd', ARGV[6])
local lives = redis.pcall('PEXPIRE', KEYS[1], ARGV[4])
local told = lives
if type(lives) == 'number' then
  told = redis.pcall('PUBLISH', ARGV[1], id .. ' ' .. before .. '\\n' .. ARGV[5] .. '\\n' .. ARGV[6])
end
if type(told) ~= 'number' then
  redis.pcall('XDEL', KEYS[1], id)
  return told
end
redis.pcall('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', tonumber(string.match(id, '^%d+')) - ARGV[4]))
return id
"""

# Names the data set that a server holds: another one has another name.
_NAME: Final = "redis.call('SET', KEYS[1], ARGV[1], 'NX') return redis.call('GET', KEYS[1])"


class Entry(msgspec.Struct, frozen=True):
    """An entry of a stream. `before`: the id of the one before it, None for the first. `wrapped`: None for no event."""

    id: EventId
    before: EventId | None
    wrapped: bytes | None

    def is_after(self, last: EventId) -> bool:
        """Tell whether nothing is missing between that id and this entry, in one and the same stream."""
        return self.before is not None and self.before <= last

    @property
    def lost(self) -> EventId:
        """Up to where something may be missing before it."""
        return just_before(self.id) if self.before is None else self.before


def just_before(event_id: EventId) -> EventId:
    """Return the greatest id that is less."""
    milliseconds, number = event_id
    return (milliseconds, number - 1) if number else (max(milliseconds - 1, 0), _LAST_NUMBER)


@final
class Entries:
    """The topics of one database; `history` events are kept of each, for `ttl` milliseconds, `largest` bytes each."""

    def __init__(self, *, db: int, history: int, ttl: int, largest: int) -> None:
        self.history: Final = history
        self.ttl: Final = ttl
        # every database of a server hears the same channels
        self._channels: Final = f"{EVENTS_PREFIX}{db}:"
        self.page: Final = max(1, min(_LONGEST_PAGE, _PAGE_BYTES // largest))
        """How many entries are read at once."""
        # trimming to the letter is cheap where a stream is short, and "about" is up to a hundred too many
        self._trim: Final = "~" if history >= _SHORT else "="

    def channel(self, topic: str) -> str:
        """Return what is published to and subscribed."""
        return self._channels + topic

    @staticmethod
    def key(topic: str) -> str:
        """Return where the history stands."""
        return f"{EVENTS_PREFIX}topic:{topic}"

    def publish(self, topic: str, data: str, event: str) -> bytes:
        """Add an event and tell of it; the answer is its id."""
        where = (self.key(topic), self.channel(topic))
        return pack("EVAL", _PUBLISH, 1, *where, self._trim, self.history, self.ttl, event, data)

    @staticmethod
    def name(ours: str) -> bytes:
        """Ask for the name of the data set, and name it so if it has none."""
        return pack("EVAL", _NAME, 1, f"{EVENTS_PREFIX}name", ours)

    def newest(self, topic: str) -> bytes:
        """Ask for the last entry."""
        return pack("XREVRANGE", self.key(topic), "+", "-", "COUNT", 1)

    def after(self, topic: str, last: EventId, upto: EventId | None = None) -> bytes:
        """Ask for a page of what comes after an id."""
        end = "+" if upto is None else written(upto)
        return pack("XRANGE", self.key(topic), f"({written(last)}", end, "COUNT", self.page)

    def read(self, reply: Reply) -> list[Entry] | None:
        """Read entries, in their order; None for an answer that is no list of them."""
        if type(reply) is not list:
            return None
        entries = [_entry(raw) for raw in reply]
        whole = [entry for entry in entries if entry is not None]
        return whole if len(whole) == len(entries) else None

    def told(self, payload: object) -> Entry | None:
        """Read what was published; None for what is no message of ours."""
        if not isinstance(payload, bytes):
            return None
        head, _, rest = payload.partition(b"\n")
        name, _, data = rest.partition(b"\n")
        id_, _, before = head.partition(b" ")
        event_id = read_id(id_)
        return None if event_id is None else Entry(event_id, read_id(before), _wrapped(event_id, name, data))

    def stretch(self, entries: list[Entry], after: EventId, upto: EventId, *, oldest: int) -> Stretch:
        """Make a page of entries into what readers get. `oldest`: what is before these milliseconds is too old."""
        is_whole = len(entries) >= self.page
        lost = after
        events: list[Kept] = []
        for entry in entries:
            if not events and not entry.is_after(lost):
                lost = max(lost, entry.lost)
            if entry.id[0] < oldest:
                lost = entry.id
            elif entry.wrapped is not None:
                events.append((entry.id, entry.wrapped))
        if not entries:
            lost = upto
        return Stretch(lost, entries[-1].id if is_whole else upto, tuple(events))


def read_id(raw: object) -> EventId | None:
    """Read an id as Redis writes it; None for anything else."""
    matched = _ID.fullmatch(raw) if isinstance(raw, bytes) else None
    return None if matched is None else (int(matched[1]), int(matched[2]))


def _entry(raw: object) -> Entry | None:
    match raw:
        case [bytes() as id_, [*fields]]:
            event_id = read_id(id_)
            said = dict(zip(fields[::2], fields[1::2], strict=False))
            if event_id is not None:
                before = read_id(said.get(b"p"))
                return Entry(event_id, before, _wrapped(event_id, said.get(b"e"), said.get(b"d")))
    return None


def _wrapped(event_id: EventId, name: object, data: object) -> bytes | None:
    """Write an event as readers get it; None for what no publisher may say."""
    if not isinstance(name, bytes) or not isinstance(data, bytes) or len(data) > LARGEST or event_id <= BEGINNING:
        return None
    try:
        return chunk(encode(text_of(data), event=published_name(text_of(name)), event_id=written(event_id)))
    except InvalidEvent:
        return None
