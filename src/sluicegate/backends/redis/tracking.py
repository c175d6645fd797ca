"""Which revocations come to stand in Redis, told by Redis itself: client tracking in broadcasting mode (Redis 6).

One connection says which prefixes matter, and the server pushes every key under them that anybody writes, within
fractions of a millisecond. It reads its pushes itself: in the mode that redirects them to another connection they get
lost without a word. Whenever it cannot be sure of having heard everything, everything that is open is asked about: a
feed that is lost means strict, not blind.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Final, final

import msgspec

from sluicegate.backends.changes import Changes
from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.line import Line, keep, opened
from sluicegate.backends.redis.wire import Wire, is_error, pack, quoted
from sluicegate.core.events import Listening
from sluicegate.errors import StateUnavailable
from sluicegate.ports import Inspectable, Instrument, StoreReport

SILENCE: Final = 0.25
"""Seconds that the server may be silent before the feed counts as lost."""

SHORTEST_SILENCE: Final = 0.1
ASK_EVERY: Final = 0.25
"""Seconds between two looks at everything that is open, while nobody tells."""

LOOK_EVERY: Final = 5.0
"""The same while Redis tells. It pushes nothing for SWAPDB, nor where a replica takes up another data set."""

_WHAT: Final = "revocations"
_BOUND: Final = 16 << 20  # keys that were written in one turn of the server's loop come in one push
_REMEDY: Final = (
    "every stream that is open is asked about four times a second meanwhile; use Redis 6 or newer, and allow its user "
    "HELLO and CLIENT TRACKING (+hello +client|tracking)"
)


def distinct(prefixes: Sequence[str]) -> tuple[str, ...]:
    """Return the prefixes without those that another one covers: a server refuses prefixes that overlap."""
    kept: list[str] = []
    for prefix in sorted(set(prefixes), key=len):
        if not any(prefix.startswith(shorter) for shorter in kept):
            kept.append(prefix)
    return tuple(kept)


@final
class TrackingFeed:
    """A `RevocationFeed` on one event loop; `prefixes` are those of the keys that revoke.

    It never ends: while it cannot be told, it says that any key may have been written, every `ask_every` seconds, and
    dials again. `silence` and `look_every` are in seconds; `probe` is a key that the login may ask about.
    """

    def __init__(
        self,
        address: Address,
        *,
        prefixes: Sequence[str],
        probe: str,
        silence: float = SILENCE,
        ask_every: float = ASK_EVERY,
        look_every: float = LOOK_EVERY,
        instrument: Instrument | None = None,
    ) -> None:
        self._wire: Final = Wire(address)
        words = [word for prefix in distinct(prefixes) for word in ("PREFIX", prefix)]
        self._track: Final = pack("CLIENT", "TRACKING", "ON", "BCAST", *words)
        self._probe: Final = probe
        self._silence: Final = max(silence, SHORTEST_SILENCE)
        self._ask_every: Final = ask_every
        self._look_every: Final = look_every
        self._instrument: Final = instrument
        self.is_told = False
        """Redis tells at the moment."""
        self.trouble = ""
        """Why it does not, as a sentence; empty while it does, and before the first attempt."""

    async def changes(self) -> AsyncIterator[str]:
        """Iterate for ever over keys as they are written; empty: any may have been."""
        noted, wake = Changes(), asyncio.Event()
        keeping = asyncio.get_running_loop().create_task(self._keep(noted, wake))
        keeping.add_done_callback(lambda _: wake.set())
        try:
            while True:
                yield ""
                begun = asyncio.get_running_loop().time()
                while await self._is_woken(wake, begun):
                    wake.clear()
                    if keeping.done():
                        keeping.result()  # a defect: whoever listens must know
                    while (key := noted.take()) is not None:
                        yield key
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _is_woken(self, wake: asyncio.Event, begun: float) -> bool:
        """Wait until there is something to tell; False where it is time to look at everything, told of keys or not."""
        due = begun + (self._look_every if self.is_told else self._ask_every)
        try:
            await asyncio.wait_for(wake.wait(), due - asyncio.get_running_loop().time())
        except TimeoutError:
            return False
        return True

    async def _keep(self, noted: Changes, wake: asyncio.Event) -> None:
        """Listen, and listen again whenever the connection has ended."""

        def told(key: str) -> None:
            noted.note(key)
            wake.set()

        def heard(push: list[object]) -> None:
            match push:
                case [b"invalidate", written]:
                    for key in _keys(written):
                        told(key)

        async def up(line: Line) -> None:
            begun = await line.ask(self._track)
            if is_error(begun):
                raise self._wire.failure(f"does not tell what is written: {quoted(begun)}")
            self._changed("")
            told("")  # whatever was written before, nobody has told us

        def down(failure: StateUnavailable) -> None:
            self._changed(str(failure))
            told("")

        def dial() -> Awaitable[Line]:
            return opened(self._wire, heard, probe=self._probe, silence=self._silence, bound=_BOUND)

        await keep(dial, up, down)

    def _changed(self, trouble: str) -> None:
        was_told, self.is_told = self.is_told, not trouble
        if trouble and (was_told or not self.trouble):
            self._note(is_on=False, detail=f"{trouble}; {_REMEDY}")
        elif not trouble:
            self._note(is_on=True)
        self.trouble = f"{trouble}; {_REMEDY}" if trouble else ""

    def _note(self, *, is_on: bool, detail: str = "") -> None:
        if self._instrument is not None:
            service = f"redis at {self._wire.address}"
            self._instrument.noted(Listening(service=service, what=_WHAT, is_on=is_on, detail=detail))


def _keys(told: object) -> list[str]:
    """Return the keys of one push. None in their place means all: the server was flushed."""
    if not isinstance(told, list):
        return [""]
    keys = []
    for raw in told:
        if isinstance(raw, bytes):
            try:
                keys.append(raw.decode())
            except UnicodeDecodeError:
                continue  # no token can name it
    return [key for key in keys if key]


@final
class Watched:
    """An `Inspectable` that says of a store too whether it tells of revocations."""

    def __init__(self, store: Inspectable, feed: TrackingFeed) -> None:
        self._store: Final = store
        self._feed: Final = feed

    def inspect(self) -> StoreReport:
        """Ask the store; takes what its own `inspect` takes."""
        report, trouble = self._store.inspect(), self._feed.trouble
        # a store that is away says so by itself
        if not trouble or not report.reachable:
            return report
        return msgspec.structs.replace(report, warnings=(*report.warnings, trouble))
