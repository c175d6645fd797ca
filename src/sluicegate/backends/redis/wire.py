"""What is said to one Redis or Valkey, and how its answers are read. No socket, clock or thread: bytes in, bytes out.

RESP2 as Redis 6 and newer speak it on a connection that never said HELLO; RESP3 where something is pushed. Requests are
packed and replies parsed by hiredis; what a reply means is decided here, and whatever is no plain answer means
`StateUnavailable`: an error, a redirection (MOVED, ASK) or a reply of the wrong type is never "not revoked".
"""

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast, final

import hiredis

from sluicegate.backends.redis.address import Address
from sluicegate.core.flow import Hits
from sluicegate.errors import StateUnavailable

Reply = int | bytes | list[object] | hiredis.ReplyError | None

MAX_REPLY_BYTES: Final = 1 << 20
"""How much of one unfinished reply is kept: a reason is a few words, and a garbled length must not fill the memory."""

MAX_VALUE_BYTES: Final = 65_536
"""Of a longer value nothing is read but that it is there, which revokes."""

SCALARS: Final = b"+-:$"
ARRAYS: Final = b"+-:$*"
RESP3: Final = b"+-:$*>%~_#,("
"""What begins a reply, or a push, on a connection that said HELLO 3."""

_MORE: Final = object()
_QUOTED: Final = 160
_NOT_AUTHENTICATED: Final = ("NOAUTH", "WRONGPASS")
# AUTH alone is quoted from this list and no further: a server that does not know the command repeats its arguments,
# and one of them is the password.
_AUTH_CODES: Final = frozenset({"DENIED", "ERR", "LOADING", "MASTERDOWN", "NOAUTH", "NOPERM", "WRONGPASS"})


class _Greeting(NamedTuple):
    """One command of the handshake, and the errors that do not matter, by how they begin."""

    words: tuple[str, ...]
    forgiven: tuple[str, ...] = ()


def _greetings(address: Address) -> tuple[_Greeting, ...]:
    """Only what this login needs: a user who may do nothing but EXISTS and GET is let in."""
    login = (address.username, address.password) if address.username else (address.password,)
    auth = (_Greeting(("AUTH", *login)),) if any(login) else ()
    select = (_Greeting(("SELECT", str(address.db))),) if address.db else ()
    # Always there, so that a handshake always ends with an answer: a peer that accepts and says nothing is no server.
    return (*auth, *select, _Greeting(("CLIENT", "SETNAME", "sluicegate"), ("NOPERM", "ERR unknown", "ERR Unknown")))


_pack: Final = cast("Callable[[tuple[str | bytes | int, ...]], bytes]", hiredis.pack_command)


def pack(*words: str | bytes | int) -> bytes:
    """Return one command. Raises `UnicodeEncodeError` for a lone surrogate."""
    return _pack(words)


def is_error(reply: object) -> bool:
    """Tell whether a reply is an error, of whatever kind."""
    return isinstance(reply, hiredis.ReplyError)


def is_one_of(reply: object, *beginnings: str) -> bool:
    """Tell whether a reply is an error that begins in one of these ways; of none it is never one."""
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith(beginnings)


def text(value: bytes) -> str:
    """Return a stored value as text. Any bytes may stand there, and they revoke whether or not they are UTF-8."""
    return value.decode(errors="replace")


def quoted(reply: object) -> str:
    """Return an error's own words, bounded and without what a terminal or a log would obey."""
    words = "".join(char if char.isprintable() else " " for char in str(reply))
    return words if len(words) <= _QUOTED else f"{words[:_QUOTED]}…"


@final
class Wire:
    """The conversation with one server: it holds no state of any connection, and all may share it."""

    def __init__(self, address: Address) -> None:
        self.address: Final = address
        self._greetings: Final = _greetings(address)
        self.greeting: Final = b"".join(pack(*greeting.words) for greeting in self._greetings)
        self.greeting_replies: Final = len(self._greetings)

    def failure(self, what: str) -> StateUnavailable:
        """Return the one error that any failure becomes. It names the server, and never the login."""
        return StateUnavailable(f"redis at {self.address} {what}")

    def late(self, timeout: float) -> StateUnavailable:
        """Return the error of a deadline that has passed."""
        return self.failure(f"did not answer within {timeout * 1000:g} ms")

    def failed(self, error: OSError) -> StateUnavailable:
        """Translate what a socket raised. What `ssl` raises is an OSError too."""
        match error:
            case TimeoutError():
                what = "did not answer in time"
            case ssl.SSLCertVerificationError():
                what = f"showed a certificate that is not accepted: {error.verify_message}"
            case ssl.SSLError():
                what = f"could not agree on TLS: {(error.reason or 'no reason given').replace('_', ' ').lower()}"
            case socket.gaierror():
                what = f"has a host name that cannot be resolved: {error.strerror}"
            case OSError(errno=int() as number) if number > 0:
                what = f"cannot be reached: {os.strerror(number)}"  # asyncio writes its own text into `strerror`
            case _:
                what = f"cannot be reached: {error}"
        return self.failure(what)

    def admitted(self, replies: Sequence[Reply]) -> None:
        """Judge the answers to `greeting`. Raises `StateUnavailable`, which names the cause and never the password."""
        for greeting, reply in zip(self._greetings, replies, strict=True):
            if reply == b"OK" or is_one_of(reply, *greeting.forgiven):
                continue
            if not is_error(reply):
                raise self.failure(f"is no Redis: it answered {greeting.words[0]} with neither OK nor an error")
            if greeting.words[0] == "AUTH":
                code = str(reply).partition(" ")[0]
                raise self.failure(
                    f"refused the user name or password ({code if code in _AUTH_CODES else 'for no reason we know'})"
                )
            raise self.failure(f"refused the connection: {quoted(reply)}")

    def question(self, keys: Sequence[str]) -> bytes:
        """Ask whether any of these stand: a key of any type and any value counts, where MGET sees strings only."""
        return _pack(("EXISTS", *keys))

    def count(self, reply: Reply, keys: Sequence[str]) -> int:
        """Return how many of the keys stand, from the answer to `question`. Raises `StateUnavailable`."""
        # not isinstance: RESP3's false is a Python int that equals 0
        if type(reply) is int and 0 <= reply <= len(keys):
            return reply
        raise self.failure(f"answered {quoted(reply)}" if is_error(reply) else "answered what was not asked")

    def values(self, keys: Sequence[str]) -> bytes:
        """Ask for what stands under each key, and once more whether it does: a value need not be readable to revoke.

        GETRANGE bounds what comes back. A value of megabytes would take its time from every question on the connection.
        """
        return b"".join(pack("EXISTS", key) + pack("GETRANGE", key, "0", str(MAX_VALUE_BYTES)) for key in keys)

    def values_replies(self, keys: Sequence[str]) -> int:
        """Return how many replies `values` brings."""
        return 2 * len(keys)

    def hits(self, keys: Sequence[str], replies: Sequence[Reply]) -> Hits:
        """Return the keys that stand, from the answers to `values`. Raises `StateUnavailable`."""
        hits: dict[str, str | None] = {}
        for key, stands, value in zip(keys, replies[::2], replies[1::2], strict=True):
            if isinstance(value, bytes):
                # a key that is not there has the empty value too
                if value or self.count(stands, (key,)):
                    hits[key] = text(value) if len(value) <= MAX_VALUE_BYTES else None
            elif is_error(value):
                # WRONGTYPE, or no right to read it: what stands is enough
                if self.count(stands, (key,)):
                    hits[key] = None
            else:
                raise self.failure("answered what was not asked")
        return hits

    def ends(self, reply: Reply) -> bool:
        """Tell whether a connection is worthless after this reply, though the server goes on talking."""
        return is_one_of(reply, *_NOT_AUTHENTICATED)


@final
class Replies:
    """The bytes of one connection, made into replies.

    `kinds` are the first bytes that a reply may begin with. Where no array was asked for none is parsed: hiredis would
    make room for as many elements as one announces.
    """

    def __init__(self, wire: Wire, *, kinds: bytes = SCALARS, bound: int = MAX_REPLY_BYTES) -> None:
        self._wire: Final = wire
        self._kinds: Final = kinds
        self._bound: Final = bound
        self._reader: Final = hiredis.Reader(notEnoughData=_MORE)
        self._is_between = True

    def feed(self, data: bytes) -> list[Reply]:
        """Take in what came, and return the replies that are whole now.

        Raises `StateUnavailable` for what is no reply, or for one that is too long; the connection is of no use then.
        """
        reader = self._reader
        if self._is_between and data[0] not in self._kinds:
            raise self._wire.failure("is no Redis: it answered outside its protocol")
        reader.feed(data)
        try:
            replies = cast("list[Reply]", list(iter(reader.gets, _MORE)))
        except (hiredis.ProtocolError, MemoryError):
            raise self._wire.failure("is no Redis: it answered outside its protocol") from None
        # hiredis takes a reply's first byte out of its buffer before it has the rest, hence the look at the last
        self._is_between = data.endswith(b"\r\n") and not reader.has_data()
        if not self._is_between and reader.len() > self._bound:
            raise self._wire.failure(f"sent a reply of more than {self._bound} bytes")
        return replies
