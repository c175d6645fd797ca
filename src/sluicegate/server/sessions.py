"""How TLS is spoken to one service: what was agreed upon with it is taken up again (RFC 8446, 2.2; RFC 5077)."""

import ssl
import time
from collections.abc import Callable
from typing import Final, final

_LONGEST: Final = 3600.0
"""Seconds after which the service has to show its certificate again."""


@final
class Sessions(ssl.SSLContext):
    """A client's context for one service. asyncio hands no session on, so the context does.

    Nothing is verified anew when a session is resumed: whoever can resume it holds what only the service was given. One
    handshake in an hour is a whole one all the same, for certificates end.
    """

    clock: Callable[[], float] = time.monotonic
    _session: ssl.SSLSession | None = None
    _ends = 0.0

    def __new__(cls) -> "Sessions":
        """Make a context that verifies, and offers HTTP/1.1 alone (RFC 7301)."""
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def remember(self, connection: ssl.SSLObject) -> None:
        """Take note of the session of a connection over which a response has come: tickets come with the first."""
        if not connection.session_reused:
            self._ends = self.clock() + _LONGEST
        self._session = connection.session

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - as in the standard library
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a handshake, with the last session where there is one."""
        if session is None and self.clock() < self._ends:
            session = self._session
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
