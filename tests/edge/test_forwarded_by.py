"""Which of two fields a trusted proxy is believed by, before a real upstream that tells what it saw."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.sluicegate import bearer, configure, serving
from tests.servers.nginx import Nginx, nginx

SAYS = """
server {
    listen $LISTEN;
    location / {
        default_type application/json;
        set $told '"for": "$http_x_forwarded_for", "proto": "$http_x_forwarded_proto"';
        return 200 '{$told, "forwarded": "$http_forwarded"}';
    }
}
"""
SENT = (
    ("Forwarded", "for=203.0.113.7;proto=https, for=127.0.0.1"),
    ("X-Forwarded-For", "198.51.100.9"),
    ("X-Forwarded-Proto", "wss"),
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Nginx]:
    with nginx(SAYS) as server:
        yield server


def seen(directory: Path, upstream: Nginx, http: str) -> tuple[dict[str, str], str]:
    """What the upstream sees of the request, and whom the log names."""
    config = configure(directory, f'[[route]]\npath = "/*"\nupstream = "http://{upstream.address}"\n')
    log = directory / "access.log"
    lines = f'[http]\naccess_log = "{log}"\n{http}\n'
    config.path.write_text(config.path.read_text().replace("[http]\n", lines, 1))
    with serving(config) as gateway:
        answer = gateway.get("/", bearer(config.mint()), *SENT)
        assert answer.status == 200, answer.body
    told: dict[str, str] = json.loads(answer.body.replace(b'="', b"=").replace(b'";', b";"))
    return told, json.loads(log.read_text().splitlines()[0])["client"]


def test_by_default_a_trusted_proxy_is_believed_by_x_forwarded_and_forwarded_ends_here(
    tmp_path: Path, upstream: Nginx
) -> None:
    told, client = seen(tmp_path, upstream, 'trusted_proxies = ["127.0.0.1"]')
    assert told == {"for": "198.51.100.9, 127.0.0.1", "proto": "wss", "forwarded": ""}
    assert client == "198.51.100.9"


def test_a_proxy_that_writes_forwarded_is_believed_by_that_and_its_clients_x_forwarded_are_not(
    tmp_path: Path, upstream: Nginx
) -> None:
    told, client = seen(tmp_path, upstream, 'trusted_proxies = ["127.0.0.1"]\nforwarded_by = "forwarded"')
    assert told["for"] == "203.0.113.7, 127.0.0.1, 127.0.0.1"
    assert told["forwarded"].startswith("for=203.0.113.7;proto=https, for=127.0.0.1, for=127.0.0.1;proto=http;host=")
    assert client == "203.0.113.7"


def test_from_anybody_else_neither_is_believed(tmp_path: Path, upstream: Nginx) -> None:
    told, client = seen(tmp_path, upstream, 'forwarded_by = "forwarded"')
    assert told["for"] == "127.0.0.1"
    assert told["forwarded"].startswith("for=127.0.0.1;proto=http;host=")
    assert client == "127.0.0.1"
