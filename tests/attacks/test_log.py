"""What the gate writes down and sends back: never a token or a key, and never a line that somebody else wrote."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.attacks.scene import CLAIMS, Scene, scene
from tests.cli.sluicegate import bearer
from tests.servers.process import prints, program, running
from tests.table.tokens import sign, unsigned
from tests.wire import Address, BadResponse, Response, exchange, request

_ADDRESS: Final = re.compile(r'address[=": ]+([0-9.]+):(\d+).+operators[=": ]+[0-9.]+:(\d+)')
_WRITTEN: Final = [
    '/x%0a{"level":"error","message":"forged"}',
    "/x%1b[31m",
    '/"message=forged"',
    "/x%20level=error%20message=forged",
    "/<script>",
    "/x%e2%80%ae",
]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Whoever makes the tokens and stands behind the gateways of this module."""
    with scene(tmp_path_factory.mktemp("quiet")) as found:
        yield found


def _attempts(token: str) -> Iterator[bytes]:
    """Write requests that carry a token in every place where one may be put, rightly or wrongly."""
    for path in ("/x", "/admin", "/dead", "/public/x", "/x;y"):
        yield request(path, bearer(token))
        yield request(path, ("Authorization", f"Basic {token}"))
        yield request(path, ("Cookie", f"session_token={token}"), ("X-API-Key", token))
        yield request(f"{path}?token={token}&access_token={token}")
        yield request(f"http://gate.test{path}?token={token}#{token}")
        yield request(f"{path}?token={token}\x01")
        yield request(path, bearer(token), ("X\x00", "y"))
        yield request(path, bearer(token), method="BREW")
        yield request(f"{path}/{token}")
        yield request(f"{path}%3Ftoken={token}")
        yield request(f"/health?token={token}", bearer(token))


def _try(address: Address, attempt: bytes) -> Response | None:
    try:
        return exchange(address, attempt)
    except (BadResponse, ConnectionError):
        return None


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_token_and_no_key_is_ever_written_or_sent_back(quiet: Scene, tmp_path: Path, form: str) -> None:
    text = quiet.config.path.read_text()
    (tmp_path / "sluicegate.toml").write_text(
        f'log_level = "debug"\n{text}\n[[route]]\npath = "/dead"\nupstream = "http://127.0.0.1:1"\n'
    )
    good = quiet.mint()
    tokens = [
        good,
        good[:-4],
        quiet.mint(exp=1),
        quiet.mint(jti=7),
        unsigned(),
        sign({"alg": "HS256"}, CLAIMS, secret=b"w" * 32),
    ]
    secrets = {part[start:][:16] for token in tokens for part in token.split(".") if part for start in (0, -16)}
    secrets |= {re.search(r'sign_key = "(.{16})', text)[1]}  # type: ignore[index]
    command = [program("sluicegate"), "serve", "--config", str(tmp_path / "sluicegate.toml"), "--log-format", form]
    ready = '"message": "ready"' if form == "json" else " ready address="
    with running(command, prints(ready)) as process:
        said = process.output()
        found = _ADDRESS.search(said[said.index(ready) :])
        assert found is not None, said
        gate, operators = (found[1], int(found[2])), (found[1], int(found[3]))
        answers = [_try(gate, attempt) for token in tokens for attempt in _attempts(token)]
        answers += [_try(operators, request(f"/health?token={token}", bearer(token))) for token in tokens]
        answers += [_try(gate, request(target)) for target in _WRITTEN]
        log = process.output()
    sent_back = "".join(f"{answer.headers}{answer.body!r}" for answer in answers if answer is not None)
    assert len(log.splitlines()) > 100
    for secret in secrets:
        assert secret not in log
        assert secret not in sent_back
    assert "Traceback" not in log
    assert all(line.isprintable() for line in log.splitlines())
    if form == "json":
        lines = [json.loads(line) for line in log.splitlines()]
        assert "forged" not in {line["message"] for line in lines}
        assert {line["level"] for line in lines} <= {"debug", "info", "warning"}
    else:
        assert not [line for line in log.splitlines() if re.match(r"\S+ error", line)]
