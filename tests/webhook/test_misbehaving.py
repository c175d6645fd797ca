"""A webhook that hangs, trickles, lies, floods, redirects or talks nonsense: nobody is let in or waits for long."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from sluicegate import AsyncGate, Gate, Refuse
from sluicegate.core.request import Request
from tests.cli.sluicegate import Config, Gateway, bearer, serving
from tests.servers.ports import reserved_port
from tests.table.tokens import EXPIRES, mint
from tests.webhook.endpoint import Behaviour, Received, Talk, answers, endpoint, floods, says, trickles

TOKEN: Final = mint(iat=1_700_000_000)
TIMEOUT_MS: Final = 300
RETRIES: Final = 1
BOUND: Final = 6.0
"""Seconds; two calls of 0.3 s and a pause of 0.1 s, on a machine that does other things too."""

GOOD: Final = json.dumps({"valid": True, "user_id": "user123", "expires_at": EXPIRES}).encode()


def head(length: int | str, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()


def redirects(talk: Talk, request: Received) -> bool:
    """To itself, with a body that says yes."""
    location = f"Location: http://{request.headers['host']}/verify\r\n"
    return answers(GOOD, status=307, headers=location)(talk, request)


UNAVAILABLE: Final[dict[str, Behaviour]] = {
    "hangs": says(then="hang"),
    "hangs in the middle of a yes": says(head(len(GOOD)), GOOD[:-1], then="hang"),
    "trickles": trickles(head(10_000) + b'{"valid": true, "user_id": "u", "x": "', b"x"),
    "trickles headers": trickles(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "promises more than it sends": says(head(len(GOOD) + 100) + GOOD),
    "promises less than it sends": says(head(len(GOOD) - 5) + GOOD),
    "redirects to itself": redirects,
    "answers 200 with HTML": answers(b"<html><title>Sign in</title>" + GOOD + b"</html>"),
    "answers nothing": answers(b""),
    "says yes in words": answers({"valid": "yes", "user_id": "user123", "expires_at": EXPIRES}),
    "says 1": answers({"valid": 1, "user_id": "user123", "expires_at": EXPIRES}),
    "says yes and no": answers(b'{"valid": true, "user_id": "user123", "valid": false}'),
    "says when in words": answers({"valid": True, "user_id": "user123", "expires_at": "tomorrow"}),
    "sends a gigabyte": floods(head(2**30) + GOOD[:-1], b" " * 65_536),
    "sends chunks without end": floods(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"ffff\r\n" + b" " * 65_535 + b"\r\n"
    ),
    "compresses": answers(GOOD, headers="Content-Encoding: gzip\r\n"),
    "closes at once": says(b""),
    "talks another protocol": says(b"220 mail.example.com ESMTP\r\n"),
    "says yes with 500": answers(GOOD, status=500),
    "says yes with 203": answers(GOOD, status=203),
    "says no with 403": answers({"valid": False}, status=403),
}

REFUSED: Final[dict[str, tuple[Behaviour, str]]] = {
    "says no": (answers({"valid": False, "user_id": None, "expires_at": None}), "denied"),
    "says yes to nobody": (answers({"valid": True, "expires_at": EXPIRES}), "user_claim"),
    "says yes to null": (answers({"valid": True, "user_id": None, "expires_at": EXPIRES}), "user_claim"),
    "says yes to blanks": (answers({"valid": True, "user_id": "  ", "expires_at": EXPIRES}), "user_claim"),
    "says yes until a moment that is over": (answers({"valid": True, "user_id": "u", "expires_at": 1}), "expired"),
}

ROWS: Final = {name: (behaviour, "webhook_unavailable") for name, behaviour in UNAVAILABLE.items()} | REFUSED


def threaded(url: str, directory: Path) -> str:
    with Gate(state_dir=str(directory), jwt_verifier=keys(url)) as gate:
        decision = gate.decide(asking())
    assert isinstance(decision, Refuse)
    return decision.reason.value


def awaited(url: str, directory: Path) -> str:
    async def ask() -> str:
        async with AsyncGate(state_dir=str(directory), jwt_verifier=keys(url)) as gate:
            decision = await gate.decide(asking())
        assert isinstance(decision, Refuse)
        return decision.reason.value

    return asyncio.run(ask())


def keys(url: str) -> dict[str, object]:
    return {"webhook_url": url, "timeout_ms": TIMEOUT_MS, "retry_attempts": RETRIES}


def asking() -> Request:
    return Request(headers=((b"authorization", b"Bearer " + TOKEN.encode()),), topic="news")


@pytest.mark.parametrize("ask", [threaded, awaited])
@pytest.mark.parametrize(("behaviour", "reason"), ROWS.values(), ids=ROWS)
def test_nobody_is_let_in_and_nobody_waits_long(
    ask: Callable[[str, Path], str], behaviour: Behaviour, reason: str, tmp_path: Path
) -> None:
    with endpoint(behaviour) as server:
        began = time.monotonic()
        assert ask(server.url, tmp_path) == reason
        assert time.monotonic() - began < BOUND
        assert 1 <= len(server.received) <= 1 + RETRIES


@contextmanager
def gateway(directory: Path, url: str) -> Iterator[Gateway]:
    path = directory / "sluicegate.toml"
    path.write_text(
        f'state_dir = "{directory}/state"\n'
        '[http]\nbind_address = "127.0.0.1:0"\n[admin]\nbind_address = "127.0.0.1:0"\n'
        f'[jwt_verifier]\nwebhook_url = "{url}"\ntimeout_ms = {TIMEOUT_MS}\nretry_attempts = {RETRIES}\n'
        "circuit_breaker_threshold = 1000\nnegative_cache_ttl_sec = 0\n"
        '[[route]]\npath = "/topics/{topic}"\nrespond = "Hello {http.auth.user.id}!"\n'
    )
    with serving(Config(path)) as served:
        yield served


def test_through_the_gateway_each_is_401_or_503_and_the_log_says_why_without_the_token(tmp_path: Path) -> None:
    with endpoint(answers(GOOD)) as server, gateway(tmp_path, server.url) as gate:
        for behaviour, reason in ROWS.values():
            server.behaviour = behaviour
            began = time.monotonic()
            answer = gate.get("/topics/news", bearer(TOKEN))
            assert time.monotonic() - began < BOUND
            told = json.loads(answer.body)
            assert told["reason"] == reason
            assert answer.status == (503 if reason == "webhook_unavailable" else 401)
            if answer.status == 503:
                assert told["error"] == "auth_unavailable"
                assert int(answer.header("Retry-After") or 0) >= 1
        server.behaviour = answers(GOOD)
        assert gate.get("/topics/news", bearer(TOKEN)).body == b"Hello user123!"
        log = gate.process.output()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    details = {line.get("detail", "") for line in lines if line["message"].startswith("webhook: a call was")}
    assert {"answered 307", "answered 500", "answered 403", 'answered without "valid": true or false'} <= details
    assert any("no whole answer within 0.3 s" in detail for detail in details)
    for part in TOKEN.split("."):
        assert part not in log


def test_a_webhook_that_is_not_there_is_503_and_the_log_says_so(tmp_path: Path) -> None:
    with reserved_port() as port, gateway(tmp_path, f"http://127.0.0.1:{port}/verify") as gate:
        answer = gate.get("/topics/news", bearer(TOKEN))
        assert (answer.status, json.loads(answer.body)["reason"]) == (503, "webhook_unavailable")
        assert "Connection refused" in gate.process.output()
        assert TOKEN.rpartition(".")[2] not in gate.process.output()
