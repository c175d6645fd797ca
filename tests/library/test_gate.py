"""`Gate` and `AsyncGate`, as an application meets them."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

import sluicegate
from sluicegate import (
    Admit,
    AsyncGate,
    Gate,
    InvalidSelector,
    Reason,
    Refuse,
    Requirement,
    SettingsError,
    StateUnavailable,
)
from sluicegate.core.revocation import Kind
from sluicegate.gate import Named, Revoking
from tests.servers.redis import Redis

SECRET = b"0f4a9c1e7b2d8365f1a0c9e8d7b6a594"
SIGN_KEY = base64.b64encode(SECRET).decode()


def mint(**claims: object) -> str:
    now = int(time.time())
    return jwt.encode({"sub": "alice", "jti": "key-1", "iat": now, "exp": now + 600} | claims, SECRET, "HS256")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(sign_key=SIGN_KEY, meta_claims=["tier"], state_dir=str(tmp_path / "state")) as opened:
        yield opened


def test_keyword_arguments_are_the_keys_of_stateful_jwt(gate: Gate) -> None:
    decision = gate.check(bearer(mint(tier="PREMIUM", scope="read write")))
    assert isinstance(decision, Admit)
    assert decision.identity is not None
    assert decision.identity.id == "alice"
    assert decision.identity.scopes == ("read", "write")
    assert dict(decision.identity.meta) == {"tier": "PREMIUM"}


def test_a_token_in_the_query_is_found_raw_or_as_a_mapping(gate: Gate) -> None:
    assert isinstance(gate.check(query=f"token={mint()}"), Admit)
    assert isinstance(gate.check(query={"token": mint()}), Admit)


def test_every_fault_in_the_keywords_is_raised_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Gate(sign_key=SIGN_KEY, sign_algo="HS256", leeway="soon")
    assert {fault.key for fault in caught.value.faults} == {"[stateful_jwt] sign_algo", "[stateful_jwt] leeway"}


def test_a_key_that_cannot_be_used_names_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('[stateful_jwt]\nsign_alg = "HS256"\nsign_key = "c2hvcnQ="\n')
    with pytest.raises(SettingsError) as caught:
        Gate.from_toml(path)
    (fault,) = caught.value.faults
    assert fault.line == 3
    assert "openssl rand -base64 32" in fault.remedy
    assert "c2hvcnQ" not in str(fault)


@pytest.mark.parametrize(
    "named",
    [
        {"jti": "key-1"},
        {"sub": "alice"},
        {"sid": "session-1"},
        {"client": "app-1"},
        {"iss": "https://auth.example.com"},
    ],
    ids=lambda named: next(iter(named)),
)
def test_a_revoked_selector_refuses_the_next_request_and_a_restored_one_admits_it(gate: Gate, named: Named) -> None:
    token = bearer(mint(sid="session-1", azp="app-1", iss="https://auth.example.com"))
    assert isinstance(gate.check(token), Admit)
    gate.revoke(**named, reason="security")
    refused = gate.check(token)
    assert isinstance(refused, Refuse)
    assert refused.reason is Reason.REVOKED
    assert refused.detail == "security"
    assert gate.restore(**named)
    assert not gate.restore(**named)
    assert isinstance(gate.check(token), Admit)


def test_a_revoked_token_stands_under_its_jti_until_it_would_have_expired(gate: Gate) -> None:
    standing = gate.revoke(mint())
    assert standing.key == "BLACKLIST:key:key-1"
    assert standing.expires_at is not None
    assert 590 < standing.expires_at - time.time() <= 600
    assert not standing.warning


def test_a_forged_token_never_revokes_the_jti_that_it_names(gate: Gate) -> None:
    forged = jwt.encode({"sub": "mallory", "jti": "key-1"}, b"x" * 32, "HS256")
    assert gate.revoke(forged).selector.kind is Kind.TOKEN
    assert isinstance(gate.check(bearer(mint())), Admit)


def test_a_life_shorter_than_the_token_is_warned_about(gate: Gate) -> None:
    assert "opens again" in gate.revoke(mint(), ttl=5).warning


def test_an_expired_token_can_still_be_revoked(gate: Gate) -> None:
    standing = gate.revoke(mint(exp=int(time.time()) - 10))
    assert standing.expires_at is not None
    assert standing.expires_at > time.time()


def test_leeway_keeps_a_revocation_as_long_as_it_keeps_the_token(tmp_path: Path) -> None:
    with Gate(sign_key=SIGN_KEY, leeway="5m", state_dir=str(tmp_path)) as gate:
        standing = gate.revoke(mint())
    assert standing.expires_at is not None
    assert standing.expires_at - time.time() > 890


def test_a_cutoff_spares_a_fresh_login(gate: Gate) -> None:
    now = int(time.time())
    gate.revoke(sub="alice", not_before=now - 10)
    assert isinstance(gate.check(bearer(mint(iat=now - 11))), Refuse)
    assert isinstance(gate.check(bearer(mint(iat=now))), Admit)


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"jti": "a", "sub": "b"},
        {"jti": ""},
        {"jti": "line\nbreak"},
        {"sha256": "abc"},
        {"sub": "a", "ttl": 0.0},
        {"sub": "a", "ttl": float("nan")},
        {"jti": "a", "not_before": 1.0},
    ],
)
def test_what_can_name_no_token_is_refused_and_nothing_is_written(gate: Gate, choice: Revoking) -> None:
    with pytest.raises(InvalidSelector):
        gate.revoke(**choice)
    assert not list(gate.revocations())


def test_a_token_takes_no_other_selector(gate: Gate) -> None:
    with pytest.raises(InvalidSelector):
        gate.revoke(mint(), sub="alice")
    with pytest.raises(InvalidSelector):
        gate.revoke("not.a.token")


def test_the_list_shows_what_stands_and_of_which_kind(gate: Gate) -> None:
    gate.revoke(jti="a", reason="cancelled")
    gate.revoke(sub="b")
    assert {str(standing.selector) for standing in gate.revocations()} == {"jti:a", "sub:b"}
    assert [str(standing.selector) for standing in gate.revocations(Kind.SUB)] == ["sub:b"]


def test_a_gate_without_a_store_cannot_revoke_and_says_what_to_change() -> None:
    with Gate(sign_key=SIGN_KEY, redis_addr="disabled") as gate:
        assert isinstance(gate.check(bearer(mint())), Admit)
        with pytest.raises(SettingsError, match="disabled"):
            gate.revoke(jti="a")


def test_a_route_of_the_gate_may_ask_for_more(gate: Gate) -> None:
    policy = gate.policy.with_route(
        requirement=Requirement(scopes=frozenset({"admin"}), claims=(("org.tier", ("PRO", 7)),))
    )
    request = sluicegate.Request(headers=((b"authorization", b"Bearer " + mint(scope="read").encode()),))
    refused = gate.decide(request, policy)
    assert isinstance(refused, Refuse)
    assert refused.reason is Reason.SCOPE
    request = sluicegate.Request(
        headers=((b"authorization", b"Bearer " + mint(scope="admin", org={"tier": 7}).encode()),)
    )
    assert isinstance(gate.decide(request, policy), Admit)


def test_a_redis_that_is_away_refuses_decisions_and_writes() -> None:
    with Gate(sign_key=SIGN_KEY, redis_addr="127.0.0.1:1", timeout="200ms") as gate:
        refused = gate.check(bearer(mint()))
        assert isinstance(refused, Refuse)
        assert refused.reason is Reason.STATE_UNAVAILABLE
        with pytest.raises(StateUnavailable):
            gate.revoke(jti="a")


async def test_the_asynchronous_gate_decides_revokes_and_restores(tmp_path: Path) -> None:
    async with AsyncGate(sign_key=SIGN_KEY, state_dir=str(tmp_path)) as gate:
        assert isinstance(await gate.check(bearer(mint())), Admit)
        await gate.revoke(jti="key-1")
        assert isinstance(await gate.check(bearer(mint())), Refuse)
        assert await gate.restore(mint())
        assert isinstance(await gate.check(bearer(mint())), Admit)
        report = await gate.inspect()
        assert report is not None
        assert report.reachable


async def test_the_asynchronous_gate_asks_redis(redis: Redis) -> None:
    async with AsyncGate(sign_key=SIGN_KEY, redis_addr=redis.url, timeout="2s") as gate:
        assert isinstance(await gate.check(bearer(mint())), Admit)
        redis.cli("SETEX", "BLACKLIST:key:key-1", "604800", "cancelled")
        refused = await gate.check(bearer(mint()))
        assert isinstance(refused, Refuse)
        assert refused.detail == "cancelled"


def test_what_is_exported_is_pinned() -> None:
    assert sluicegate.__all__ == [
        "Admit",
        "AsyncGate",
        "Decision",
        "Fault",
        "Gate",
        "Identity",
        "InvalidSelector",
        "KeyFault",
        "Policy",
        "Reason",
        "Refuse",
        "Request",
        "Requirement",
        "SettingsError",
        "SluicegateError",
        "SluicegateMiddleware",
        "SluicegateWSGI",
        "StateUnavailable",
    ]
    assert all(hasattr(sluicegate, name) for name in sluicegate.__all__)


def test_no_repr_shows_a_token(gate: Gate) -> None:
    token = mint()
    request = sluicegate.Request(headers=((b"authorization", b"Bearer " + token.encode()),), query=token.encode())
    decision = gate.decide(request)
    assert not any(part in repr(request) + repr(decision) for part in token.split("."))
