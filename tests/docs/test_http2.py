"""The recipes of docs/http2.md, as printed, with the real proxies and real clients of HTTP/2."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.cli.sluicegate import Config, Gateway, bearer, configure, serving
from tests.servers.caddy import caddy
from tests.servers.certificates import Authority, Certificate
from tests.servers.envoy import envoy
from tests.servers.nginx import nginx
from tests.servers.process import Process, program, running

PAGE: Final = (Path(__file__).parents[2] / "docs" / "http2.md").read_text(encoding="utf-8")
CLIENT: Final = "127.0.0.5"
_ROUTES: Final = """
[events]
subscribe = ["news"]
publish = ["news"]

[[route]]
path = "/events/{topic}"
events = true

[[route]]
path = "/*"
respond = "Hello {http.auth.user.id}!"
"""


@dataclass(frozen=True, slots=True)
class Front:
    """A proxy in front of a gate, and what its clients need."""

    port: int
    files: Certificate
    config: Config
    gateway: Gateway
    log: Path

    def curl(self, path: str, *arguments: str) -> list[str]:
        """Return the command that asks for a path over HTTP/2, from the client's address."""
        url = f"https://localhost:{self.port}{path}"
        known = ["--cacert", str(self.files.ca_file), "--resolve", f"localhost:{self.port}:127.0.0.1"]
        return ["curl", "-sS", "--http2", "--max-time", "30", "--interface", CLIENT, *known, *arguments, url]

    def header(self, *claims: str) -> str:
        """Return the header of a good token."""
        return ": ".join(bearer(self.config.mint(*claims)))


def recipe(language: str, files: Certificate, gate: int) -> str:
    """The block of this language, with the files and the gate of this test."""
    found = re.search(f"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    text = found[1].replace("/etc/ssl/app.pem", str(files.cert_file)).replace("/etc/ssl/app.key", str(files.key_file))
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{gate}").replace("port_value: 8080", f"port_value: {gate}")


@pytest.fixture(scope="module", params=["nginx", "caddy", "envoy"])
def front(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    directory = tmp_path_factory.mktemp("gate")
    files = authority.server(f"front-{request.param}")
    log = directory / "access.log"
    config = configure(directory, _ROUTES)
    http = f'[http]\ntrusted_proxies = ["127.0.0.1"]\naccess_log = "{log}"\n'
    config.path.write_text(config.path.read_text().replace("[http]\n", http))
    with ExitStack() as stack:
        gateway = stack.enter_context(serving(config))
        gate = gateway.address[1]
        match request.param:
            case "nginx":
                text = recipe("nginx", files, gate).replace("listen 8443", "listen $LISTEN")
                port = stack.enter_context(nginx(text)).port
            case "caddy":
                site = "https://localhost:$PORT {\n    bind 127.0.0.1"
                text = recipe("caddyfile", files, gate).replace("app.example.com:8443 {", site)
                port = stack.enter_context(caddy(text)).port
            case _:
                text = recipe("yaml", files, gate).replace("port_value: 8443", "port_value: $PORT")
                _, port = stack.enter_context(envoy(text))
        yield Front(port, files, config, gateway, log)


def seen(front: Front, path: str) -> dict[str, object]:
    """What the gate wrote down about the request for this path."""
    found: list[dict[str, object]] = []

    def there(_: Process) -> bool:
        lines = front.log.read_text().splitlines() if front.log.exists() else []
        found[:] = [line for line in map(json.loads, lines) if line["path"] == path]
        return bool(found)

    front.gateway.process.wait_until(there, within=10)
    return found[0]


def test_curl_is_served_over_http2_and_the_gate_knows_its_address(front: Front) -> None:
    lie = ["-H", "X-Forwarded-For: 203.0.113.99"]
    command = front.curl("/who", "-H", front.header(), *lie, "-w", "\n%{http_version}")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "Hello alice!\n2"
    assert seen(front, "/who")["client"] == CLIENT


def test_a_refusal_arrives_whole(front: Front) -> None:
    command = front.curl("/none", "-i", "-H", "X-Auth-User-Id: root")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("HTTP/2 401")
    assert 'www-authenticate: Bearer realm="sluicegate"' in done.stdout
    assert '"reason":"missing"' in done.stdout


_NODE: Final = """
const http2 = require("http2"), fs = require("fs");
const [url, ca, token] = process.argv.slice(2);
const client = http2.connect(url, {ca: fs.readFileSync(ca)});
let waiting = 20;
for (let number = 0; number < 20; number++) {
    const asked = client.request({":path": "/many/" + number, "authorization": token});
    let body = "";
    asked.on("data", data => body += data);
    asked.on("end", () => { console.log(body); if (--waiting === 0) client.close(); });
}
"""


def test_nodes_http2_client_has_many_requests_on_one_connection(front: Front, tmp_path: Path) -> None:
    script = tmp_path / "client.js"
    script.write_text(_NODE)
    token = front.header().partition(": ")[2]
    command = [program("node"), str(script), f"https://localhost:{front.port}", str(front.files.ca_file), token]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "Hello alice!\n" * 20


def test_events_arrive_one_by_one_and_the_stream_ends_with_its_token(front: Front) -> None:
    command = front.curl("/events/news", "-N", "-H", front.header("--jti", "reader"))
    writer = bearer(front.config.mint("--jti", "writer", "--scope", "topic:write"))

    def came(text: str) -> bool:
        return text in process.output()

    with running(command, lambda process: "retry:" in process.output()) as process:
        for number in range(3):
            say = front.curl("/events/news", "-H", ": ".join(writer), "-H", "Content-Type: text/plain")
            subprocess.run([*say, "-d", f"event {number}"], check=True, capture_output=True)
            text = f"data: event {number}\n"
            process.wait_until(lambda _, text=text: came(text), within=10)  # type: ignore[misc]
        assert front.config.run("revoke", "--jti", "reader").code == 0
        assert process.wait() == 0
        assert "event: auth" in process.output()
