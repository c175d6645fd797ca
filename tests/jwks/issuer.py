"""An issuer as a process: an HTTPS server that says what a file tells it to, also what no issuer should.

    python -m tests.jwks.issuer PORT DIRECTORY [CERT_FILE KEY_FILE]

`answers.json` in the directory maps paths to answers and is read anew for each request; `requests.log` gets one line
for each, with the `name` of what was answered, and one for each connection. An answer has a `status`, `headers`, a
`body`, and a `manner`: "whole", "hang" (says nothing), "trickle" (a byte a second), "endless" (a body that never ends,
as fast as it is read) or "short" (closes before what it promised).
"""

import asyncio
import json
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.servers.ports import LOOPBACK

_BLOCK: Final = b" " * 65_536
_NOT_FOUND: Final[Mapping[str, Any]] = {"status": 404, "body": "not found"}


async def serve(port: int, directory: Path, tls: ssl.SSLContext | None) -> None:
    """Serve until the process ends."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _note(directory, "connected")
        try:
            while await _exchange(directory, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, LOOPBACK, port, ssl=tls, backlog=1024)
    print("ready", flush=True)  # noqa: T201 - what whoever starts it waits for
    await server.serve_forever()


def _note(directory: Path, line: str) -> None:
    with (directory / "requests.log").open("a") as log:
        log.write(f"{line}\n")


async def _exchange(directory: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer one request; tell whether the connection goes on."""
    head = await reader.readuntil(b"\r\n\r\n")
    path = head.split(b" ", 2)[1].decode()
    answer = json.loads((directory / "answers.json").read_text()).get(path, _NOT_FOUND)
    _note(directory, f"{path} {answer.get('name', '')}")
    body = answer.get("body", "").encode()
    manner: str = answer.get("manner", "whole")
    fields = {"Content-Type": "application/json", "Content-Length": len(body) + 100 * (manner == "short")}
    if manner == "endless":
        fields["Content-Length"] = 1 << 30
    fields |= answer.get("headers", {})
    lines = [f"HTTP/1.1 {answer.get('status', 200)} X", *(f"{name}: {value}" for name, value in fields.items())]
    whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    if manner == "hang":
        await reader.read()
    elif manner == "trickle":
        for byte in whole:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)
    else:
        writer.write(whole)
        while manner == "endless":
            writer.write(_BLOCK)
            await writer.drain()
        await writer.drain()
    return manner == "whole"


def main() -> None:
    """Read the command line, and serve."""
    port, directory, *certificate = sys.argv[1:]
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*certificate)
    asyncio.run(serve(int(port), Path(directory), tls))


if __name__ == "__main__":
    main()
