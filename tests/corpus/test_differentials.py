"""What the gate passes on, nginx, Node.js and gunicorn read as the gate did: each request as one, and the same one."""

import asyncio
import re
import socket
from typing import Final

from tests.corpus.behind.servers import behind, differences, echo
from tests.corpus.case import read
from tests.corpus.generate import FAMILIES
from tests.corpus.reading import Sent
from tests.corpus.stage import performed, stage
from tests.server.gate import TOKEN

_OURS: Final = re.compile(rb"X-Request-ID: [^\r]*\r\n")


async def _passed_on() -> list[tuple[str, Sent]]:
    """Play the corpus; return what reached the upstream, each request once, with the name of its first case."""
    first: dict[bytes, tuple[str, Sent]] = {}
    async with stage() as here:
        for family in FAMILIES:
            for one in read(family):
                for sent in (await here.play(one.sent(TOKEN))).sent:
                    first.setdefault(_OURS.sub(b"", sent.raw), (f"{family} {one.id}", sent))
    return list(first.values())


async def _understood() -> dict[str, list[str]]:
    requests = await _passed_on()
    assert len(requests) > 1500
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with echo(listening):
            with behind(listening.getsockname()[1]) as ports:
                found = await asyncio.gather(*(differences(port, requests) for port in ports.values()))
                return dict(zip(ports, found, strict=True))


def test_three_servers_understand_what_the_gate_understood() -> None:
    assert performed(_understood()) == {"nginx": [], "Node.js": [], "gunicorn": []}
