"""What happens to Redis while requests pass: the policy says what is answered, and no restart is needed after it."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.attacks.scene import Scene, scene
from tests.cli.sluicegate import bearer
from tests.servers.redis import Redis, redis_server
from tests.wire import connected, request

_RECOVERED_WITHIN: Final = 15.0  # generous: it takes a fraction of a second
_USER: Final = "gate on >pass ~BLACKLIST:* +@all -@dangerous +info"
_ACL: Final = 'redis_username = "gate"\nredis_password = "pass"\n'


@pytest.fixture(scope="module", params=["closed", "open"])
def shaken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A gateway whose Redis meets one accident after another; it fails closed, or open."""
    fail_open = f"fail_open = {json.dumps(request.param == 'open')}\n"
    with (
        redis_server(append_only=True, users=[_USER]) as redis,
        scene(tmp_path_factory.mktemp("shaken"), redis=redis, tokens=_ACL + fail_open) as found,
    ):
        redis.cli("SET", "BLACKLIST:key:revoked", "security")
        yield found
        assert "Traceback" not in found.gateway.process.output()


def _freeze(redis: Redis) -> None:
    redis.freeze()


def _thaw(redis: Redis) -> None:
    redis.thaw()


def _take_acl(redis: Redis) -> None:
    redis.cli("ACL", "SETUSER", "gate", "reset")
    redis.cli("CLIENT", "KILL", "USER", "gate")


def _give_acl(redis: Redis) -> None:
    redis.cli("ACL", "SETUSER", *_USER.split())


def _take_command(redis: Redis) -> None:
    redis.cli("ACL", "SETUSER", "gate", "-exists", "-get", "-pttl", "-type")


def _take_keys(redis: Redis) -> None:
    redis.cli("ACL", "SETUSER", "gate", "resetkeys", "~elsewhere:*")


_AWAY: Final[dict[str, tuple[Callable[[Redis], None], Callable[[Redis], None]]]] = {
    "killed": (Redis.kill, Redis.start),
    "stopped": (Redis.stop, Redis.start),
    "frozen": (_freeze, _thaw),
    "acl": (_take_acl, _give_acl),
    "command": (_take_command, _give_acl),
    "keys": (_take_keys, _give_acl),
}


@contextmanager
def storm(attacked: Scene, token: str) -> Iterator[Counter[tuple[int, str]]]:
    """Send one request after another until the block ends; counts what comes back."""
    ended = threading.Event()
    came: Counter[tuple[int, str]] = Counter()

    def send() -> None:
        with connected(attacked.gateway.address) as wire:
            while not ended.is_set():
                wire.send(request("/x", bearer(token)))
                response = wire.receive()
                came[response.status, "" if response.status == 200 else json.loads(response.body)["reason"]] += 1

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield came
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def verdict(attacked: Scene, token: str) -> tuple[int, str]:
    """Return status and reason of one request."""
    response = attacked.get("/x", bearer(token))
    return response.status, "" if response.status == 200 else json.loads(response.body)["reason"]


def until(attacked: Scene, token: str, wanted: tuple[int, str]) -> None:
    """Ask until this comes back."""
    deadline = time.monotonic() + _RECOVERED_WITHIN
    while (came := verdict(attacked, token)) != wanted:
        assert time.monotonic() < deadline, came


@pytest.mark.parametrize("accident", _AWAY)
def test_a_redis_that_goes_away_and_comes_back(shaken: Scene, accident: str) -> None:
    """While it is away the policy answers, a forgery learns nothing, and afterwards both answers are right again."""
    redis = shaken.redis
    assert redis is not None
    good, revoked = shaken.mint(jti="good"), shaken.mint(jti="revoked")
    fail_open = "fail_open = true" in shaken.config.path.read_text()
    away = (200, "") if fail_open else (500, "state_unavailable")
    until(shaken, good, (200, ""))
    until(shaken, revoked, (401, "revoked"))
    go_away, come_back = _AWAY[accident]
    with storm(shaken, good) as came:
        go_away(redis)
        try:
            until(shaken, revoked, away)
            assert verdict(shaken, good) == away
            assert verdict(shaken, shaken.mint(jti="good") + "x")[0] == 401
            health = json.loads(shaken.gateway.health().body)
            assert health["status"] == "degraded"
        finally:
            come_back(redis)
        until(shaken, good, (200, ""))
        until(shaken, revoked, (401, "revoked"))
    assert set(came) <= {(200, ""), away}
    assert (200, "") in came
    for _ in range(20):
        assert verdict(shaken, revoked) == (401, "revoked")
        assert verdict(shaken, good) == (200, "")
    assert json.loads(shaken.gateway.health().body)["status"] == "ok"


def test_a_revoked_token_is_never_admitted_while_redis_flickers(shaken: Scene) -> None:
    """Connections that are cut at any moment leave no answer for another question."""
    redis = shaken.redis
    assert redis is not None
    revoked = shaken.mint(jti="revoked")
    with storm(shaken, revoked) as came:
        for _ in range(30):
            redis.cli("CLIENT", "KILL", "TYPE", "normal")
    allowed = {(401, "revoked"), (500, "state_unavailable")}
    if "fail_open = true" not in shaken.config.path.read_text():
        assert set(came) <= allowed
    assert (401, "revoked") in came


def test_a_flushed_redis_revokes_nothing_and_answers_on(shaken: Scene) -> None:
    redis = shaken.redis
    assert redis is not None
    redis.cli("SET", "BLACKLIST:key:flushed", "security")
    token = shaken.mint(jti="flushed")
    until(shaken, token, (401, "revoked"))  # the connections of the accident before may still be on their way back
    redis.cli("FLUSHALL")
    assert verdict(shaken, token) == (200, "")
    redis.cli("SET", "BLACKLIST:key:revoked", "security")


def test_a_full_redis_still_answers_and_a_revocation_that_it_refuses_is_not_acknowledged(shaken: Scene) -> None:
    redis = shaken.redis
    assert redis is not None
    redis.cli("CONFIG", "SET", "maxmemory", "1")
    try:
        assert verdict(shaken, shaken.mint(jti="revoked")) == (401, "revoked")
        assert verdict(shaken, shaken.mint(jti="good")) == (200, "")
        done = shaken.config.run("revoke", "--jti", "full")
        assert done.code == 3
        assert "Traceback" not in done.err
    finally:
        redis.cli("CONFIG", "SET", "maxmemory", "0")


def test_a_read_only_redis_still_answers_and_a_revocation_that_it_refuses_is_not_acknowledged(shaken: Scene) -> None:
    redis = shaken.redis
    assert redis is not None
    redis.cli("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        assert verdict(shaken, shaken.mint(jti="revoked")) == (401, "revoked")
        assert verdict(shaken, shaken.mint(jti="good")) == (200, "")
        done = shaken.config.run("revoke", "--jti", "full")
        assert done.code == 3
        assert "Traceback" not in done.err
    finally:
        redis.cli("CONFIG", "SET", "min-replicas-to-write", "0")


@pytest.mark.parametrize("kind", ["list", "hash", "set", "zset", "stream", "empty", "binary", "long", "huge", "deep"])
def test_a_key_of_any_type_and_any_value_revokes(shaken: Scene, kind: str) -> None:
    redis = shaken.redis
    assert redis is not None
    key = f"BLACKLIST:key:odd-{kind}"
    words = {
        "list": ("LPUSH", key, "x"),
        "hash": ("HSET", key, "a", "b"),
        "set": ("SADD", key, "x"),
        "zset": ("ZADD", key, "1", "x"),
        "stream": ("XADD", key, "*", "a", "b"),
        "empty": ("SET", key, ""),
        "binary": ("EVAL", f"return redis.call('SET', '{key}', '\\255\\254\\0\\r\\n')", "0"),
        "long": ("EVAL", f"return redis.call('SET', '{key}', string.rep('x', 500000))", "0"),
        "huge": ("EVAL", f"return redis.call('SET', '{key}', string.rep('x', 2000000))", "0"),
        "deep": ("EVAL", f"return redis.call('SET', '{key}', string.rep('[', 100000))", "0"),
    }[kind]
    redis.cli(*words)
    until(shaken, shaken.mint(jti=f"odd-{kind}"), (401, "revoked"))
    assert verdict(shaken, shaken.mint(jti="good")) == (200, "")


def test_a_gateway_that_starts_before_its_redis_serves_once_it_is_there(tmp_path: Path) -> None:
    with redis_server(users=[_USER]) as redis:
        redis.kill()
        with scene(tmp_path, redis=redis, tokens=_ACL) as found:
            token = found.mint(jti="early")
            assert verdict(found, token) == (500, "state_unavailable")
            redis.start()
            until(found, token, (200, ""))
            found.revoke("early")
            assert verdict(found, token) == (401, "revoked")
