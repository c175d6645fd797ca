"""Which pages may use the cookie of a user: a browser sends it along whoever asks."""

from typing import Final

from sluicegate.adapters.render import Response
from sluicegate.core.decision import Admit
from sluicegate.server.cors import Cors
from sluicegate.server.wire.head import Head
from sluicegate.server.wire.respond import problem

FOREIGN: Final = "A page of another origin may not use this cookie here"


def is_foreign(head: Head, decision: Admit | None, cors: Cors) -> bool:
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
    return not is_own(origin, head) and not cors.names(origin)


def is_own(origin: bytes, head: Head) -> bool:
    """Tell whether this is the origin of the host that was asked. The scheme is only known to whatever ended TLS."""
    return origin.partition(b"://")[2].lower() == head.block.host.lower()


def not_from_there(request_id: str) -> Response:
    """Return the answer to a foreign page."""
    return problem(403, "origin", FOREIGN, request_id=request_id)
