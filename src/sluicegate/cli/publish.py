"""`publish`: an event for the readers of a topic, by way of a running gateway."""

import http.client
import json
import sys
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import msgspec
import typer

from sluicegate import compose
from sluicegate.cli.arguments import AsJson, Config, plain, print_json, read_token
from sluicegate.cli.exits import Exit, fail, reported
from sluicegate.settings import Settings

_WITHIN = 10.0
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


def publish(
    topic: Annotated[str, typer.Argument(help="The topic's name.")],
    data: Annotated[str, typer.Argument(help="What the event says; - reads it from standard input.")],
    *,
    token: Annotated[
        str,
        typer.Option(
            "--token", envvar="SLUICEGATE_TOKEN", help="A token with scope topic:write; - reads it from standard input."
        ),
    ],
    event: Annotated[str, typer.Option("--event", help="The event's name; without it, the usual one.")] = "",
    url: Annotated[
        str | None, typer.Option("--url", help="The gateway, http:// or https://; without it, the one of the settings.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Publish an event. Prints its id where the gateway keeps it; exits with 1 when refused, 3 when nobody answers."""
    if token == data == "-":  # noqa: S105 - not a secret, but where one comes from
        fail("standard input is read once; give the token in SLUICEGATE_TOKEN")
    with reported():
        settings = compose.settings_of(config)
    text = sys.stdin.read() if data == "-" else data
    body = msgspec.json.encode({"event": event, "data": text})
    status, answer = _post(settings, url, topic, body, read_token(token))
    if as_json:
        print_json({"status": status, **answer})
    elif status in {201, 202}:
        print(answer.get("id", "published, and not kept"))
    if status >= 500:  # noqa: PLR2004 - RFC 9110, 15.6
        fail(f"the gateway answered {status}: {plain(str(answer.get('message', '')))}", Exit.UNAVAILABLE)
    if status not in {201, 202}:
        words = plain(f"{answer.get('reason', '')}: {answer.get('message', '')}")
        fail(f"the gateway refused with {status} {words}", Exit.REFUSED)


def _post(settings: Settings, url: str | None, topic: str, body: bytes, token: str) -> tuple[int, dict[str, Any]]:
    path = next((route.path for route in settings.route if route.events), "/events/{topic}")
    path = path.replace("{topic}", quote(topic, safe="", errors="surrogateescape"))
    connection, prefix = _connection(settings, url)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", prefix + path, body, headers)
        answer = connection.getresponse()
        said = json.loads(answer.read(65_536) or b"{}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        fail(f"the gateway at {connection.host}:{connection.port} cannot be asked: {error}", Exit.UNAVAILABLE)
    finally:
        connection.close()
    return answer.status, said if isinstance(said, dict) else {}


def _connection(settings: Settings, url: str | None) -> tuple[http.client.HTTPConnection, str]:
    if url is None:
        bind = settings.http.bind_address
        return http.client.HTTPConnection(_EVERYWHERE.get(bind.host, bind.host), bind.port, timeout=_WITHIN), ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        fail("--url has a host or port that cannot be; write it so: http://127.0.0.1:8080")
    if host is None or parts.scheme not in {"http", "https"}:
        fail("--url is no address of a gateway; write it so: http://127.0.0.1:8080")
    made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return made(host, port, timeout=_WITHIN), parts.path.rstrip("/")
