"""The operators' listener: `/health`, on an address of its own."""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, final

import msgspec

from sluicegate.adapters.render import Response
from sluicegate.engine import new_id
from sluicegate.server.connection.listener import Address, Listener
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.wire.head import Block, Head
from sluicegate.server.wire.limits import Limits
from sluicegate.server.wire.respond import problem

Report = Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""Says how the gate is, as JSON: `status` and whatever else operators should know. May block, or be awaited."""

_BEARER: Final = b"bearer "
_OWN_HOST: Final = re.compile(rb"(?:localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?", re.IGNORECASE)


def _nobody(_: str) -> bool:
    return False


@final
class Health:
    """Answers `GET /health` with 200 and `status`, "ok" or "degraded", as long as the process serves.

    With a `token`, whoever does not present it as a bearer learns the status and nothing else. A page of another site
    learns nothing: browsers say where a request comes from, and that is refused.
    """

    def __init__(self, report: Report, *, token: str = "") -> None:
        self._report: Final = report
        self._token: Final = token.encode()
        self._listener: Final = Listener(self._answer, Limits(connections=256, idle=30), trusted=_nobody)

    @property
    def listener(self) -> Listener:
        """What accepts its connections."""
        return self._listener

    async def start(self, address: Address) -> Address:
        """Listen; return the address, with the port that the system chose for port 0. Raises `OSError`."""
        return await self._listener.start(address)

    async def stop(self, grace: float, *, quiet: float = 0) -> None:
        """Stop accepting, and let requests in flight end for so many seconds; `quiet` is as `Listener.stop` has it."""
        await self._listener.stop(grace, quiet=quiet)

    def _answer(self, connection: Connection, head: Head) -> None:
        request_id = new_id()
        if _is_of_another_site(head.block, by_name=bool(self._token)):
            connection.respond(problem(403, "cross_site", "Not for other sites", request_id=request_id))
        elif head.target.path != b"/health":
            connection.respond(problem(404, "route", "Nothing is served under this path", request_id=request_id))
        elif head.method not in {"GET", "HEAD"}:
            connection.respond(problem(405, "method", "Ask with GET", request_id=request_id))
        else:
            connection.wait(self._tell(connection, head, request_id))

    async def _tell(self, connection: Connection, head: Head, request_id: str) -> None:
        # in a thread: it asks the store, which may have gone silent
        told = await asyncio.to_thread(self._report)
        report = told if isinstance(told, Mapping) else await told
        shown = report if self._is_operator(head) else {"status": report["status"]}
        body = msgspec.json.encode(shown) + b"\n"
        headers = (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Request-ID", request_id),
        )
        connection.respond(Response(200, headers, body))

    def _is_operator(self, head: Head) -> bool:
        given = head.block.by_name.get(b"authorization", b"")
        presented = given[len(_BEARER) :].strip() if given.lower().startswith(_BEARER) else b""
        return not self._token or hmac.compare_digest(presented, self._token)


def _is_of_another_site(block: Block, *, by_name: bool) -> bool:
    """Tell whether a page of another site may be asking: by what browsers say, or by a name that was made ours.

    Whoever asks for an address, or for `localhost`, was not sent here by a name that its owner let point to us (DNS
    rebinding). `by_name`: a token guards what there is to learn, so any name will do.
    """
    fields = block.by_name
    if fields.get(b"sec-fetch-site", b"none") not in {b"none", b"same-origin"} or b"origin" in fields:
        return True
    return not by_name and _OWN_HOST.fullmatch(block.host) is None
