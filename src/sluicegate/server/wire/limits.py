"""The bounds of one listener, and how often one address may ask. Every wait has a deadline, every buffer a size."""

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    connections: int = 100_000
    """Open connections; whoever comes past it is answered 503."""
    request_line: int = 8192
    """A longer one is answered 414."""
    field: int = 8192
    """One header field, or one trailer, name and value; a longer one is answered 431."""
    fields: int = 100
    """Header fields of one request, and as many trailers; more are answered 431."""
    body: int | None = None
    """A longer request body is answered 413; None sets no bound, for bodies are never held whole."""
    buffer: int = 65_536
    """What is held of a body while nobody takes it; past it, reading stops."""

    idle: float = 300
    """Between requests."""
    read_time: float = 300
    """Between two pieces of an upstream's response: it is broken off."""
    head_time: float = 10
    """From the first byte of a head to its last, however they trickle: 408."""
    body_time: float = 30
    """Between two pieces of a request body: 408."""
    decision_time: float = 30
    """A decision whose own deadlines failed: 500."""
    connect_time: float = 5
    """To connect to an upstream: 504."""
    response_time: float = 60
    """From the end of a request to the head of the upstream's response: 504."""
    write_time: float = 30
    """A client that does not read what waits for it is cut off."""
    linger_time: float = 2
    """After a refusal that closes, for a client that still sends: closing at once would reset the connection, and
    the answer would be lost with it (RFC 9112, 9.6)."""
    parting_time: float = 1
    """For what is left of a WebSocket's frame when its token has ended: a close frame can only stand behind it."""
    half_closed_time: float = 1
    """A client that has shut its sending side may be waiting for its answer, or gone: the two look alike. It keeps its
    request for so long, and longer only while response bytes flow."""
    upstream_idle: float = 4
    """An unused connection to an upstream. Shorter than the 5 s after which Node.js and uvicorn close theirs: a POST
    sent into a connection that is just being closed cannot be sent again."""
    upstream_spare: int = 256
    """Unused connections kept to one upstream."""
    upstream_pause: float = 1
    """How long one of several upstreams is left alone when it has failed; longer if it goes on failing."""

    @property
    def head(self) -> int:
        """All header fields together, or trailers, held in memory until the last has come; more is answered 431.

        Four times one field, as nginx has it: room for a token and for cookies, not for a thousand of them.
        """
        return 4 * self.field

    @property
    def shortest(self) -> float:
        """The shortest of the times, to which the sweep's step is fitted."""
        client = (self.idle, self.head_time, self.body_time, self.write_time, self.half_closed_time)
        ends = (self.linger_time, self.parting_time)
        upstream = (self.connect_time, self.response_time, self.read_time, self.upstream_idle, self.upstream_pause)
        return min(*client, *ends, self.decision_time, *upstream)


@final
class Rate:
    """How many requests one address may make: `count` at once, and then as many as trickle in over `window` seconds.

    One number an address (the virtual scheduling algorithm of ATM, ITU-T I.371), so nothing is reset at the edge of a
    window, where twice the limit would slip through. An IPv6 host owns a /64 and is counted by it. At most
    `most_kept` addresses are remembered; past that, the one heard of first is forgotten.
    """

    def __init__(self, count: int, window: float, *, most_kept: int = 65_536) -> None:
        self._step: Final = window / count
        self._window: Final = window
        self._most_kept: Final = most_kept
        self._due: dict[str, float] = {}

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._due)

    def wait(self, address: str, now: float) -> float:
        """Count one request; return 0 to let it pass, or the seconds after which another one would."""
        key = address if ":" not in address else network(address)
        due = max(self._due.get(key, now), now)
        # a hair of tolerance: so many steps make a window but for the last bit
        early = due + self._step - now - self._window * (1 + 1e-9)
        if early > 0:
            return early
        if len(self._due) >= self._most_kept and key not in self._due:
            del self._due[next(iter(self._due))]
        self._due[key] = due + self._step
        return 0.0

    def sweep(self, now: float) -> None:
        """Forget addresses that have not asked for so long that nothing counts against them."""
        self._due = {key: due for key, due in self._due.items() if due > now}


def network(address: str) -> str:
    """Return the /64 of an IPv6 address, which is what one host owns."""
    return IPv6Address(address.partition("%")[0]).exploded[:19]
