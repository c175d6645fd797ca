"""What a question finds, and what no answer may be taken for: a real server, and every way of asking it."""

from collections.abc import Iterator

import pytest

from sluicegate.backends.redis.address import Address
from sluicegate.errors import StateUnavailable
from tests.backends.redis_askers import KINDS, Asker, Opener, opener
from tests.servers.ports import reserved_port
from tests.servers.redis import Redis, redis_server

PATIENT = 10.0
KEY = "BLACKLIST:key:4f1c"


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as running:
        yield running


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest) -> Iterator[Opener]:
    with opener(request.param) as open_one:
        yield open_one


@pytest.fixture
def asker(opened: Opener, server: Redis) -> Asker:
    server.cli("FLUSHALL")
    return opened(Address(host=server.host, port=server.port), timeout=PATIENT)


def test_what_redis_cli_writes_is_seen_by_the_very_next_question(asker: Asker, server: Redis) -> None:
    for number in range(20):
        key = f"{KEY}:{number}"
        assert asker.ask(key) == {}
        server.cli("SETEX", key, "604800", "cancelled")
        assert asker.ask(key) == {key: "cancelled"}
        server.cli("DEL", key)
        assert asker.ask(key) == {}


@pytest.mark.parametrize(
    "command",
    [
        ("RPUSH", KEY, "cancelled"),
        ("HSET", KEY, "reason", "cancelled"),
        ("SADD", KEY, "cancelled"),
        ("ZADD", KEY, "1", "cancelled"),
        ("XADD", KEY, "*", "reason", "cancelled"),
    ],
    ids=lambda command: command[0],
)
def test_a_key_of_any_type_revokes(asker: Asker, server: Redis, command: tuple[str, ...]) -> None:
    server.cli(*command)
    assert asker.ask(KEY) == {KEY: None}
    server.cli("SET", "BLACKLIST:sub:alice", "abuse")
    assert asker.ask("BLACKLIST:sid:1", KEY, "BLACKLIST:sub:alice") == {KEY: None, "BLACKLIST:sub:alice": "abuse"}


def test_a_value_that_is_no_text_revokes(asker: Asker, server: Redis) -> None:
    server.cli("EVAL", r"redis.call('SET', KEYS[1], '\255\0\r\n*3\r\n\254')", "1", KEY)
    assert asker.ask(KEY) == {KEY: "\ufffd\0\r\n*3\r\n\ufffd"}


def test_the_empty_value_revokes(asker: Asker, server: Redis) -> None:
    server.cli("SET", KEY, "")
    assert asker.ask(KEY) == {KEY: ""}


def test_only_the_keys_that_stand_are_found(asker: Asker, server: Redis) -> None:
    keys = tuple(f"BLACKLIST:key:{number}" for number in range(8))
    for key in keys[1::3]:
        server.cli("SET", key, f"reason of {key}")
    assert asker.ask(*keys) == {key: f"reason of {key}" for key in keys[1::3]}


def test_a_key_that_has_no_utf8_form_stands_nowhere(asker: Asker, server: Redis) -> None:
    server.cli("SET", KEY, "cancelled")
    assert asker.ask("BLACKLIST:key:\ud800") == {}
    assert asker.ask("BLACKLIST:key:\ud800", KEY) == {KEY: "cancelled"}


def test_after_flushall_nothing_stands(asker: Asker, server: Redis) -> None:
    server.cli("SET", KEY, "cancelled")
    assert asker.ask(KEY) == {KEY: "cancelled"}
    server.cli("FLUSHALL")
    assert asker.ask(KEY) == {}


def test_an_entry_that_has_expired_does_not_stand(asker: Asker, server: Redis) -> None:
    server.cli("SET", KEY, "cancelled", "PX", "1")
    while server.cli("EXISTS", KEY) != "0":
        pass
    assert asker.ask(KEY) == {}


def test_questions_at_the_same_time_each_get_their_own_answer(asker: Asker, server: Redis) -> None:
    for number in range(0, 100, 2):
        server.cli("SET", f"{KEY}:{number}", f"reason {number}")
    answers = asker.ask_many(*((f"{KEY}:{number}",) for number in range(100)))
    assert answers == [{} if number % 2 else {f"{KEY}:{number}": f"reason {number}"} for number in range(100)]


def test_the_database_is_the_one_that_was_named(opened: Opener, server: Redis) -> None:
    server.cli("-n", "3", "SET", KEY, "cancelled")
    assert opened(Address(host=server.host, port=server.port, db=3), timeout=PATIENT).ask(KEY) == {KEY: "cancelled"}
    assert opened(Address(host=server.host, port=server.port, db=4), timeout=PATIENT).ask(KEY) == {}


def test_a_database_that_does_not_exist_is_no_empty_one(opened: Opener, server: Redis) -> None:
    with pytest.raises(StateUnavailable, match="DB index is out of range"):
        opened(Address(host=server.host, port=server.port, db=4096), timeout=PATIENT).ask(KEY)


def test_a_unix_socket_serves_as_well(opened: Opener, server: Redis) -> None:
    server.cli("SET", KEY, "cancelled")
    assert opened(Address(path=str(server.unix_socket)), timeout=PATIENT).ask(KEY) == {KEY: "cancelled"}


def test_a_host_name_is_resolved(opened: Opener, server: Redis) -> None:
    server.cli("SET", KEY, "cancelled")
    assert opened(Address(host="localhost", port=server.port), timeout=PATIENT).ask(KEY) == {KEY: "cancelled"}


def test_a_host_name_that_cannot_be_resolved_is_said(opened: Opener) -> None:
    with pytest.raises(StateUnavailable, match=r"host name that cannot be resolved|did not answer within"):
        opened(Address(host="no-such-host.invalid"), timeout=PATIENT).ask(KEY)


def test_a_user_who_may_only_ask_and_read_is_enough(opened: Opener) -> None:
    with redis_server(users=["gate on >s3cret ~BLACKLIST:* +exists +getrange"]) as server:
        server.cli("SET", KEY, "cancelled")
        asker = opened(Address(host=server.host, port=server.port, username="gate", password="s3cret"), timeout=PATIENT)
        assert asker.ask(KEY, "BLACKLIST:sub:alice") == {KEY: "cancelled"}
        assert asker.ask("BLACKLIST:sub:alice") == {}
        with pytest.raises(StateUnavailable, match="NOPERM"):
            asker.ask("OTHER:1")


def test_a_user_who_may_not_read_finds_what_stands_all_the_same(opened: Opener) -> None:
    with redis_server(users=["gate on >s3cret ~BLACKLIST:* +exists"]) as server:
        server.cli("SET", KEY, "cancelled")
        asker = opened(Address(host=server.host, port=server.port, username="gate", password="s3cret"), timeout=PATIENT)
        assert asker.ask(KEY, "BLACKLIST:sub:alice") == {KEY: None}


def test_rights_that_are_taken_away_are_no_answer_and_given_back_they_are(opened: Opener) -> None:
    with redis_server(users=["gate on >s3cret ~BLACKLIST:* +exists +getrange"]) as server:
        server.cli("SET", KEY, "cancelled")
        asker = opened(Address(host=server.host, port=server.port, username="gate", password="s3cret"), timeout=PATIENT)
        assert asker.ask(KEY) == {KEY: "cancelled"}
        server.cli("ACL", "SETUSER", "gate", "-exists")
        with pytest.raises(StateUnavailable, match="NOPERM"):
            asker.ask(KEY)
        server.cli("ACL", "SETUSER", "gate", "+exists")
        assert asker.ask(KEY) == {KEY: "cancelled"}
        server.cli("ACL", "SETUSER", "gate", "resetkeys")
        with pytest.raises(StateUnavailable, match="NOPERM"):
            asker.ask(KEY)
        server.cli("ACL", "SETUSER", "gate", "~BLACKLIST:*")
        assert asker.ask(KEY) == {KEY: "cancelled"}


@pytest.mark.parametrize(
    ("username", "password"), [("", "wr0ng-passw0rd"), ("gate", "wr0ng-passw0rd"), ("nobody", "wr0ng-passw0rd")]
)
def test_a_refused_login_is_said_and_the_password_is_not(opened: Opener, username: str, password: str) -> None:
    with redis_server(password="right", users=["gate on >right ~BLACKLIST:* +exists +getrange"]) as server:
        asker = opened(
            Address(host=server.host, port=server.port, username=username, password=password), timeout=PATIENT
        )
        with pytest.raises(StateUnavailable, match=r"refused the user name or password \(WRONGPASS\)") as refusal:
            asker.ask(KEY)
        assert password not in str(refusal.value)
        assert server.address in str(refusal.value)
        report = asker.inspect()
        assert not report.reachable
        assert password not in repr(report)


def test_a_missing_login_is_said(opened: Opener) -> None:
    with (
        redis_server(password="right") as server,
        pytest.raises(StateUnavailable, match="NOAUTH Authentication required"),
    ):
        opened(Address(host=server.host, port=server.port), timeout=PATIENT).ask(KEY)


def test_a_login_is_no_part_of_what_an_address_shows() -> None:
    address = Address(host="redis.example.com", username="gate", password="s3cret")
    assert "s3cret" not in f"{address} {address!r}"
    assert str(address) == "redis.example.com:6379"
    assert str(Address(host="::1")) == "[::1]:6379"
    assert str(Address(path="/run/redis.sock")) == "unix:/run/redis.sock"


def test_a_replica_that_lost_its_primary_is_no_answer(opened: Opener) -> None:
    with redis_server(arguments=("--replica-serve-stale-data", "no", "--replicaof", "127.0.0.1 1")) as server:
        asker = opened(Address(host=server.host, port=server.port), timeout=PATIENT)
        for _ in range(2):
            with pytest.raises(StateUnavailable, match="MASTERDOWN"):
                asker.ask(KEY)
        server.cli("CONFIG", "SET", "replica-serve-stale-data", "yes")
        assert asker.ask(KEY) == {}


def test_a_node_of_a_cluster_that_does_not_serve_the_key_is_no_answer(opened: Opener) -> None:
    # without a port of its own the bus takes one that may not exist
    with (
        reserved_port() as bus,
        redis_server(arguments=("--cluster-enabled", "yes", "--cluster-port", str(bus))) as server,
    ):
        asker = opened(Address(host=server.host, port=server.port), timeout=PATIENT)
        with pytest.raises(StateUnavailable, match="CLUSTERDOWN"):
            asker.ask(KEY)
        assert not asker.inspect().reachable


def test_a_store_that_was_closed_answers_no_more(opened: Opener, server: Redis) -> None:
    asker = opened(Address(host=server.host, port=server.port), timeout=PATIENT)
    assert asker.ask(KEY) is not None
    with opener("threads") as open_one:
        other = open_one(Address(host=server.host, port=server.port), timeout=PATIENT)
        other.close()
        with pytest.raises(StateUnavailable, match="closed"):
            other.ask(KEY)
