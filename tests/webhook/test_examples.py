"""RevenProx's three webhooks, as its documentation prints them, as processes behind the gateway."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from sluicegate.core.topics import topic_id
from tests.cli.sluicegate import Config, Gateway, bearer, serving
from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import answers, program, running
from tests.table.tokens import ABSENT, base64url, sign

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples" / "webhook"
PAGE: Final = (ROOT / "docs" / "webhook.md").read_text(encoding="utf-8")
SECRET: Final = "the secret that issuer and webhook share, and the gate does not know"
CALLS: Final = "the secret that gate and webhook share"

NODE: Final = {"NODE_PATH": str(ROOT / "tests" / "interop" / "node" / "node_modules")}
TOPICS_CHECKED: Final = """function canAccessTopic(userId, topicHex) {
  // Example: User can only access their own notification topic
  const userTopicPrefix = hashUserId(userId);
  return topicHex.startsWith(userTopicPrefix);
}

function hashUserId(userId) {
  return require('crypto').createHash('sha256').update(userId).digest('hex').slice(0, 8);
}
"""
"""The second `canAccessTopic` of RevenProx's page, and the function that it leaves to the reader."""

Started = Callable[[Path, int], tuple[list[str], Mapping[str, str]]]


def express(directory: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    return [program("node"), placed("express/server.js", directory, port)], NODE


def express_with_topics(directory: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    """The same with the page's second `canAccessTopic` in place of the first."""
    path = Path(placed("express/server.js", directory, port))
    text = path.read_text(encoding="utf-8")
    open_to_all = re.search(r"function canAccessTopic.*?^}\n", text, re.DOTALL | re.MULTILINE)
    assert open_to_all is not None
    path.write_text(text.replace(open_to_all[0], TOPICS_CHECKED), encoding="utf-8")
    return [program("node"), str(path)], NODE


def flask(directory: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    return [program("python"), placed("flask/app.py", directory, port)], {}


def documented(directory: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    """The webhook of docs/webhook.md, which checks topics and who asks."""
    found = re.search(r"## Writing one.*?```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    (directory / "documented.py").write_text(found[1], encoding="utf-8")
    command = [program("flask"), "--app", str(directory / "documented.py"), "run", f"--port={port}"]
    return command, {"WEBHOOK_SECRET": CALLS}


def golang(directory: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    for name in ("main.go", "go.mod", "go.sum"):
        placed(f"go/{name}", directory, port)
    subprocess.run(["go", "build", "-o", "webhook", "."], cwd=directory, check=True, timeout=300)
    return [str(directory / "webhook")], {}


def placed(name: str, directory: Path, port: int) -> str:
    """Copy an example as it is, but for the port."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    path = directory / Path(name).name
    path.write_text(text.replace("9000", str(port)), encoding="utf-8")
    return str(path)


# Where there is no Go toolchain, there is nothing to run: the example is not among those that are tried.
THREE: Final[Mapping[str, Started]] = {"express": express, "flask": flask, "go": golang}
# Where there is no Go toolchain, there is nothing to run: the example is not among those that are tried.
ALL: Final = [name for name in THREE if name != "go" or shutil.which("go")]

PRINTED: Final = {
    "express/server.js": "f098606d222c947206f5e876270d1c8b3c5e75cdcda83173a40290415c0d3870",
    "flask/app.py": "8f5a53d84f56d5618cae32b59ae83995f8bba3d8ffe401676ac65f4e8ae4cf9d",
    "go/main.go": "244b796c3bddf12f444d80be6f722355b8e749c851fe9310c037d26e987c965d",
}
"""SHA-256 of each example as RevenProx prints it."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A gateway in front of a running webhook."""

    gateway: Gateway
    name: str

    def outcome(self, token: str, topic: str = "news") -> str:
        """What the gateway says: the user it greets, or status and reason."""
        answer = self.gateway.get(f"/topics/{topic}", bearer(token))
        if answer.status == 200:
            return answer.body.decode()
        found = re.search(rb'"reason":"(\w+)"', answer.body)
        assert found is not None
        return f"{answer.status} {found[1].decode()}"


def configured(directory: Path, port: int) -> Config:
    """Write the configuration of a gateway in front of the webhook on this port."""
    path = directory / "sluicegate.toml"
    path.write_text(
        f'state_dir = "{directory}/state"\n'
        '[http]\nbind_address = "127.0.0.1:0"\n[admin]\nbind_address = "127.0.0.1:0"\n'
        f'[jwt_verifier]\nwebhook_url = "http://{LOOPBACK}:{port}/verify"\nsecret = "{CALLS}"\n'
        '[[route]]\npath = "/topics/{topic}"\nrespond = "Hello {http.auth.user.id}!"\n'
    )
    return Config(path)


@contextmanager
def behind(name: str, start: Started, directory: Path) -> Iterator[Behind]:
    with reserved_port() as port:
        command, environment = start(directory, port)
        webhook = running(command, answers(port), environment={"JWT_SECRET": SECRET, **environment})
        with webhook, serving(configured(directory, port)) as gateway:
            yield Behind(gateway, name)


@pytest.fixture(scope="module", params=ALL)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """Each of the three, started once for all the tests below."""
    with behind(request.param, THREE[request.param], tmp_path_factory.mktemp(request.param)) as started:
        yield started


def token(*, secret: str = SECRET, header: Mapping[str, str] | None = None, **claims: object) -> str:
    """A token of the issuer's: no `jti`, as RevenProx's are."""
    chosen = {"sub": "user123", "exp": int(time.time()) + 600, **claims}
    chosen = {name: value for name, value in chosen.items() if value is not ABSENT}
    return sign({"alg": "HS256", "typ": "JWT", **(header or {})}, chosen, secret=secret.encode())


def test_the_examples_are_those_that_revenprox_prints() -> None:
    found = {name: sha256((EXAMPLES / name).read_bytes()).hexdigest() for name in PRINTED}
    assert found == PRINTED


@pytest.mark.timeout(300)  # Go compiles its standard library when it is first used
def test_a_valid_token_is_let_in_as_its_user(example: Behind) -> None:
    assert example.outcome(token()) == "Hello user123!"
    assert example.outcome(token(sub="another")) == "Hello another!"


def test_an_expired_token_is_refused(example: Behind) -> None:
    assert example.outcome(token(exp=int(time.time()) - 10)) == "401 expired"


def test_a_token_that_has_not_begun_is_refused(example: Behind) -> None:
    assert example.outcome(token(nbf=int(time.time()) + 600)) == "401 not_yet_valid"


@pytest.mark.parametrize(
    "forged",
    [
        token(secret="somebody else's"),
        token().rpartition(".")[0] + ".",
        token().rpartition(".")[0] + "." + base64url(b"\0" * 32),
        sign({"alg": "none"}, {"sub": "user123", "exp": 4_102_444_800}).rpartition(".")[0] + ".",
        sign({"alg": "HS512"}, {"sub": "user123", "exp": 4_102_444_800}, secret=SECRET.encode()),
        ".".join([*token(sub="admin").split(".")[:2], token().rpartition(".")[2]]),
    ],
    ids=["another secret", "no signature", "zeros", "none", "another algorithm", "another token's signature"],
)
def test_a_forged_token_is_refused(example: Behind, forged: str) -> None:
    assert example.outcome(forged) == "401 denied"


def test_what_is_no_token_is_refused_unasked(example: Behind) -> None:
    assert example.outcome("not.a.token") == "401 malformed"


def test_a_token_without_exp_is_let_in_where_the_webhook_can_say_so(example: Behind) -> None:
    """The one in Go breaks off without an answer, which is nobody's yes."""
    expected = "503 webhook_unavailable" if example.name == "go" else "Hello user123!"
    assert example.outcome(token(exp=ABSENT)) == expected


def test_a_token_of_nobody_is_let_in_by_none_of_them(example: Behind) -> None:
    expected = "503 webhook_unavailable" if example.name == "go" else "401 user_claim"
    assert example.outcome(token(sub=ABSENT)) == expected


@pytest.mark.parametrize(("name", "start"), [("express", express_with_topics), ("documented", documented)])
def test_a_token_opens_the_topics_that_the_webhook_allows_it_and_no_other(
    name: str, start: Started, tmp_path: Path
) -> None:
    own = {"express": sha256(b"user123").hexdigest()[:8] + "0" * 24, "documented": "inbox-user123"}[name]
    other = {"express": sha256(b"another").hexdigest()[:8] + "0" * 24, "documented": "inbox-another"}[name]
    with behind(name, start, tmp_path) as started:
        good = token()
        for _ in range(2):  # the second time from memory
            assert started.outcome(good, own) == "Hello user123!"
            assert started.outcome(good, other) == "401 denied"
        assert started.outcome(good, own.upper() if name == "express" else topic_id(own)) == "Hello user123!"
        assert started.outcome(token(secret="x"), own) == "401 denied"


def test_the_documented_webhook_answers_nobody_but_the_gate(tmp_path: Path) -> None:
    with reserved_port() as port:
        command, environment = documented(tmp_path, port)
        others = {"JWT_SECRET": SECRET, **environment, "WEBHOOK_SECRET": "another"}
        webhook = running(command, answers(port), environment=others)
        with webhook, serving(configured(tmp_path, port)) as gateway:
            assert Behind(gateway, "documented").outcome(token()) == "503 webhook_unavailable"
            assert "answered 403" in gateway.process.output()
