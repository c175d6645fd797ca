"""What an operator may give by mistake: it is answered with a sentence and an exit code, and tells no secret."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import Final

import pytest

from tests.attacks.scene import Scene, scene_on
from tests.cli.sluicegate import Config, bearer, configure, run, serving
from tests.server.upstream import upstream
from tests.wire import connected, request

_UNREADABLE: Final = {
    "garbage": bytes(range(256)) * 9,
    "utf-16": '[stateful_jwt]\nsign_key = "x"\n'.encode("utf-16"),
    "deep": b"x = " + b"[" * 100_000,
    "unterminated": b'[stateful_jwt]\nsign_key = "S3CRET\n',
    "types": b'[stateful_jwt]\nsign_key = ["S3CRET"]\nredis_password = {a = "S3CRET"}\n[admin]\ntoken = ["S3CRET"]\n',
    "key": b'[stateful_jwt]\nsign_key = "S3CRET$$S3CRET"\n',
    "address": b'[stateful_jwt]\nredis_addr = "redis://user:S3CRET@h:port/0"\n',
    "webhook": b'[jwt_verifier]\nwebhook_url = "http://user:S3CRET@h h/"\n',
    "unknown": b'[stateful_jwt]\nsign_kye = "S3CRET"\n',
    "twice": b'[stateful_jwt]\nsign_key = "S3CRET"\nsign_key = "S3CRET"\n',
    "endless": b'[stateful_jwt]\nsign_key = "{file./dev/zero}"\n',
}


@pytest.mark.parametrize("kind", _UNREADABLE)
def test_settings_that_are_none_are_faults_that_tell_no_secret(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sluicegate.toml"
    path.write_bytes(_UNREADABLE[kind])
    done = run("check", "--config", str(path))
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "S3CRET" not in done.err + done.out
    assert "nothing was started" in done.err


@pytest.mark.parametrize("given", ["/", "/dev/zero", "/nowhere/sluicegate.toml"])
def test_what_is_no_file_of_settings_is_a_fault(given: str) -> None:
    done = run("serve", "--config", given)
    assert done.code == 2
    assert "cannot be read" in done.err


@pytest.mark.parametrize("section", ["http", "admin"])
def test_a_port_in_use_is_a_fault_that_names_its_line(tmp_path: Path, section: str) -> None:
    config = configure(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = config.path.read_text()
        free = f'[{section}]\nbind_address = "127.0.0.1:0"'
        config.path.write_text(text.replace(free, free.replace(":0", f":{taken.getsockname()[1]}")))
        done = config.run("serve")
    assert done.code == 2
    assert f"[{section}] bind_address: cannot listen" in done.err


def test_a_state_directory_that_cannot_be_made_is_said_and_closes_the_gate(tmp_path: Path) -> None:
    config = configure(tmp_path, '[[route]]\npath = "/*"\nrespond = "in"\n')
    (tmp_path / "state").write_text("a file")
    token = config.mint()
    assert config.run("check").code == 3
    assert config.run("revoke", "--jti", "x").code == 3
    with serving(config) as gateway:
        assert gateway.get("/x", bearer(token)).status == 500


@pytest.mark.parametrize("moment", ["nan", "inf", "-1", "1767225600000", "yesterday"])
def test_a_cutoff_that_is_no_moment_revokes_nothing(tmp_path: Path, moment: str) -> None:
    config = configure(tmp_path)
    done = config.run("revoke", "--sub", "alice", f"--not-before={moment}")
    assert done.code == 2
    assert "which is no moment" in done.err
    assert not (tmp_path / "state").exists()


def test_what_stands_in_the_store_steers_no_terminal_and_is_no_markup(tmp_path: Path) -> None:
    config = configure(tmp_path)
    odd = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202e[bold]x[/red] é"
    done = config.run("revoke", "--jti", "[bold]\u202e", "--reason", odd, "--note", odd, "--by", "[/]")
    listed, as_json = config.run("list"), config.run("list", "--json")
    for said in (done, listed):
        assert said.code == 0, said.err
        assert all(line.isprintable() for line in said.out.split("\n"))
    assert "[bold]" in listed.out
    narrow = run("list", "--config", str(config.path), environment={"PYTHONIOENCODING": "ascii"})
    assert (narrow.code, narrow.err) == (0, "")
    (line,) = as_json.out.splitlines()
    assert json.loads(line)["reason"] == odd
    assert json.loads(line)["context"] == {"by": "[/]", "note": odd}


def test_a_stop_during_a_request_lets_it_end_and_admits_nobody_new(tmp_path: Path) -> None:
    with upstream() as behind:
        config = configure(tmp_path, f'[[route]]\npath = "/*"\nupstream = "http://127.0.0.1:{behind.port}"\n')
        token = bearer(config.mint())
        with serving(config) as gateway, connected(gateway.address) as wire, connected(gateway.address) as idle:
            wire.send(request("/slow", token))
            peer = behind.accept()
            peer.request()
            os.kill(gateway.process.pid, signal.SIGTERM)
            assert idle.is_closed()
            with pytest.raises(ConnectionRefusedError):
                gateway.get("/late", token)
            peer.send()
            response = wire.receive()
            assert (response.status, response.header("Connection")) == (200, "close")
            assert wire.is_closed()
            assert gateway.process.stop() == 0


def test_the_operators_listener_tells_strangers_the_status_only(tmp_path: Path) -> None:
    config = configure(tmp_path)
    text = config.path.read_text()
    config.path.write_text(text.replace("[admin]\n", '[admin]\ntoken = "operators-only-0123456789abcdef"\n'))
    with serving(Config(config.path)) as gateway:
        for headers in ([], [bearer("wrong")], [bearer("operators-only-0123456789abcde")], [("Authorization", "x")]):
            assert json.loads(gateway.health(*headers).body) == {"status": "ok"}
        assert "store" in json.loads(gateway.health(bearer("operators-only-0123456789abcdef")).body)
        for field in (("Origin", "https://page.test"), ("Sec-Fetch-Site", "cross-site")):
            assert gateway.health(field).status == 403


def test_a_store_that_another_process_damages_closes_the_gate_or_goes_on_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The file under a running gateway is overwritten with rubbish: no revoked token comes in by it."""
    found: Scene
    with scene_on("embedded", tmp_path_factory.mktemp("damaged")) as found:
        found.revoke("damaged")
        revoked = bearer(found.mint(jti="damaged"))
        assert found.get("/x", revoked).status == 401
        found.config.path.with_name("state").joinpath("state.db").write_bytes(b"rubbish" * 5000)
        for _ in range(50):
            assert found.get("/x", revoked).status in {401, 500}
