"""What a test does with an issuer: starts it, publishes, rotates, misbehaves, counts."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

from tests.jwks.published import Published, document
from tests.servers.certificates import Certificate
from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import Process, prints

ROOT: Final = Path(__file__).parents[2]
KEYS: Final = "/keys"
WELL_KNOWN: Final = "/.well-known/openid-configuration"


@final
class Issuing:
    """An issuer on a port of its own. What is published counts from its next request on."""

    def __init__(self, port: int, directory: Path, certificate: Certificate | None) -> None:
        self.url = f"{'https' if certificate else 'http'}://{LOOPBACK}:{port}"
        self.jwk_url = self.url + KEYS
        self._directory = directory
        files = [str(certificate.cert_file), str(certificate.key_file)] if certificate else []
        self._command = [sys.executable, "-m", "tests.jwks.issuer", str(port), str(directory), *files]
        self._answers: dict[str, Mapping[str, Any]] = {}
        self._process: Process | None = None
        (directory / "requests.log").touch()
        self._write()

    def start(self) -> None:
        """Start it, or start it again."""
        self.stop()
        self._process = Process(self._command, environment=None, directory=ROOT)
        self._process.wait_until(prints("ready"))

    def stop(self) -> None:
        """Stop it: connections to it are refused."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def publish(self, *keys: Published, name: str = "", max_age: int = 300, path: str = KEYS) -> None:
        """Publish these keys, and no others. Fetches of what has a name are counted by it."""
        headers = {"Cache-Control": f"public, max-age={max_age}"}
        body = document(*(key.jwk() for key in keys)).decode()
        self._answers[path] = {"body": body, "name": name, "headers": headers}
        self._write()

    def say(
        self,
        body: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        manner: str = "whole",
        path: str = KEYS,
    ) -> None:
        """Answer this at a path."""
        self._answers[path] = {"status": status, "headers": dict(headers or {}), "body": body, "manner": manner}
        self._write()

    def describe(self, *, issuer: str | None = None, jwks_uri: str | None = None) -> None:
        """Publish the discovery document."""
        document = {"issuer": issuer or self.url, "jwks_uri": jwks_uri or self.jwk_url}
        self.say(json.dumps(document), path=WELL_KNOWN)

    def requests(self, path: str = KEYS) -> int:
        """How often a path was asked for."""
        return sum(line.partition(" ")[0] == path for line in self._log())

    def fetched(self, name: str) -> int:
        """How often what was published under this name was fetched."""
        return sum(line.partition(" ")[2] == name for line in self._log())

    def connections(self) -> int:
        """How often anybody connected, whatever he said."""
        return sum(line == "connected" for line in self._log())

    def _log(self) -> list[str]:
        return (self._directory / "requests.log").read_text().splitlines()

    def _write(self) -> None:
        # in one step: a request must never read half of it
        draft = self._directory / "answers.draft"
        draft.write_text(json.dumps(self._answers))
        draft.replace(self._directory / "answers.json")


@contextmanager
def issuer(directory: Path, certificate: Certificate | None = None) -> Iterator[Issuing]:
    """Run an issuer until the block ends; with a certificate it speaks TLS."""
    directory.mkdir(exist_ok=True)
    with reserved_port() as port:
        issuing = Issuing(port, directory, certificate)
        issuing.start()
        try:
            yield issuing
        finally:
            issuing.stop()
