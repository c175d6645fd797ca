"""Which pages may use the cookie of a user: a browser sends it along whoever asks."""

from typing import Final, final

from sluicegate.adapters.hops import scheme_by
from sluicegate.adapters.render import Response
from sluicegate.core.decision import Admit
from sluicegate.server.connection.shared import Peer
from sluicegate.server.cors import Cors
from sluicegate.server.wire.head import Head
from sluicegate.server.wire.respond import problem

FOREIGN: Final = "A page of another origin may not use this cookie here"

_SECURED: Final = frozenset({b"https", b"wss"})


@final
class Pages:
    """Tells the pages of a gate from those of somebody else.

    `reads_forwarded`: trusted proxies say in `Forwarded` with what scheme they were asked, else in `X-Forwarded-Proto`.
    """

    def __init__(self, cors: Cors, *, reads_forwarded: bool = False) -> None:
        self.cors: Final = cors
        self._told: Final = scheme_by(reads_forwarded=reads_forwarded)

    def is_foreign(self, peer: Peer, head: Head, decision: Admit | None) -> bool:
        """Tell whether a page of somebody else's sent this, with a cookie that the browser added.

        With one, a request for something that stays open must come from a page of this host, or of an origin that the
        operator lists by name. Browsers leave `Origin` out only where a page asks its own host, and say so too; for a
        WebSocket, to which the rules between origins do not apply, they never leave it out.
        """
        if decision is None or decision.source is None or decision.source.kind != "cookie":
            return False
        origin = head.block.by_name.get(b"origin")
        if origin is None:
            return head.block.by_name.get(b"sec-fetch-site", b"none") not in {b"none", b"same-origin"}
        return not self._is_own(origin, peer, head) and not self.cors.names(origin)

    def _is_own(self, origin: bytes, peer: Peer, head: Head) -> bool:
        """Tell whether this is the origin of the host that was asked.

        What is a page of `http` whoever is on the way has written, so it may not speak for a host that is asked with
        TLS. That is known where TLS ends here, or where a trusted proxy says so. Elsewhere TLS may have ended in front
        of us without a word, and a page of `https` is never less than what was asked for.
        """
        scheme, _, host = origin.lower().partition(b"://")
        return host == head.block.host.lower() and (scheme == b"https" or not self._is_secured(peer, head))

    def _is_secured(self, peer: Peer, head: Head) -> bool:
        return self._told(head.block.fields) in _SECURED if peer.trusted else peer.scheme == "https"


def not_from_there(request_id: str) -> Response:
    """Return the answer to a foreign page."""
    return problem(403, "origin", FOREIGN, request_id=request_id)
