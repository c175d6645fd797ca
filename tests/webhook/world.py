"""A world for one engine: every port of it, a clock that only waiting and calling move, and what was asked."""

import json
import threading
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, TypeVar

from sluicegate.core.attempts import Terms
from sluicegate.core.decision import Admit, Decision, Refuse
from sluicegate.core.events import Attempted, Event
from sluicegate.core.flow import Call, Reply
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.webhook import Proven, Webhook
from sluicegate.engine import Engine
from sluicegate.errors import FetchFailed
from tests.table.tokens import EXPIRES, NOW

T = TypeVar("T")

URL = "https://auth.example.com/verify"
GONE = FetchFailed("connection", "no connection: Connection refused")

Answering = Callable[[Call], Reply | FetchFailed]


def yes(user_id: object = "user123", expires_at: object = EXPIRES, **more: object) -> Reply:
    return said({"valid": True, "user_id": user_id, "expires_at": expires_at, **more})


def no() -> Reply:
    return said({"valid": False, "user_id": None, "expires_at": None})


def said(answer: Mapping[str, object], status: int = 200) -> Reply:
    return Reply(status, (("content-type", "application/json"),), json.dumps(answer).encode())


class World:
    """An engine with a webhook in it. `answer` is what the webhook says now; a list is what it says in turn."""

    def __init__(
        self,
        answer: Reply | FetchFailed | list[Reply | FetchFailed] | Answering | None = None,
        *,
        policy: Policy | None = None,
        keys: Proven | None = None,
        names: ClaimNames | None = None,
        **terms: Any,  # noqa: ANN401 - those of `Terms`
    ) -> None:
        self.now = float(NOW)
        self.answer = yes() if answer is None else answer
        self.took = 0.0
        """How long a call takes, in seconds."""
        self.revoked: dict[str, str] = {}
        self.calls: list[Call] = []
        self.waits: list[float] = []
        self.events: list[Event] = []
        self.webhook = Webhook(
            Terms(url=URL, **terms), names or ClaimNames(meta=(("tier", "tier"),)), lock=threading.Lock(), keys=keys
        )
        self.engine = Engine(
            policy or Policy(),
            self.webhook,
            state=self,
            clock=lambda: self.now,
            fetcher=self,
            scheduler=self,
            instrument=self,
        )

    # what a test asks

    def decide(self, token: str, topic: str | None = "news", policy: Policy | None = None) -> Decision:
        headers = ((b"authorization", b"Bearer " + token.encode()),)
        return self.engine.decide(Request(headers=headers, topic=topic), policy)

    def outcome(self, token: str, topic: str | None = "news", policy: Policy | None = None) -> str:
        """The user who is let in, or the reason why nobody is."""
        match self.decide(token, topic, policy):
            case Admit(identity=identity):
                return "anonymous" if identity is None else identity.id
            case Refuse(reason=reason):
                return reason.value

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Token and topic of each call."""
        return [(body["jwt"], body["topic"]) for body in (json.loads(call.body) for call in self.calls)]

    @property
    def attempts(self) -> list[str]:
        return [event.outcome for event in self.events if isinstance(event, Attempted)]

    # the ports

    def find(self, keys: tuple[str, ...]) -> dict[str, str]:
        return {key: self.revoked[key] for key in keys if key in self.revoked}

    def fetch(self, call: Call) -> Reply:
        self.calls.append(call)
        self.now += self.took
        answer = self.answer
        if isinstance(answer, list):
            answer = answer.pop(0)
        elif callable(answer):
            answer = answer(call)
        if isinstance(answer, FetchFailed):
            raise answer
        return answer

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def once(
        self,
        _key: Hashable,
        begin: Callable[[], T | Awaitable[T]],
        *,
        within: float,
        joined: Callable[[], object],  # noqa: ARG002 - nobody is there to join
    ) -> T | Awaitable[T]:
        assert within > 0
        return begin()

    def later(self, key: Hashable, begin: Callable[[], object]) -> None:
        raise NotImplementedError(key, begin)

    def noted(self, event: Event) -> None:
        self.events.append(event)
