"""The shape of a decision in progress: a generator that yields questions and is sent their answers.

Pure code asks, a driver answers. A port that cannot answer raises inside the flow (`StateUnavailable`, `FetchFailed`),
at the line that asked.
"""

from collections.abc import Callable, Generator, Hashable, Mapping
from typing import Any, Final, Generic, Literal, TypeVar, overload

import msgspec

from sluicegate.core.events import Event

T = TypeVar("T")

Hits = Mapping[str, str | None]
"""Keys that stand in the store, each with its value; None where a value is there but cannot be read as text."""


class FindRevocation(msgspec.Struct, frozen=True, gc=False):
    """Which of these keys stand in the revocation store? Answered by `Hits`, empty when none does."""

    keys: tuple[str, ...]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What does this URL answer? Answered by a `Reply`, whatever its status; raises `FetchFailed` without one.

    `timeout`, in seconds, bounds the whole exchange, from the name's resolution to the last byte. An answer whose body
    is longer than `max_bytes` is none. Redirects are not followed. `reach`: "public" calls no address that is private,
    local or reserved.
    """

    url: str
    timeout: float
    max_bytes: int
    method: Literal["GET", "POST"] = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    reach: Literal["anywhere", "public"] = "anywhere"

    def __repr__(self) -> str:
        """Show neither headers nor body: tokens and signatures live there."""
        return f"<Call {self.method} {self.url}>"


class Reply(msgspec.Struct, frozen=True):
    """What came back. Header names are lower case, in the order received."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first value of a header, empty where there is none."""
        return next((value for field, value in self.headers if field == name), "")


class Redeem(msgspec.Struct, frozen=True):
    """What is kept under the ticket of this name? Whoever asks has used it up: answered once, and by None after that.

    Raises `StateUnavailable`.
    """

    name: str


class Wait(msgspec.Struct, frozen=True):
    """Let so many seconds pass. Answered by None."""

    seconds: float


class Now(msgspec.Struct, frozen=True):
    """What time is it? Answered in seconds since the epoch. For flows that waited."""


class Tell(msgspec.Struct, frozen=True):
    """Say that this happened, to whoever watches. Answered by None."""

    event: Event


class Once(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What does this flow come to? Asked under one key by many at a time, it runs once, and all get its answer.

    It runs to its end even when those who ask go away; it must therefore end by itself, within `within` seconds.
    Whoever joins it waits no longer than that: then `FetchFailed`. `joined` is told for each of them. What the flow
    raises, all of them get.
    """

    key: Hashable
    flow: "Callable[[], Flow[T]]"
    within: float
    joined: Event | None = None


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """Begin this flow, unless one with its key is on its way, and do not wait for it. Answered by None.

    `Once` with the same key joins it. An error of ours that it raises is dropped: it has to tell of it itself.
    """

    key: Hashable
    flow: "Callable[[], Flow[Any]]"


NOW: Final = Now()

Question = FindRevocation | Redeem | Call | Wait | Now | Tell | Once[Any] | Later
Answer = Any
"""What `ask` has typed: it depends on the question."""

Flow = Generator[Question, Answer, T]


@overload
def ask(question: FindRevocation) -> Flow[Hits]: ...
@overload
def ask(question: Call) -> Flow[Reply]: ...
@overload
def ask(question: Now) -> Flow[float]: ...
@overload
def ask(question: Redeem) -> Flow[bytes | None]: ...
@overload
def ask(question: Wait | Tell | Later) -> Flow[None]: ...
@overload
def ask(question: Once[T]) -> Flow[T]: ...
def ask(question: Question) -> Flow[Any]:
    """Yield one question and return its answer, typed.

    Raises `StateUnavailable` or `FetchFailed` where the driver throws it in.
    """
    return (yield question)
