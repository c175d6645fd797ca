"""Which pages may read our answers (WHATWG Fetch, 3.3). Refusals too: a page must be able to read its 401."""

from collections.abc import Sequence
from typing import Final, final

from sluicegate.server.wire.head import Head

_EXPOSED: Final = (
    b"Access-Control-Expose-Headers: X-Request-ID, X-Error-Type, X-Stream-ID, WWW-Authenticate, Retry-After\r\n"
)
_METHODS: Final = b"Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
_VARY_PREFLIGHT: Final = b"Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"
_MAX_AGE: Final = b"Access-Control-Max-Age: 600\r\n"


@final
class Cors:
    """Header lines for answers, by the `Origin` of the request. No origins: no lines at all."""

    def __init__(self, origins: Sequence[str]) -> None:
        self.configured: Final = bool(origins)
        # never with credentials: whoever allows every page must not hand each of them the user's cookies
        self._everyone: Final = b"Access-Control-Allow-Origin: *\r\n" if "*" in origins else b""
        self._lines: Final = {
            origin.encode(): b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Allow-Credentials: true\r\n"
            % origin.encode()
            for origin in origins
            if origin != "*"
        }

    def names(self, origin: bytes) -> bool:
        """Tell whether this origin is listed by its name: "*" names nobody."""
        return origin in self._lines

    def lines(self, head: Head) -> bytes:
        """Return the lines for an answer to this request."""
        if not self.configured:
            return b""
        if self._everyone:
            return self._everyone + _EXPOSED if b"origin" in head.block.by_name else b""
        # the answer depends on the field also where it is absent, and a cache must know
        return self._allowed(head, _EXPOSED) + b"Vary: Origin\r\n"

    def preflight(self, head: Head) -> bytes:
        """Return the lines for an answer to a preflight: every method, and the headers that it asks for."""
        if not self.configured:
            return b""
        asked = head.block.by_name.get(b"access-control-request-headers", b"")
        headers = b"Access-Control-Allow-Headers: %b\r\n" % asked if asked else b""
        return self._allowed(head, _METHODS + headers + _MAX_AGE) + _VARY_PREFLIGHT

    def _allowed(self, head: Head, more: bytes) -> bytes:
        allowed = self._everyone or self._lines.get(head.block.by_name.get(b"origin", b""), b"")
        return allowed + more if allowed else b""
