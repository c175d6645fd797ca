"""Each command: what it prints, what it ends with, what it leaves behind."""

import json
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.sluicegate import Config, bearer, configure, run, serving
from tests.servers.ports import reserved_port
from tests.servers.redis import Redis
from tests.wire import connected, request

ROUTES = """
[[route]]
path = "/hello"
respond = "Hello {http.auth.user.id}! Your tier: {http.auth.user.tier}"
[[route]]
path = "/admin"
respond = "welcome"
require = { scopes = ["admin"] }
[[route]]
path = "/open"
respond = "open"
auth = "none"
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configure(tmp_path, ROUTES, tokens='meta_claims = ["tier"]')


def test_help_names_every_command() -> None:
    shown = run("--help").out
    for command in ("serve", "check", "demo", "token", "revoke", "restore", "list", "explain"):
        assert f" {command} " in shown
    assert "Exit codes" in shown


def test_the_version_is_shown() -> None:
    assert run("--version").out == "sluicegate 0.1.0\n"


def test_every_fault_is_listed_with_its_line_and_the_start_fails_with_2(tmp_path: Path) -> None:
    config = configure(tmp_path, '[[route]]\npath = "api"\nrespond = "x"\n', tokens='leeway = "soon"\nfrom_heder = []')
    for command in ("check", "serve"):
        done = config.run(command)
        assert done.code == 2
        assert done.out == ""
        lines = done.err.splitlines()
        assert [line.split(":")[1] for line in lines[:-1]] == ["8", "9", "11"]
        assert "from_header" in lines[1]
        assert lines[-1] == "sluicegate: 3 faults in the settings; nothing was started"


def test_a_missing_file_is_a_fault_and_no_traceback() -> None:
    done = run("check", "--config", "/nowhere/sluicegate.toml")
    assert done.code == 2
    assert "/nowhere/sluicegate.toml" in done.err
    assert "Traceback" not in done.err


def test_check_says_what_is_guarded_by_what(config: Config) -> None:
    done = config.run("check")
    assert done.code == 0, done.err
    assert "route /admin: answered here, a token with scope admin" in done.out
    assert "route /open: answered here, open to everybody" in done.out
    assert "store: embedded, reachable" in done.out
    shown = config.run("check", "--json").json
    assert shown["unsafe"] == []
    assert shown["store"] == {"kind": "embedded", "reachable": True}


def test_check_ends_with_3_when_redis_is_away(tmp_path: Path) -> None:
    with reserved_port() as port:
        config = configure(tmp_path, ROUTES, tokens=f'meta_claims = ["tier"]\nredis_addr = "127.0.0.1:{port}"')
        done = config.run("check")
    assert done.code == 3
    assert "OUT OF REACH" in done.out


def test_unsafe_settings_start_only_with_a_warning_that_names_them(tmp_path: Path) -> None:
    config = configure(tmp_path, "[jwt_verifier]\nrequire_authentication = false\n", tokens="skip_verification = true")
    assert {"skip_verification", "authentication_off"} <= set(config.run("check", "--json").json["unsafe"])
    with serving(config) as gateway:
        assert "UNSAFE skip_verification" in gateway.process.output()
        health = json.loads(gateway.health().body)
        assert {"skip_verification", "authentication_off"} <= set(health["unsafe"])


def test_a_minted_token_is_admitted_and_its_identity_shown(config: Config) -> None:
    token = config.mint("--claim", "tier=PREMIUM", "--scope", "read write", "--claim", "n=7")
    done = config.run("token", "verify", "-", "--json", stdin=token)
    assert done.code == 0, done.err
    assert done.json["identity"]["id"] == "alice"
    assert done.json["identity"]["scopes"] == ["read", "write"]
    assert done.json["identity"]["meta"] == {"tier": "PREMIUM"}
    assert "admitted" in config.run("token", "verify", f"Bearer {token}").out


def test_a_refused_token_ends_with_1_and_its_reason(config: Config, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    forged = configure(tmp_path / "other").mint()
    done = config.run("token", "verify", forged, "--json")
    assert done.code == 1
    assert done.json == {"admitted": False, "reason": "signature", "status": 401, "error": "invalid_token"}
    assert config.run("token", "verify", config.mint("--ttl", "never"), "--json").code == 0


def test_inspect_shows_what_a_token_says_and_that_nothing_was_verified(config: Config) -> None:
    token = config.mint("--jti", "key-1")
    text = run("token", "inspect", token).out
    assert text.startswith("not verified")
    assert '"key-1"' in text
    shown = run("token", "inspect", "-", "--json", stdin=token).json
    assert shown["verified"] is False
    assert shown["claims"]["jti"] == "key-1"
    assert run("token", "inspect", "nonsense").code == 1
    assert run("token", "inspect", "-").code == 2


def test_an_asymmetric_token_is_minted_with_a_private_key_only(config: Config, tmp_path: Path) -> None:
    assert "private key" in config.run("token", "mint", "--sub", "a", "--alg", "RS256").err
    assert "one of HS256" in config.run("token", "mint", "--sub", "a", "--alg", "none").err
    missing = config.run("token", "mint", "--sub", "a", "--alg", "ES256", "--private-key", str(tmp_path / "no.pem"))
    assert missing.code == 2
    assert "cannot be read" in missing.err


def test_revoke_restore_and_list_end_as_documented(config: Config) -> None:
    done = config.run("revoke", "--jti", "key-1", "--reason", "cancelled", "--ttl", "7d", "--note", "ticket 7")
    assert done.code == 0
    assert done.out.startswith("revoked jti:key-1 (cancelled), until ")
    shown = config.run("list", "--json").json
    assert (shown["selector"], shown["reason"], shown["context"]) == ("jti:key-1", "cancelled", {"note": "ticket 7"})
    assert 0 < shown["expires_at"] - time.time() <= 7 * 86400
    assert "ticket 7" in config.run("list").out
    assert config.run("restore", "--jti", "key-1").code == 0
    again = config.run("restore", "--jti", "key-1")
    assert again.code == 1
    assert "was not revoked" in again.err
    assert "nothing is revoked" in config.run("list").out


def test_a_revoked_token_is_told_so_and_restored_by_the_token(config: Config) -> None:
    token = config.mint()
    assert config.run("revoke", "--token", "-", "--json", stdin=token).code == 0
    done = config.run("token", "verify", token)
    assert done.code == 1
    assert "revoked" in done.out
    assert config.run("restore", "--token", "-", stdin=token).code == 0
    assert config.run("token", "verify", token).code == 0


def test_a_life_shorter_than_the_token_is_warned_about(config: Config) -> None:
    done = config.run("revoke", "--token", "-", "--ttl", "5s", stdin=config.mint())
    assert done.code == 0
    assert "opens again" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("revoke",),
        ("revoke", "--jti", "a", "--sub", "b"),
        ("revoke", "--jti", "a", "--ttl", "soon"),
        ("revoke", "--sub", "a", "--not-before", "yesterday"),
        ("revoke", "--jti", "a", "--not-before", "now"),
        ("revoke", "--jti", ""),
        ("revoke", "--sha256", "abc"),
        ("restore",),
        ("revoke", "--token", "not.a.token"),
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_end_with_2_and_write_nothing(config: Config, arguments: tuple[str, ...]) -> None:
    done = config.run(*arguments)
    assert done.code == 2
    assert done.err.startswith("sluicegate: ")
    assert config.run("list", "--json").out == ""


def test_a_store_that_is_away_ends_with_3(tmp_path: Path) -> None:
    with reserved_port() as port:
        config = configure(tmp_path, tokens=f'redis_addr = "127.0.0.1:{port}"')
        assert config.run("revoke", "--jti", "a").code == 3
        assert config.run("list").code == 3
        assert config.run("token", "verify", config.mint()).code == 3


def test_explain_shows_each_step_and_ends_as_the_decision_does(config: Config) -> None:
    token = config.mint("--scope", "admin")
    admitted = config.run("explain", token, "--path", "/admin")
    assert admitted.code == 0
    steps = [line.split()[0] for line in admitted.out.splitlines()]
    assert steps == ["route", "extract", "token", "verify", "claims", "state", "state", "decision"]
    assert token.split(".")[1] not in admitted.out
    refused = config.run("explain", config.mint(), "--path", "/admin?x=1", "--json")
    assert refused.code == 1
    assert refused.json["reason"] == "scope"
    assert config.run("explain", "--path", "/open", "--json").json["admitted"] is None
    assert "404" in config.run("explain", "--path", "/nothing").out
    assert "400" in config.run("explain", "--path", "/a/%2e%2e/admin").out
    spoken = config.run("explain", "--path", "/hello", "-H", f"X-API-Key: {token}").out
    assert "header X-API-Key" in spoken


def test_explain_asks_redis_and_says_what_stands(tmp_path: Path, redis: Redis) -> None:
    config = configure(tmp_path, tokens=f'redis_addr = "{redis.url}"\ntimeout = "5s"')
    redis.cli("SETEX", "BLACKLIST:key:key-1", "600", "abuse")
    done = config.run("explain", config.mint("--jti", "key-1"))
    assert done.code == 1
    assert "BLACKLIST:key:key-1 = 'abuse'" in done.out
    assert "api_key_blacklisted" in done.out


def test_the_gateway_serves_until_it_is_asked_to_end_and_logs_no_token(config: Config) -> None:
    token = config.mint("--claim", "tier=PREMIUM")
    with serving(config) as gateway:
        answer = gateway.get("/hello", bearer(token))
        assert (answer.status, answer.body) == (200, b"Hello alice! Your tier: PREMIUM")
        assert gateway.get(f"/hello?token={token}").status == 200
        assert gateway.get("/hello", bearer(token + "x")).status == 401
        assert gateway.get("/nothing").status == 404
        assert json.loads(gateway.health().body)["status"] == "ok"
        assert gateway.health(("Origin", "https://evil.example.com")).status == 403
        assert gateway.process.stop() == 0
        output = gateway.process.output()
    assert '"message": "stopped"' in output
    assert not any(part in output for part in token.split("."))


def test_a_revocation_by_the_command_line_refuses_the_next_request_of_a_running_gateway(config: Config) -> None:
    token = config.mint("--jti", "key-1")
    with serving(config) as gateway:
        assert gateway.get("/hello", bearer(token)).status == 200
        assert config.run("revoke", "--jti", "key-1").code == 0
        refused = gateway.get("/hello", bearer(token))
        assert refused.status == 401
        assert json.loads(refused.body)["error"] == "api_key_blacklisted"
        assert refused.header("X-Error-Type") == "api_key_blacklisted"


def test_health_tells_a_stranger_the_status_and_nothing_else(tmp_path: Path) -> None:
    config = configure(tmp_path, ROUTES.replace("{http.auth.user.tier}", ""))
    text = config.path.read_text().replace("[admin]\n", '[admin]\ntoken = "operators-only-0123456789"\n')
    config.path.write_text(text)
    with serving(config) as gateway:
        assert json.loads(gateway.health().body) == {"status": "ok"}
        shown = json.loads(gateway.health(bearer("operators-only-0123456789")).body)
        assert shown["store"]["kind"] == "embedded"
        assert json.loads(gateway.health(bearer("operators-only-012345678")).body) == {"status": "ok"}


def test_one_address_that_asks_too_often_is_told_to_wait(tmp_path: Path) -> None:
    config = configure(tmp_path, ROUTES.replace("{http.auth.user.tier}", ""))
    text = config.path.read_text().replace("[http]\n", "[http]\nrate_limit_per_ip = 2\nrate_limit_window_sec = 3600\n")
    config.path.write_text(text)
    with serving(config) as gateway:
        answers = [gateway.get("/open") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert json.loads(answers[2].body)["reason"] == "rate_limited"
    assert int(answers[2].header("Retry-After") or 0) > 0


def test_an_upstream_on_a_unix_socket_is_reached(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="sg-") as directory, ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(f"{directory}/app.sock")
        listening.listen()
        route = f'[[route]]\npath = "/*"\nupstream = "unix:{directory}/app.sock"\n'
        gateway = stack.enter_context(serving(configure(tmp_path, route)))
        wire = stack.enter_context(connected(gateway.address))
        wire.send(request("/orders", bearer(Config(tmp_path / "sluicegate.toml").mint())))
        upstream, _ = listening.accept()
        with upstream:
            assert upstream.recv(65536).startswith(b"GET /orders HTTP/1.1\r\n")
            upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            assert wire.receive().body == b"ok"


def test_an_address_in_use_is_a_fault_with_its_line(config: Config) -> None:
    with serving(config) as gateway:
        text = config.path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{gateway.address[1]}", 1)
        config.path.write_text(text)
        done = config.run("serve")
    assert done.code == 2
    assert ":3: [http] bind_address: " in done.err
    assert "Traceback" not in done.err


def test_no_token_no_key_and_no_file_still_starts_and_lets_nobody_in(tmp_path: Path) -> None:
    done = run("check", environment={"HOME": str(tmp_path)})
    assert done.code == 0
    assert "no key, so none is good" in done.out
