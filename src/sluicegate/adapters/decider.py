"""What a shape of the gate needs of the gate itself, and what one application may ask beyond the gate's own policy."""

import re
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol
from urllib.parse import unquote

from sluicegate.core.decision import Decision
from sluicegate.core.policy import Policy, Requirement
from sluicegate.core.request import Request


class Decider(Protocol):
    """Decides about requests: an `Engine`, or a gate built around one."""

    @property
    def policy(self) -> Policy:
        """The operator's choices."""
        ...

    def begin(self, request: Request, policy: Policy | None = None) -> Decision | Coroutine[Any, Any, Decision]:
        """Decide at once where every answer is at hand, else return a coroutine that will."""
        ...


def policy_for(
    gate: Decider, *, auth: Literal["required", "optional"] | None, require: Requirement | None
) -> Policy | None:
    """Return the gate's policy as one application has it; None where it asks for nothing of its own.

    What is left out stays as the gate has it: naming a scope never makes a token optional, and the other way round.
    """
    if auth is None and require is None:
        return None
    own = gate.policy
    chosen = auth or ("optional" if own.auth == "optional" else "required")
    return own.with_route(auth=chosen, requirement=own.requirement if require is None else require)


def topic_of(pattern: str) -> Callable[[str], str | None]:
    """Return what finds the topic in a path as it was sent: the segment that stands where `pattern` has `{topic}`.

    `pattern` is a route's, `/events/{topic}`; the empty one finds none. Raises `ValueError` for one without `{topic}`.
    """
    if not pattern:
        return lambda _path: None
    before, found, after = pattern.partition("{topic}")
    if not found or not pattern.startswith("/") or "{" in before + after:
        raise ValueError(f'topic is "{pattern}"; write a path with one {{topic}} in it, such as "/events/{{topic}}"')
    match = re.compile(f"{re.escape(before)}([^/]+){re.escape(after)}").fullmatch

    def find(path: str) -> str | None:
        matched = match(path)
        # what is no UTF-8 keeps its bytes, and is then refused as no topic
        return None if matched is None else unquote(matched[1], errors="surrogateescape")

    return find
