"""What is told of a request once its answer is over: read off the connection, so that it is what was really sent."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, final

from sluicegate.adapters.render import Response
from sluicegate.core.decision import Admit
from sluicegate.ports import Visit
from sluicegate.server.routes import Upstream

Told = Callable[[Visit], None]
"""Takes note of a request whose answer is over. Must not raise and must not block."""

_STATUS_LINE: Final = b"HTTP/1.1 "
_REQUEST_ID: Final = "X-Request-ID"


@final
class Meter(asyncio.Transport):
    """Stands between a connection and its transport, `inner`, and follows the request in flight."""

    __slots__ = ("_began", "_tell", "_visit", "inner")

    def __init__(self, inner: asyncio.Transport, tell: Told) -> None:
        super().__init__()
        self.inner = inner
        self._tell: Final = tell
        self._visit: Visit | None = None
        self._began = 0.0

    # the request in flight

    def begin(self, request_id: str, client: str, method: str, path: bytes) -> None:
        """A request has come."""
        self._began = time.monotonic()
        self._visit = Visit(at=time.time(), id=request_id, client=client, method=method, path=path.decode("latin-1"))

    def admitted(self, decision: Admit) -> None:
        """It may pass."""
        if self._visit is not None:
            identity = decision.identity
            self._visit.user = None if identity is None else identity.id
            self._visit.decision = "anonymous" if identity is None else "admitted"

    def routed(self, route: str) -> None:
        """It belongs to this route."""
        if self._visit is not None:
            self._visit.route = route

    def asked(self, upstream: Upstream) -> None:
        """It is sent on."""
        if self._visit is not None:
            self._visit.upstream = upstream.path or upstream.authority.decode()
            self._visit.upstream_took = -time.monotonic()  # until the answer begins

    def said(self, response: Response, client: str) -> None:
        """It is answered by us: also what was no request at all."""
        if self._visit is None:
            self.begin(next((value for name, value in response.headers if name == _REQUEST_ID), ""), client, "", b"")
        if self._visit is not None:
            self._visit.reason = response.reason

    def over(self, *, whole: bool) -> None:
        """Its answer has ended; `whole`: the client was sent all of it."""
        visit, self._visit = self._visit, None
        if visit is not None:
            visit.took = time.monotonic() - self._began
            visit.whole = whole
            self._tell(visit)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, and count."""
        visit = self._visit
        if visit is not None:
            visit.sent += len(data)
            if visit.status is None and bytes(data[:9]) == _STATUS_LINE:
                self._read_status(visit, int(data[9:12]))
        self.inner.write(data)

    @staticmethod
    def _read_status(visit: Visit, status: int) -> None:
        if status < 200 and status != 101:  # noqa: PLR2004 - interim (RFC 9110, 15.2)
            return
        visit.status = status
        if visit.upstream_took is not None:
            visit.upstream_took += time.monotonic()

    # as a transport

    def writelines(self, list_of_data: Any) -> None:  # noqa: ANN401 - as the standard library's
        """Send several pieces as one."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Ask the transport."""
        return self.inner.can_write_eof()

    def write_eof(self) -> None:
        """Have the transport do it."""
        self.inner.write_eof()

    def close(self) -> None:
        """Have the transport do it."""
        self.inner.close()

    def abort(self) -> None:
        """Have the transport do it."""
        self.inner.abort()

    def is_closing(self) -> bool:
        """Ask the transport."""
        return self.inner.is_closing()

    def pause_reading(self) -> None:
        """Have the transport do it."""
        self.inner.pause_reading()

    def resume_reading(self) -> None:
        """Have the transport do it."""
        self.inner.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Ask the transport."""
        return self.inner.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as the standard library's
        """Ask the transport."""
        return self.inner.get_extra_info(name, default)
