"""Requests by the thousand a second, at a pace: what a crowd written in Python is too slow to send."""

import asyncio
import json
import re
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, final

from tests.servers.process import program

CONNECTIONS: Final = 64
"""To begin with; how many hold a gateway at its load is found out on the way."""

_MOST: Final = 400

DELAY: Final = 4
"""Milliseconds between two requests of a connection: up to some 250 requests a second each."""

_SECONDS: Final = 15  # of one wrk: then as many connections as are wanted by then

_REQUESTS: Final = re.compile(r"(\d+) requests in")
_SCRIPT: Final = """
local tokens, paths, count = TOKENS, {"/hello", "/api/things", "/hello", "/hello"}, 0
function delay() return DELAY end
function request()
    count = count + 1
    local token = tokens[count % #tokens + 1]
    local headers = {["Authorization"] = "Bearer " .. token, ["Host"] = "localhost"}
    return wrk.format("GET", paths[count % #paths + 1], headers)
end
"""


@final
class Rush:
    """Sends requests with these tokens, on as many connections as keep a gateway at its load."""

    def __init__(self, directory: Path, address: tuple[str, int], tokens: Sequence[str]) -> None:
        self.connections = CONNECTIONS
        self.sent = 0
        self.failed: list[str] = []
        self._script: Final = directory / "rush.lua"
        named = "{" + ", ".join(map(json.dumps, tokens)) + "}"
        self._script.write_text(_SCRIPT.replace("TOKENS", named).replace("DELAY", str(DELAY)), encoding="ascii")
        self._url: Final = f"http://{address[0]}:{address[1]}"

    async def play(self, done: asyncio.Event, *, load: float, cpu: Callable[[], float]) -> None:
        """Rush until that happens. `load` is a part of a core, `cpu` the seconds of it that the gateway has used."""
        while not done.is_set():
            begun, used = time.monotonic(), await asyncio.to_thread(cpu)
            await self._once(done)
            seen = (await asyncio.to_thread(cpu) - used) / (time.monotonic() - begun)
            # no further than twice or half: beside a wrk that has just begun, a load says little
            step = min(2.0, max(0.5, load / max(seen, 0.01)))
            self.connections = min(_MOST, max(1, round(self.connections * step)))

    async def _once(self, done: asyncio.Event) -> None:
        options = ["-t1", f"-c{self.connections}", f"-d{_SECONDS}s", "-s", str(self._script)]
        wrk = await asyncio.create_subprocess_exec(program("wrk"), *options, self._url, stdout=PIPE, stderr=STDOUT)
        over = asyncio.ensure_future(done.wait())
        said = asyncio.ensure_future(wrk.communicate())
        await asyncio.wait({over, said}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not said.done():
            wrk.terminate()
        for line in (await said)[0].decode().splitlines():
            if found := _REQUESTS.search(line):
                self.sent += int(found[1])
            elif "Non-2xx" in line or "Socket errors" in line:
                self.failed.append(line.strip())
