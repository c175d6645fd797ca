"""What is under every figure of the gateway: the event loop and the kernel. It reads nothing and says the same always.

Run by `python -m bench gateway` as `python -m bench.floor PORT`.
"""

import asyncio
import sys
from typing import cast, final

import uvloop

_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 31\r\nCache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\nX-Request-ID: 00000000-0000-00000\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    b"\r\nHello alice! Your tier: PREMIUM"
)


@final
class Floor(asyncio.Protocol):
    """One connection; whatever comes is taken for one request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, _data: bytes) -> None:
        """Answer."""
        self._transport.write(_ANSWER)


async def serve(port: int) -> None:
    """Listen until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
