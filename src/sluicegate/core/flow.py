"""The shape of a decision in progress: a generator that yields questions and is sent their answers.

Pure code asks, a driver answers. A port that cannot answer raises inside the flow (`StateUnavailable`), at the
line that asked.
"""

from collections.abc import Generator, Mapping
from typing import TypeVar

import msgspec

T = TypeVar("T")

Hits = Mapping[str, str | None]
"""Keys that stand in the store, each with its value; None where a value is there but cannot be read as text."""


class FindRevocation(msgspec.Struct, frozen=True):
    """Which of these keys stand in the revocation store? Answered by `Hits`, empty when none does."""

    keys: tuple[str, ...]


Question = FindRevocation
Answer = Hits
Flow = Generator[Question, Answer, T]


def ask(question: FindRevocation) -> Flow[Hits]:
    """Yield one question and return its answer, typed.

    Raises `StateUnavailable` where the driver throws it in.
    """
    return (yield question)
