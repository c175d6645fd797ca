"""What is written stands as it was meant, for as long as it was meant, and is acknowledged only when it does."""

import itertools
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.ledger import RedisLedger
from sluicegate.core.revocation import Entry, KeyLayout, Kind, Revocation, decode, encode
from sluicegate.errors import StateUnavailable
from tests.backends.redis_peer import Conversation, peer
from tests.servers.ports import LOOPBACK
from tests.servers.redis import Redis, redis_server

KEY = "BLACKLIST:key:4f1c"


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as running:
        yield running


@pytest.fixture
def ledger(server: Redis) -> Iterator[RedisLedger]:
    server.cli("FLUSHALL")
    opened = RedisLedger(Address(host=server.host, port=server.port))
    yield opened
    opened.close()


def ledger_of(server: Redis, **options: Any) -> RedisLedger:  # noqa: ANN401 - handed on
    return RedisLedger(Address(host=server.host, port=server.port), **options)


def cutoff(not_before: float) -> str:
    return encode(Revocation(reason="password changed", not_before=not_before))


def left(server: Redis, key: str = KEY) -> int:
    """Milliseconds that a key has left; -1 for ever, -2 gone."""
    return int(server.cli("PTTL", key))


def test_a_reason_is_written_as_every_other_writer_writes_it(ledger: RedisLedger, server: Redis) -> None:
    ledger.put(KEY, Entry("cancelled", time.time() + 604_800))
    assert server.cli("GET", KEY) == "cancelled"
    assert server.cli("TYPE", KEY) == "string"
    assert 604_790_000 < left(server) <= 604_800_000


def test_an_end_is_kept_to_the_millisecond_and_never_early(ledger: RedisLedger, server: Redis) -> None:
    end = time.time() + 100.0004
    ledger.put(KEY, Entry("cancelled", end))
    # the server's clock is this machine's
    assert int(server.cli("PEXPIRETIME", KEY)) >= math.floor(end * 1000)


def test_an_end_that_stays_does_not_move(server: Redis) -> None:
    server.cli("DEL", KEY)
    # each look at the clock is a quarter of a second after the one before, as on a machine that is far away or busy
    ledger = ledger_of(server, clock=itertools.count(1_700_000_000.0, 0.25).__next__)
    ledger.put(KEY, Entry("cancelled", 1_700_001_000.0))
    written = server.cli("PEXPIRETIME", KEY)
    for reason in ("abuse", "abuse", "security"):
        ledger.put(KEY, Entry(reason, 1_700_000_500.0))
        assert server.cli("PEXPIRETIME", KEY) == written
    assert server.cli("GET", KEY) == "security"
    ledger.close()


def test_a_clock_that_differs_from_the_servers_does_not_shorten_a_revocation(server: Redis) -> None:
    for skew in (-3600, 3600):
        server.cli("DEL", KEY)
        ledger = ledger_of(server, clock=lambda skew=skew: time.time() + skew)
        ledger.put(KEY, Entry("cancelled", time.time() + skew + 100))
        assert 99_000 < left(server) <= 100_000
        assert ledger.put(KEY, Entry("abuse", time.time() + skew + 10)).expires_at == pytest.approx(
            time.time() + skew + 100, abs=1
        )
        assert left(server) > 98_000
        ledger.close()


@pytest.mark.parametrize("end", [1e18, 1e300, math.inf, math.nan])
def test_an_end_beyond_what_redis_can_count_is_as_good_as_never(ledger: RedisLedger, server: Redis, end: float) -> None:
    ledger.put(KEY, Entry("cancelled", end))
    assert server.cli("GET", KEY) == "cancelled"
    assert left(server) == -1 or left(server) > 9 * 10**14


def test_what_another_writer_wrote_only_grows(ledger: RedisLedger, server: Redis) -> None:
    server.cli("SETEX", KEY, "604800", "cancelled")
    ledger.put(KEY, Entry(cutoff(100), time.time() + 10))
    assert server.cli("GET", KEY) == "cancelled"
    assert left(server) > 604_000_000
    server.cli("SET", KEY, "security")
    ledger.put(KEY, Entry("abuse", time.time() + 10))
    assert server.cli("GET", KEY) == "abuse"
    assert left(server) == -1


def test_a_key_of_another_type_is_no_less_of_a_revocation_afterwards(ledger: RedisLedger, server: Redis) -> None:
    server.cli("RPUSH", KEY, "cancelled")
    assert ledger.put(KEY, Entry(cutoff(100))).value == "revoked"
    assert server.cli("GET", KEY) == "revoked"
    server.cli("DEL", KEY)
    server.cli("HSET", KEY, "reason", "cancelled")
    assert ledger.put(KEY, Entry("abuse", time.time() + 10)) == Entry("abuse")
    assert left(server) == -1


def test_a_value_that_stays_stays_byte_for_byte(ledger: RedisLedger, server: Redis) -> None:
    server.cli("EVAL", r"redis.call('SET', KEYS[1], '\255\0\254')", "1", KEY)
    assert ledger.put(KEY, Entry(cutoff(100))).value == "\ufffd\0\ufffd"
    assert server.cli("EVAL", r"return redis.call('GET', KEYS[1]) == '\255\0\254' and 1 or 0", "1", KEY) == "1"


def test_a_writer_who_comes_between_is_not_overwritten(server: Redis) -> None:
    server.cli("FLUSHALL")
    writers, rounds = 6, 40
    start = threading.Barrier(writers)
    ledgers = [ledger_of(server) for _ in range(3)]

    def write(mine: int) -> None:
        start.wait()
        for number in range(rounds):
            ledgers[mine % 3].put(KEY, Entry(cutoff(number * writers + mine), time.time() + 1000 + number))

    with ThreadPoolExecutor(writers) as pool:
        for future in [pool.submit(write, mine) for mine in range(writers)]:
            future.result()
    assert decode(server.cli("GET", KEY)).not_before == rounds * writers - 1
    assert left(server) > 1_000_000 + (rounds - 5) * 1000
    for ledger in ledgers:
        ledger.close()


def test_a_key_that_never_stands_still_is_given_up() -> None:
    def restless(conversation: Conversation) -> None:
        conversation.greet()
        while True:
            match conversation.command()[0]:
                case b"WATCH" | b"MULTI":
                    conversation.say(b"+OK\r\n")
                case b"GET":
                    conversation.say(b"$-1\r\n")
                case b"PTTL":
                    conversation.say(b":-2\r\n")
                case b"SET":
                    conversation.say(b"+QUEUED\r\n")
                case b"EXEC":
                    conversation.say(b"*-1\r\n")

    with peer(restless) as busy:
        ledger = RedisLedger(Address(host=busy.host, port=busy.port), timeout=0.5)
        with pytest.raises(StateUnavailable, match=r"changed by others again and again|did not answer within"):
            ledger.put(KEY, Entry("cancelled"))
        ledger.close()


def test_nothing_is_acknowledged_without_memory_and_what_stands_goes_on_standing() -> None:
    with redis_server(arguments=("--maxmemory-policy", "noeviction")) as server:
        ledger = ledger_of(server)
        ledger.put(KEY, Entry(cutoff(100)))
        server.cli("CONFIG", "SET", "maxmemory", "1")
        for _ in range(2):
            with pytest.raises(StateUnavailable, match="OOM"):
                ledger.put(KEY, Entry("abuse"))
        assert dict(ledger.entries("")) == {KEY: Entry(cutoff(100))}
        server.cli("CONFIG", "SET", "maxmemory", "0")
        assert ledger.put(KEY, Entry("abuse")) == Entry("abuse")
        ledger.close()


def test_a_replica_acknowledges_nothing(server: Redis) -> None:
    with redis_server(arguments=("--replicaof", f"{server.host} {server.port}")) as replica:
        ledger = ledger_of(replica)
        for write in (lambda: ledger.put(KEY, Entry("abuse")), lambda: ledger.remove(KEY)):
            with pytest.raises(StateUnavailable, match="READONLY"):
                write()
        ledger.close()


def test_a_user_without_the_right_to_write_acknowledges_nothing() -> None:
    with redis_server(users=["gate on >s3cret ~BLACKLIST:* +exists +getrange"]) as server:
        ledger = RedisLedger(Address(host=server.host, port=server.port, username="gate", password="s3cret"))
        for write in (
            lambda: ledger.put(KEY, Entry("abuse")),
            lambda: ledger.remove(KEY),
            lambda: list(ledger.entries("")),
        ):
            with pytest.raises(StateUnavailable, match="NOPERM"):
                write()
        assert server.cli("EXISTS", KEY) == "0"
        ledger.close()


def test_the_rights_that_writing_needs_are_those_that_are_documented() -> None:
    rights = "+exists +get +getrange +watch +unwatch +pttl +multi +set +exec +del +scan +wait"
    with redis_server(users=[f"writer on >s3cret ~BLACKLIST:* {rights}"]) as server:
        ledger = RedisLedger(Address(host=server.host, port=server.port, username="writer", password="s3cret"))
        assert ledger.put(KEY, Entry("abuse")) == Entry("abuse")
        assert ledger.put(KEY, Entry("abuse", 1.0)) == Entry("abuse")
        assert ledger.put("BLACKLIST:key:ended", Entry("abuse", 1.0)) == Entry("abuse", 1.0)
        assert dict(ledger.entries("BLACKLIST:")) == {KEY: Entry("abuse")}
        assert ledger.remove(KEY)
        ledger.close()


def test_replicas_that_must_hold_a_write_do_when_it_is_acknowledged() -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(redis_server())
        of = ("--replicaof", f"{primary.host} {primary.port}", "--repl-diskless-sync-delay", "0")
        replicas = [stack.enter_context(redis_server(arguments=of)) for _ in range(2)]
        primary.cli("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        while primary.cli("INFO", "replication").count("state=online") < 2:
            pass
        ledger = ledger_of(primary, durable_replicas=2)
        for number in range(50):
            ledger.put(f"{KEY}:{number}", Entry("cancelled"))
            assert [replica.cli("EXISTS", f"{KEY}:{number}") for replica in replicas] == ["1", "1"]
        assert ledger.remove(f"{KEY}:0")
        assert [replica.cli("EXISTS", f"{KEY}:0") for replica in replicas] == ["0", "0"]
        ledger.close()

        replicas[0].freeze()
        impatient = ledger_of(primary, durable_replicas=2, timeout=1.5)
        with pytest.raises(StateUnavailable, match=r"only 1 of 2 replicas confirmed it .*: it stands now"):
            impatient.put(KEY, Entry("abuse"))
        assert primary.cli("GET", KEY) == "abuse"
        replicas[0].thaw()
        impatient.close()


def test_too_few_replicas_acknowledge_nothing(server: Redis) -> None:
    ledger = ledger_of(server, durable_replicas=1, timeout=1.5)
    with pytest.raises(StateUnavailable, match="only 0 of 1 replicas"):
        ledger.put(KEY, Entry("abuse"))
    assert server.cli("GET", KEY) == "abuse"
    with pytest.raises(StateUnavailable, match="only 0 of 1 replicas"):
        ledger.remove(KEY)
    assert not ledger.remove(KEY)  # nothing was taken away, so nothing has to be replicated
    ledger.close()


def test_a_frozen_server_acknowledges_nothing_and_is_not_waited_for() -> None:
    with redis_server() as server:
        ledger = ledger_of(server, timeout=0.3)
        ledger.put(KEY, Entry("cancelled"))
        server.freeze()
        began = time.monotonic()
        for write in (
            lambda: ledger.put(KEY, Entry("abuse")),
            lambda: ledger.remove(KEY),
            lambda: list(ledger.entries("")),
        ):
            with pytest.raises(StateUnavailable):
                write()
        assert time.monotonic() - began < 9
        server.thaw()
        deadline = time.monotonic() + 20
        while True:
            try:
                ledger.put(KEY, Entry("abuse"))
                break
            except StateUnavailable:
                assert time.monotonic() < deadline
        assert server.cli("GET", KEY) == "abuse"
        ledger.close()


def test_writing_goes_on_after_a_restart_without_a_failure() -> None:
    with redis_server(append_only=True) as server:
        ledger = ledger_of(server)
        for number in range(3):
            ledger.put(f"{KEY}:{number}", Entry("cancelled"))
            server.restart()
        assert ledger.remove(f"{KEY}:0")
        assert {key for key, _ in ledger.entries(KEY)} == {f"{KEY}:1", f"{KEY}:2"}
        ledger.close()


@pytest.mark.parametrize("answer", [b"-ERR no\r\n", b"+OK\r\n", b":1\r\n", b"*0\r\n", b"garbage\r\n", b"$-1\r\n"])
def test_no_strange_answer_is_an_acknowledgement(answer: bytes) -> None:
    def parrot(conversation: Conversation) -> None:
        conversation.greet()
        while True:
            conversation.command()
            conversation.say(answer)

    with peer(parrot) as strange:
        ledger = RedisLedger(Address(host=strange.host, port=strange.port), timeout=2, durable_replicas=2)
        with pytest.raises(StateUnavailable):
            ledger.put(KEY, Entry("abuse"))
        with pytest.raises(StateUnavailable):
            ledger.remove(KEY)
        with pytest.raises(StateUnavailable):
            list(ledger.entries(""))
        ledger.close()


def test_a_server_that_is_not_there_acknowledges_nothing() -> None:
    ledger = RedisLedger(Address(host=LOOPBACK, port=1))
    with pytest.raises(StateUnavailable, match="Connection refused"):
        ledger.put(KEY, Entry("abuse"))
    ledger.close()


def test_a_listing_holds_the_server_up_no_longer_than_a_page_takes(ledger: RedisLedger, server: Redis) -> None:
    server.cli("EVAL", "for n = 1, 20000 do redis.call('SET', KEYS[1] .. n, 'cancelled') end", "1", f"{KEY}:")
    server.cli("CONFIG", "RESETSTAT")
    assert len(dict(ledger.entries(KEY))) == 20_000
    statistics = server.cli("INFO", "commandstats")
    assert "cmdstat_keys" not in statistics
    calls = int(statistics.partition("cmdstat_scan:calls=")[2].partition(",")[0])
    assert calls >= 20


def test_a_listing_skips_keys_that_name_no_token_and_shows_every_type(ledger: RedisLedger, server: Redis) -> None:
    layout = KeyLayout()
    server.cli("SET", layout.prefix(Kind.JTI) + "plain", "cancelled")
    server.cli("SADD", layout.prefix(Kind.JTI) + "set", "cancelled")
    server.cli("EVAL", r"redis.call('SET', 'BLACKLIST:key:\255', 'x')", "0")
    assert dict(ledger.entries(layout.prefix(Kind.JTI))) == {
        layout.prefix(Kind.JTI) + "plain": Entry("cancelled"),
        layout.prefix(Kind.JTI) + "set": Entry("revoked"),
    }
