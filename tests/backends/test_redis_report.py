"""A server that may forget a revocation says so, with what would be right."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.store import RedisStore
from sluicegate.ports import StoreReport
from tests.backends.redis_peer import Conversation, peer
from tests.servers.ports import LOOPBACK
from tests.servers.redis import Redis, redis_server


@pytest.fixture(scope="module")
def durable() -> Iterator[Redis]:
    with redis_server(append_only=True, arguments=("--appendfsync", "always")) as server:
        yield server


@pytest.fixture
def configured(durable: Redis) -> Iterator[Redis]:
    """A server that forgets nothing; what a test sets is put back."""
    before = {
        name: durable.cli("CONFIG", "GET", name).partition("\n")[2]
        for name in ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save", "timeout")
    }
    yield durable
    for name, value in before.items():
        durable.cli("CONFIG", "SET", name, value)


def inspected(server: Redis, **options: Any) -> StoreReport:  # noqa: ANN401 - handed on
    store = RedisStore(Address(host=server.host, port=server.port), **options)
    try:
        return store.inspect()
    finally:
        store.close()


def test_a_server_that_forgets_nothing_gives_no_warning(configured: Redis) -> None:
    report = inspected(configured)
    version = configured.cli("INFO", "server").partition("redis_version:")[2].split()[0]
    assert report == StoreReport(kind=f"redis {version} at {configured.address}", reachable=True)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_policy_that_drops_anything_is_warned_of(configured: Redis, policy: str) -> None:
    configured.cli("CONFIG", "SET", "maxmemory-policy", policy, "maxmemory", "100mb")
    (warning,) = inspected(configured).warnings
    assert f"maxmemory-policy is {policy}" in warning
    assert "drops any revocation" in warning
    assert "set it to noeviction" in warning


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_a_policy_that_drops_what_expires_is_warned_of(configured: Redis, policy: str) -> None:
    configured.cli("CONFIG", "SET", "maxmemory-policy", policy)
    (warning,) = inspected(configured).warnings
    assert "drops a revocation that has a time to live" in warning
    assert "as soon as a maxmemory is set" in warning


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("appendonly", "no"), "persistence is off"),
        (("appendonly", "no", "save", "3600 1 300 100"), "only snapshots are kept (save 3600 1 300 100)"),
        (("appendfsync", "everysec"), "a power cut loses the revocations of the last second"),
        (("appendfsync", "no"), "a power cut loses the revocations of the last half minute"),
        (("timeout", "300"), "closes connections after 300 s"),
    ],
)
def test_what_a_restart_or_a_power_cut_forgets_is_warned_of(
    configured: Redis, settings: tuple[str, ...], said: str
) -> None:
    configured.cli("CONFIG", "SET", *settings)
    (warning,) = inspected(configured).warnings
    assert said in warning


def test_replicas_that_nobody_waits_for_are_warned_of(configured: Redis) -> None:
    configured.cli("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    of = ("--replicaof", f"{configured.host} {configured.port}")
    with redis_server(arguments=of) as replica:
        while "state=online" not in configured.cli("INFO", "replication"):
            pass
        (warning,) = inspected(configured).warnings
        assert "durable_replicas is 0" in warning
        assert inspected(configured, durable_replicas=1).warnings == ()
        (warning,) = inspected(configured, durable_replicas=2).warnings
        assert "no revocation can be acknowledged" in warning
        assert any(f"this is a replica of {configured.host}" in warning for warning in inspected(replica).warnings)


def test_what_may_not_be_looked_at_is_one_warning() -> None:
    rules = ["gate on >s3cret ~BLACKLIST:* +exists +getrange", "half on >s3cret ~BLACKLIST:* +exists +getrange +info"]
    with redis_server(users=rules) as server:
        for user, name in (("gate", f"redis at {server.address}"), ("half", "redis ")):
            store = RedisStore(Address(host=server.host, port=server.port, username=user, password="s3cret"))
            report = store.inspect()
            store.close()
            assert report.reachable
            assert report.kind.startswith(name)
            (warning,) = report.warnings
            assert "could be read (NOPERM" in warning
            assert "allow INFO and CONFIG GET" in warning


def test_a_question_that_is_not_answered_is_out_of_reach_though_the_server_is_there() -> None:
    with redis_server(users=["gate on >s3cret ~OTHER:* +@all"]) as server:
        store = RedisStore(Address(host=server.host, port=server.port, username="gate", password="s3cret"))
        report = store.inspect()
        store.close()
        assert not report.reachable
        assert report.since is not None
        assert "NOPERM" in report.warnings[0]


def test_a_server_that_is_not_there_is_reported_and_not_raised() -> None:
    store = RedisStore(Address(host=LOOPBACK, port=1), clock=lambda: 1_700_000_000.0)
    report = store.inspect()
    store.close()
    assert report == StoreReport(
        kind="redis at 127.0.0.1:1",
        reachable=False,
        since=1_700_000_000.0,
        warnings=("redis at 127.0.0.1:1 cannot be reached: Connection refused",),
    )


def _telling(info: str, *settings: bytes) -> Callable[[Conversation], None]:
    def tell(conversation: Conversation) -> None:
        conversation.greet()
        answers = iter(settings)
        while True:
            match conversation.command()[0]:
                case b"EXISTS":
                    conversation.say(b":0\r\n")
                case b"INFO":
                    conversation.say(b"$%d\r\n%b\r\n" % (len(info), info.encode()))
                case _:
                    conversation.say(next(answers))

    return tell


_SAVED = b"*2\r\n$4\r\nsave\r\n$0\r\n\r\n"
_ALWAYS = b"*2\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n"
_NEVER = b"*2\r\n$7\r\ntimeout\r\n$1\r\n0\r\n"


@pytest.mark.parametrize(
    ("info", "settings", "kind", "warnings"),
    [
        (
            "redis_version:7.2.4\r\nvalkey_version:8.1.0\r\naof_enabled:1\r\n",
            (_SAVED, _ALWAYS, _NEVER),
            "valkey 8.1.0",
            [],
        ),
        ("redis_version:5.0.14\r\naof_enabled:1\r\n", (_SAVED, _ALWAYS, _NEVER), "redis 5.0.14", ["older than any"]),
        (
            "redis_version:7.0.15\r\nredis_mode:cluster\r\naof_enabled:1\r\n",
            (_SAVED, _ALWAYS, _NEVER),
            "redis 7.0.15",
            ["one node of a cluster"],
        ),
        # a managed service that answers CONFIG GET with nothing
        ("redis_version:7.0.15\r\naof_enabled:0\r\n", (b"*0\r\n",) * 3, "redis 7.0.15", ["could be read:"]),
        ("", (b"+what?\r\n",) * 3, "redis", ["could be read:"]),
    ],
)
def test_servers_of_other_kinds_are_named_and_judged(
    info: str, settings: tuple[bytes, ...], kind: str, warnings: list[str]
) -> None:
    with peer(_telling(info, *settings)) as other:
        store = RedisStore(Address(host=other.host, port=other.port))
        report = store.inspect()
        store.close()
    assert report.reachable
    assert report.kind == f"{kind} at {other.host}:{other.port}"
    assert len(report.warnings) == len(warnings)
    for said, wanted in zip(report.warnings, warnings, strict=True):
        assert wanted in said
