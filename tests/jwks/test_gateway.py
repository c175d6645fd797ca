"""A gateway whose keys are somebody else's to publish: how it starts, what it says, how it ends."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.sluicegate import Gateway, bearer, serving
from tests.jwks.issuing import Issuing, issuer
from tests.jwks.published import Published
from tests.jwks.test_rotation import configuration
from tests.servers.certificates import Authority
from tests.servers.process import Process
from tests.table.tokens import EXPIRES

K1 = Published("k1", label="a")
TOKEN = K1.token({"sub": "alice", "jti": "j1", "exp": EXPIRES}).decode()


@pytest.fixture
def https(tmp_path: Path, authority: Authority) -> Iterator[Issuing]:
    with issuer(tmp_path / "issuer", authority.server("issuer")) as issuing:
        issuing.publish(K1)
        yield issuing


@pytest.fixture
def gateway(tmp_path: Path, https: Issuing, authority: Authority) -> Iterator[Gateway]:
    with serving(configuration(tmp_path, https, authority)) as running:
        yield running


def test_keys_are_fetched_before_anybody_asks(gateway: Gateway, https: Issuing) -> None:
    gateway.process.wait_until(lambda _: https.requests() == 1)
    gateway.process.wait_until(lambda process: "its keys were fetched" in process.output())
    assert gateway.get("/hello", bearer(TOKEN)).status == 200
    assert https.requests() == 1


def test_health_says_how_old_the_keys_are(gateway: Gateway) -> None:
    assert gateway.get("/hello", bearer(TOKEN)).status == 200
    health = json.loads(gateway.health().body)
    (keys,) = health["keys"]
    assert health["status"] == "ok"
    assert (keys["service"], keys["keys"], keys["failure"]) == ("keys", 1, "")
    assert 0 <= keys["age"] < 60


def test_a_gateway_starts_without_its_issuer_says_503_and_recovers(
    tmp_path: Path, https: Issuing, authority: Authority
) -> None:
    https.stop()
    with serving(configuration(tmp_path, https, authority)) as gateway:
        refused = gateway.get("/hello", bearer(TOKEN))
        assert refused.status == 503
        assert json.loads(refused.body) == {
            "error": "auth_unavailable",
            "message": "Authentication service unavailable",
            "code": 503,
            "reason": "keys_unavailable",
        }
        assert 1 <= int(refused.header("Retry-After") or 0) <= 5
        assert refused.header("WWW-Authenticate") is None
        assert gateway.get("/hello").status == 401, "a request without a token needs no keys"
        health = json.loads(gateway.health().body)
        assert (health["status"], health["keys"][0]["keys"]) == ("degraded", 0)
        assert "refused" in health["keys"][0]["failure"]
        https.start()
        gateway.process.wait_until(lambda _: gateway.get("/hello", bearer(TOKEN)).status == 200)
        assert json.loads(gateway.health().body)["status"] == "ok"


def test_what_is_on_fire_is_in_the_log_and_no_key_and_no_token_is(
    tmp_path: Path, https: Issuing, authority: Authority
) -> None:
    fire = Published("fire", label="x").private_jwk()
    https.say(json.dumps({"keys": [K1.jwk(), fire]}))
    with serving(configuration(tmp_path, https, authority)) as gateway:
        assert gateway.get("/hello", bearer(TOKEN)).status == 200
        https.say("<html>")
        assert gateway.get("/hello", bearer(Published("k9").token({"sub": "a", "jti": "j"}).decode())).status == 503
        log = lines(gateway.process)
    assert any(line["level"] == "warning" and "kid 'fire'" in line["message"] for line in log)
    failed = next(line for line in log if line.get("outcome") == "failed")
    assert (failed["level"], failed["detail"]) == ("warning", "it is not JSON")
    said = json.dumps(log)
    assert not [secret for secret in (fire["d"], *TOKEN.split(".")) if secret in said]


def test_a_gateway_that_has_fetched_keys_ends_as_cleanly_as_any(gateway: Gateway) -> None:
    assert gateway.get("/hello", bearer(TOKEN)).status == 200
    gateway.process.signal(signal.SIGTERM)
    assert gateway.process.wait() == 0
    assert "Traceback" not in gateway.process.output()


def lines(process: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.output().splitlines()]


def test_check_tries_to_fetch_the_keys(tmp_path: Path, https: Issuing, authority: Authority) -> None:
    config = configuration(tmp_path, https, authority)
    found = config.run("check")
    assert found.code == 0, found.err
    assert "keys: 1 fetched" in found.out
    https.say("<html>")
    lost = config.run("check")
    assert lost.code == 3
    assert "keys: OUT OF REACH (it is not JSON)" in lost.out
    assert config.run("check", "--json").json["keys"] == {"keys": 0}


def test_commands_that_need_no_keys_fetch_none(tmp_path: Path, https: Issuing, authority: Authority) -> None:
    config = configuration(tmp_path, https, authority)
    assert config.run("revoke", "--sub", "alice").code == 0
    assert config.run("list").code == 0
    assert https.connections() == 0


def test_revoking_a_token_by_command_fetches_the_keys_that_prove_it(
    tmp_path: Path, https: Issuing, authority: Authority
) -> None:
    done = configuration(tmp_path, https, authority).run("revoke", "--token", "-", stdin=TOKEN)
    assert "jti:j1" in done.out, done.err
    assert https.requests() == 1
