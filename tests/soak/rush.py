"""Requests by the thousand a second, at a pace: what a crowd written in Python is too slow to send."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.servers.process import program

CONNECTIONS: Final = 128
DELAY: Final = 4
"""Milliseconds between two requests of a connection: up to some 25,000 requests a second in all."""

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


@contextmanager
def rush(directory: Path, address: tuple[str, int], tokens: Sequence[str], *, seconds: float) -> Iterator[None]:
    """Send requests with these tokens until the block ends, or for so many seconds."""
    script = directory / "rush.lua"
    named = "{" + ", ".join(map(json.dumps, tokens)) + "}"
    script.write_text(_SCRIPT.replace("TOKENS", named).replace("DELAY", str(DELAY)), encoding="ascii")
    host, port = address
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{max(1, int(seconds))}s", "-s", str(script)]
    process = subprocess.Popen(
        [program("wrk"), *options, f"http://{host}:{port}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield
    finally:
        process.terminate()
        said, _ = process.communicate()
        print(
            "rush: " + "; ".join(line.strip() for line in said.splitlines() if "requests" in line or "Non-2xx" in line)
        )
