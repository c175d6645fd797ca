"""The world of a flow, in one process and without time: a clock that is set, documents under URLs, events told."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from sluicegate.core.flow import Call, FindRevocation, Later, Now, Once, Question, Reply, Tell, Wait
from sluicegate.drive import run
from sluicegate.errors import FetchFailed

if TYPE_CHECKING:
    from sluicegate.core.events import Event

T = TypeVar("T")
URL = "https://issuer.example/keys"


class World:
    """Answers the questions of flows. `now` is in seconds since the epoch; `taking` is what each fetch takes."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.taking = 0.0
        self.replies: dict[str, Reply | FetchFailed] = {}
        self.calls: list[Call] = []
        self.events: list[Event] = []
        self.begun: list[Later] = []

    def publish(self, body: bytes, url: str = URL, *, status: int = 200, **headers: str) -> None:
        """Answer this from now on."""
        named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        self.replies[url] = Reply(status, named, body)

    def fail(self, url: str = URL) -> None:
        """Be out of reach from now on."""
        self.replies[url] = FetchFailed("connection", "no connection: refused")

    def run(self, flow: Generator[Question, Any, T]) -> T:
        """Drive a flow to its end."""
        return run(flow, self.answer)

    def catch_up(self) -> None:
        """Run what was put off until later."""
        begun, self.begun = self.begun, []
        for later in begun:
            self.run(later.flow())

    def answer(self, question: Question) -> Any:  # noqa: ANN401 - it depends on the question
        """Answer one question."""
        answered: Any = None
        match question:
            case Now():
                answered = self.now
            case Call():
                answered = self._fetch(question)
            case Tell(event):
                self.events.append(event)
            case Once(flow=flow):
                answered = self.run(flow())
            case Later():
                if all(later.key is not question.key for later in self.begun):
                    self.begun.append(question)
            case FindRevocation():
                answered = {}
            case Wait(seconds):
                self.now += seconds
        return answered

    def _fetch(self, call: Call) -> Reply:
        self.calls.append(call)
        self.now += self.taking
        reply = self.replies.get(call.url, FetchFailed("connection", "no such host"))
        if isinstance(reply, FetchFailed):
            raise reply
        return reply
