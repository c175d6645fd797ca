"""A server that stops answering, and comes back: no answer is made up, and nobody has to restart anything."""

import time
from collections.abc import Iterator

import pytest

from sluicegate.backends.redis.address import Address
from sluicegate.core.flow import Hits
from sluicegate.errors import StateUnavailable
from tests.backends.redis_askers import KINDS, Asker, Opener, opener
from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.redis import Redis, redis_server

TIMEOUT = 0.2
WITHIN = 20.0
KEY = "BLACKLIST:key:4f1c"


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest) -> Iterator[Opener]:
    with opener(request.param) as open_one:
        yield open_one


@pytest.fixture
def asker(opened: Opener, redis: Redis) -> Asker:
    redis.cli("SET", KEY, "cancelled")
    return opened(Address(host=redis.host, port=redis.port), timeout=TIMEOUT)


def healed(asker: Asker) -> Hits:
    """Ask until there is an answer; raises what the last question did when there is none."""
    deadline = time.monotonic() + WITHIN
    while True:
        try:
            return asker.ask(KEY)
        except StateUnavailable:
            if time.monotonic() > deadline:
                raise


def fails(asker: Asker) -> str:
    """Ask, and return what is said of why there is no answer, which must come in time."""
    began = time.monotonic()
    with pytest.raises(StateUnavailable) as failure:
        asker.ask(KEY)
    assert time.monotonic() - began < 10 * TIMEOUT
    return str(failure.value)


def test_a_frozen_server_is_out_of_reach_within_the_deadline_and_answers_again_when_it_thaws(
    asker: Asker, redis: Redis
) -> None:
    assert healed(asker) == {KEY: "cancelled"}
    redis.freeze()
    assert "did not answer within 200 ms" in fails(asker)
    for _ in range(5):
        fails(asker)
    redis.thaw()
    assert healed(asker) == {KEY: "cancelled"}


def test_a_late_reply_answers_no_later_question(asker: Asker, redis: Redis) -> None:
    assert healed(asker) == {KEY: "cancelled"}
    redis.freeze()
    # asked, and answered by the kernel's buffer once the server thaws: "0" for a key that does not stand
    with pytest.raises(StateUnavailable):
        asker.ask("BLACKLIST:key:other")
    redis.thaw()
    for _ in range(50):
        assert healed(asker) == {KEY: "cancelled"}


def test_a_killed_server_is_out_of_reach_and_answers_again_when_it_is_back(asker: Asker, redis: Redis) -> None:
    assert healed(asker) == {KEY: "cancelled"}
    redis.kill()
    for _ in range(5):
        assert "Connection refused" in fails(asker) or "closed the connection" in fails(asker)
    redis.start()
    assert healed(asker) == {}
    redis.cli("SET", KEY, "cancelled")
    assert asker.ask(KEY) == {KEY: "cancelled"}


def test_a_restart_while_nobody_asks_costs_no_question(opened: Opener, redis: Redis) -> None:
    asker = opened(Address(host=redis.host, port=redis.port), timeout=WITHIN)
    assert asker.ask(KEY) == {}
    for _ in range(3):
        redis.restart()
        redis.cli("SET", KEY, "cancelled")
        assert asker.ask(KEY) == {KEY: "cancelled"}


def test_a_connection_that_the_server_ends_is_replaced(opened: Opener, redis: Redis) -> None:
    redis.cli("SET", KEY, "cancelled")
    asker = opened(Address(host=redis.host, port=redis.port), timeout=WITHIN)
    for _ in range(10):
        assert asker.ask_many(*[(KEY,)] * 8) == [{KEY: "cancelled"}] * 8
        redis.cli("CLIENT", "KILL", "TYPE", "normal")


def test_a_first_dial_that_fails_does_not_turn_revocation_off(opened: Opener) -> None:
    with reserved_port() as port:
        asker = opened(Address(host=LOOPBACK, port=port), timeout=TIMEOUT)
        for _ in range(20):
            assert "cannot be reached: Connection refused" in fails(asker)
    with redis_server() as server:
        late = opened(Address(host=server.host, port=server.port), timeout=TIMEOUT)
        server.stop()
        fails(late)
        server.start()
        server.cli("SET", KEY, "cancelled")
        assert healed(late) == {KEY: "cancelled"}


def test_a_server_without_memory_still_answers(opened: Opener) -> None:
    with redis_server(arguments=("--maxmemory-policy", "noeviction")) as server:
        server.cli("SET", KEY, "cancelled")
        server.cli("CONFIG", "SET", "maxmemory", "1")
        asker = opened(Address(host=server.host, port=server.port), timeout=WITHIN)
        assert asker.ask(KEY, "BLACKLIST:sub:alice") == {KEY: "cancelled"}


def test_a_user_who_is_removed_is_shut_out_and_let_in_again_when_he_is_back(opened: Opener, redis: Redis) -> None:
    rule = ("ACL", "SETUSER", "gate", "on", ">s3cret", "~BLACKLIST:*", "+exists", "+getrange")
    redis.cli(*rule)
    redis.cli("SET", KEY, "cancelled")
    login = Address(host=redis.host, port=redis.port, username="gate", password="s3cret")
    asker = opened(login, timeout=TIMEOUT)
    assert healed(asker) == {KEY: "cancelled"}
    redis.cli("ACL", "DELUSER", "gate")
    for _ in range(3):
        assert "WRONGPASS" in fails(asker)
    redis.cli(*rule)
    assert healed(asker) == {KEY: "cancelled"}


def test_no_more_clients_than_the_server_takes(opened: Opener) -> None:
    with redis_server() as server:
        server.cli("SET", KEY, "cancelled")
        server.cli("CONFIG", "SET", "maxclients", "1")
        held = opened(Address(host=server.host, port=server.port), timeout=WITHIN)
        assert healed(held) == {KEY: "cancelled"}
        asker = opened(Address(host=server.host, port=server.port), timeout=WITHIN)
        with pytest.raises(StateUnavailable, match=r"max number of clients|closed the connection|reset"):
            asker.ask(KEY)
        # one refused connection takes nothing from those that stand
        assert held.ask_many(*[(KEY,)] * 8) == [{KEY: "cancelled"}] * 8
        held.close()
        assert healed(asker) == {KEY: "cancelled"}


def test_an_outage_is_reported_with_its_beginning_and_over_when_questions_are_answered(
    asker: Asker, redis: Redis
) -> None:
    assert healed(asker) == {KEY: "cancelled"}
    before = time.time()
    redis.kill()
    fails(asker)
    report = asker.inspect()
    assert not report.reachable
    assert report.since is not None
    assert before <= report.since <= time.time()
    again = asker.inspect()
    assert again.since == report.since
    redis.start()
    healed(asker)
    assert asker.inspect().since is None
    assert asker.inspect().reachable
