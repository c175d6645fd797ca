"""What is published is published with a token that is good then, and not only when its request began."""

import json
import threading
from collections.abc import Mapping
from typing import Final, final

import pytest

from sluicegate.backends.memory import MemoryStore
from sluicegate.core.revocation import Entry
from sluicegate.errors import StateUnavailable
from tests.events.gate import WRITER, Streams, bearer, streaming
from tests.events.test_live import Doors
from tests.table.tokens import NOW, mint
from tests.wire import Response, connected, request

TEXT: Final = ("Content-Type", "text/plain")
BODY: Final = b"never" * 10


@final
class Counting:
    """A store that counts what it is asked, and can be taken away."""

    def __init__(self) -> None:
        self.store: Final = MemoryStore()
        self.questions = 0
        self.asked: Final = threading.Semaphore(0)
        self.is_away = False

    def find(self, keys: tuple[str, ...]) -> Mapping[str, str | None]:
        """Answer at once."""
        self.questions += bool(keys)
        self.asked.release()
        if self.is_away:
            raise StateUnavailable("away")
        return self.store.find(keys)


def parts(token: str, *, chunked: bool = False) -> tuple[bytes, bytes]:
    """A publication that comes in two parts: its head with half of its body, and the rest."""
    whole = request("/events/public-x", bearer(token), TEXT, method="POST", body=BODY)
    if chunked:
        head = request("/events/public-x", bearer(token), TEXT, method="POST").removesuffix(b"\r\n")
        whole = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    return whole[:-20], whole[-20:]


def published(hub: Streams) -> int:
    return hub.hub.broker.counts.published


def refused(answer: Response) -> str:
    body = json.loads(answer.body)
    return f"{answer.status} {body['error']} {body['reason']}"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_token_that_is_revoked_while_the_body_comes_publishes_nothing(*, chunked: bool) -> None:
    counting = Counting()
    first, rest = parts(WRITER, chunked=chunked)
    with streaming(asked=counting) as hub, connected(hub.gate.address) as wire:
        wire.send(first)
        assert counting.asked.acquire(timeout=10)  # it has been decided about
        counting.store.put("BLACKLIST:key:writer-1", Entry("abuse"))
        wire.send(rest)
        answer = wire.receive(to="POST")
        assert refused(answer) == "401 api_key_blacklisted revoked"
        assert answer.header("X-Error-Type") == "api_key_blacklisted"
        assert published(hub) == 0
        wire.send(
            request("/events/public-x", bearer(mint(scope="topic:write", jti="w")), TEXT, method="POST", body=b"x")
        )
        assert wire.receive(to="POST").status == 201  # nothing is left of the other


def test_a_token_that_expires_while_the_body_comes_publishes_nothing() -> None:
    counting = Counting()
    first, rest = parts(mint(scope="topic:write", exp=NOW + 60))
    with streaming(asked=counting) as hub, connected(hub.gate.address) as wire:
        wire.send(first)
        assert counting.asked.acquire(timeout=10)
        hub.clock.now = NOW + 60
        wire.send(rest)
        assert refused(wire.receive(to="POST")) == "401 invalid_token expired"
        assert published(hub) == 0


@pytest.mark.parametrize(("state", "said"), [("refuse", 500), ("admit", 201)])
def test_where_the_store_goes_away_while_the_body_comes_the_gate_fails_as_it_is_told(state: str, said: int) -> None:
    counting = Counting()
    first, rest = parts(WRITER)
    with streaming(asked=counting, policy={"state": state}) as hub, connected(hub.gate.address) as wire:
        wire.send(first)
        assert counting.asked.acquire(timeout=10)
        counting.is_away = True
        wire.send(rest)
        assert wire.receive(to="POST").status == said
        assert published(hub) == (said == 201)


@pytest.mark.parametrize(("is_parted", "questions"), [(False, 1), (True, 2)])
def test_only_a_body_that_comes_behind_its_head_costs_another_question(*, is_parted: bool, questions: int) -> None:
    counting = Counting()
    first, rest = parts(WRITER)
    with streaming(asked=counting) as hub, connected(hub.gate.address) as wire:
        for _ in range(2):  # and nothing of one request is left to the next
            before = counting.questions
            if is_parted:
                wire.send(first)
                assert counting.asked.acquire(timeout=10)
                wire.send(rest)
            else:
                wire.send(first + rest)
            assert wire.receive(to="POST").status == 201
            assert counting.questions - before == questions
            while counting.asked.acquire(blocking=False):
                pass


def test_a_body_that_comes_while_the_decision_waits_is_asked_about_too() -> None:
    """The answer that is on its way then is older than the end of the body."""
    doors = Doors()
    first, rest = parts(WRITER)
    with streaming(asked=doors) as hub, connected(hub.gate.address) as wire:
        wire.send(first)
        assert doors.asked.acquire(timeout=10)
        doors.asked.release()
        doors.store.put("BLACKLIST:key:writer-1", Entry("abuse"))
        wire.send(rest)
        hub.gate.turn()
        doors.let()
        doors.let()  # the last question
        assert refused(wire.receive(to="POST")) == "401 api_key_blacklisted revoked"
        assert published(hub) == 0


def test_of_a_client_that_leaves_before_the_last_answer_nothing_is_published() -> None:
    doors = Doors()
    first, rest = parts(WRITER)
    with streaming(asked=doors) as hub:
        with connected(hub.gate.address) as wire:
            wire.send(first)
            doors.let()
            wire.send(rest)
            assert doors.asked.acquire(timeout=10)  # the last question
        hub.gate.empty()
        assert published(hub) == 0


def test_what_came_with_its_head_waits_for_one_answer() -> None:
    doors = Doors()
    with streaming(asked=doors) as hub, connected(hub.gate.address) as wire:
        wire.send(request("/events/public-x", bearer(WRITER), TEXT, method="POST", body=BODY))
        doors.let()
        assert wire.receive(to="POST").status == 201
        assert not doors.asked.acquire(blocking=False)


def test_where_nobody_need_show_a_token_a_body_that_comes_late_is_asked_about_by_nobody() -> None:
    counting = Counting()
    first, rest = parts(WRITER)
    with streaming(asked=counting, policy={"auth": "off"}) as hub, connected(hub.gate.address) as wire:
        wire.send(first.replace(b"Authorization", b"X-Nothing"))
        hub.gate.turn()
        wire.send(rest)
        assert wire.receive(to="POST").status == 201
        assert counting.questions == 0
