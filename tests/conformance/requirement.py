"""Requirements, each declared by the test that holds the gate to it. `docs/conformance.md` is drawn from them."""

from collections.abc import Callable
from typing import Final, Literal, TypeVar, final

import msgspec

Who = Literal["server", "gateway", "recipient", "sender"]
Test = TypeVar("Test", bound=Callable[..., None])


@final
class Requirement(msgspec.Struct, frozen=True):
    """One MUST or MUST NOT, in other words than the RFC's."""

    section: str
    who: Who
    asks: str
    does: str
    test: str


DECLARED: Final[list[Requirement]] = []


def must(section: str, who: Who, asks: str, does: str = "") -> Callable[[Test], Test]:
    """Declare what a test holds the gate to; `does` says what the gate does, where that is more than is asked."""

    def declare(test: Test) -> Test:
        path = test.__module__.replace(".", "/")
        DECLARED.append(Requirement(section, who, asks, does or "as asked", f"{path}.py::{test.__name__}"))
        return test

    return declare
