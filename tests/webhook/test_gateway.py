"""The webhook behind a running gateway: many clients at once, the breaker in real time, revocation by command."""

import json
import select
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from sluicegate.core.topics import topic_id
from tests.cli.sluicegate import Config, Gateway, bearer, serving
from tests.table.tokens import EXPIRES, mint
from tests.webhook.endpoint import Endpoint, Received, Talk, answers, endpoint
from tests.wire import Wire, connected, request

YES: Final = answers({"valid": True, "user_id": "user123", "expires_at": EXPIRES})
NO: Final = answers({"valid": False, "user_id": None, "expires_at": None})
DOWN: Final = answers(b"", status=500)
ISSUED: Final = 1_700_000_000
TOKEN: Final = mint(iat=ISSUED)


class Held:
    """A webhook that answers nobody before it may."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    def __call__(self, talk: Talk, received: Received) -> bool:
        self.asked.set()
        assert self.may_answer.wait(30)
        return YES(talk, received)


@contextmanager
def gateway(directory: Path, server: Endpoint, keys: str = "") -> Iterator[tuple[Gateway, Config]]:
    path = directory / "sluicegate.toml"
    path.write_text(
        f'state_dir = "{directory}/state"\n'
        '[http]\nbind_address = "127.0.0.1:0"\n[admin]\nbind_address = "127.0.0.1:0"\n'
        f'[jwt_verifier]\nwebhook_url = "{server.url}"\n{keys}\n'
        '[[route]]\npath = "/topics/{topic}"\nrespond = "Hello {http.auth.user.id}!"\n'
    )
    config = Config(path)
    with serving(config) as served:
        yield served, config


def knock(stack: ExitStack, gate: Gateway, token: str) -> Wire:
    """Connect and ask, and leave the answer for later."""
    wire = stack.enter_context(connected(gate.address, within=30))
    wire.send(request("/topics/news", bearer(token)))
    return wire


def reason(wire: Wire) -> str:
    answer = wire.receive()
    return answer.body.decode() if answer.status == 200 else str(json.loads(answer.body)["reason"])


def test_a_thousand_clients_with_one_cold_token_are_one_call_and_leaving_takes_it_from_nobody(tmp_path: Path) -> None:
    held = Held()
    with endpoint(held) as server, gateway(tmp_path, server, "timeout_ms = 60000") as (gate, _), ExitStack() as stack:
        with ExitStack() as leaving:
            knock(leaving, gate, TOKEN)  # whoever asks first is among those who leave
            assert held.asked.wait(30)
            for _ in range(499):
                knock(leaving, gate, TOKEN)
            staying = [knock(stack, gate, TOKEN) for _ in range(500)]
        held.may_answer.set()
        assert Counter(map(reason, staying)) == {"Hello user123!": 500}
        assert len(server.received) == 1
        assert gate.get("/topics/news", bearer(TOKEN)).body == b"Hello user123!"
        assert len(server.received) == 1


def readable(wires: list[Wire], count: int) -> list[Wire]:
    """Wait until so many of them have an answer to read, and return these."""
    ends = time.monotonic() + 30
    while len(found := [wire for wire in wires if select.select([wire.socket], [], [], 0)[0]]) < count:
        assert time.monotonic() < ends, f"{len(found)} of {count} were answered"
        select.select([wire.socket for wire in wires if wire not in found], [], [], 0.1)
    return found


@pytest.mark.timeout(120)
def test_the_breaker_opens_lets_exactly_one_of_two_hundred_through_and_closes(tmp_path: Path) -> None:
    keys = "circuit_breaker_threshold = 5\ncircuit_breaker_timeout_sec = 1\nretry_attempts = 0"
    tokens = (mint(iat=ISSUED, jti=f"other-{number}") for number in range(10**6))

    def ask(gate: Gateway) -> str:
        answer = gate.get("/topics/news", bearer(next(tokens)))
        return answer.body.decode() if answer.status == 200 else str(json.loads(answer.body)["reason"])

    def health(gate: Gateway) -> tuple[str, str]:
        report = json.loads(gate.health().body)
        return report["status"], report["webhook"]["breaker"]

    held = Held()
    with endpoint(YES) as server, gateway(tmp_path, server, keys) as (gate, _), ExitStack() as stack:
        assert gate.get("/topics/news", bearer(TOKEN)).status == 200
        assert health(gate) == ("ok", "closed")
        server.behaviour = DOWN
        assert [ask(gate) for _ in range(5)] == ["webhook_unavailable"] * 5
        opened = time.monotonic()
        assert health(gate) == ("degraded", "open")
        assert [ask(gate) for _ in range(3)] == ["breaker_open"] * 3
        assert gate.get("/topics/news", bearer(TOKEN)).status == 200  # what is remembered works on
        assert len(server.received) == 6
        server.behaviour = held
        threading.Event().wait(opened + 1.1 - time.monotonic())  # this once, in real time
        wires = [knock(stack, gate, next(tokens)) for _ in range(200)]
        refused = readable(wires, 199)
        assert Counter(map(reason, refused)) == {"breaker_open": 199}
        assert health(gate) == ("degraded", "half_open")
        held.may_answer.set()
        (probe,) = set(wires) - set(refused)
        assert reason(probe) == "Hello user123!"
        assert len(server.received) == 7
        assert health(gate) == ("ok", "closed")
        assert [ask(gate) for _ in range(3)] == ["Hello user123!"] * 3
        log = gate.process.output()
    states = [json.loads(line).get("state") for line in log.splitlines() if "the breaker is" in line]
    assert states == ["open", "half_open", "closed"]


def test_what_the_command_line_revokes_is_refused_at_once_while_a_yes_is_remembered_for_an_hour(tmp_path: Path) -> None:
    """RevenProx's trade-off, "higher TTL: delayed revocation", is none here."""
    with endpoint(YES) as server, gateway(tmp_path, server, "cache_ttl_sec = 3600") as (gate, config):
        assert gate.get("/topics/news", bearer(TOKEN)).status == 200
        assert config.run("revoke", "--jti", "key-1", "--reason", "cancelled").code == 0
        refused = gate.get("/topics/news", bearer(TOKEN))
        assert refused.status == 401
        assert json.loads(refused.body)["error"] == "api_key_blacklisted"
        assert refused.header("X-Error-Type") == "api_key_blacklisted"
        assert config.run("restore", "--jti", "key-1").code == 0
        assert gate.get("/topics/news", bearer(TOKEN)).status == 200
        assert len(server.received) == 1


def test_a_yes_to_one_topic_opens_no_other(tmp_path: Path) -> None:
    def only_news(talk: Talk, received: Received) -> bool:
        return (YES if received.json["topic"] == topic_id("news") else NO)(talk, received)

    with endpoint(only_news) as server, gateway(tmp_path, server) as (gate, _):
        for _ in range(2):
            assert gate.get("/topics/news", bearer(TOKEN)).status == 200
            assert gate.get("/topics/others", bearer(TOKEN)).status == 401
        assert gate.get(f"/topics/{topic_id('news')}", bearer(TOKEN)).status == 200
        assert [one.json["topic"] for one in server.received] == [
            topic_id("news"),
            topic_id("others"),
            topic_id("news"),
        ]


def test_explain_says_what_the_webhook_said(tmp_path: Path) -> None:
    with endpoint(NO) as server, gateway(tmp_path, server) as (_, config):
        done = config.run("explain", "-", "--path", "/topics/news", stdin=TOKEN)
        assert done.code == 1
        assert "refused: denied" in done.out
        assert server.received[0].json["jwt"] == TOKEN
        assert TOKEN.rpartition(".")[2] not in done.out
