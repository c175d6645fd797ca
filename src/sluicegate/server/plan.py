"""What a request comes to: where its route leads, and what was last said of the same words."""

from typing import TYPE_CHECKING, Final, final

from sluicegate.core.policy import Policy
from sluicegate.core.request import Request, is_preflight
from sluicegate.server.actions import Action
from sluicegate.server.routes import ForwardAuth

if TYPE_CHECKING:
    from sluicegate.core.decision import Admit


@final
class Place:
    """A route, ready to serve."""

    __slots__ = ("action", "asked", "path", "policy", "publish")

    def __init__(
        self, action: Action, policy: Policy | None, asked: ForwardAuth | None, publish: Policy | None = None
    ) -> None:
        self.action: Final = action
        self.policy: Final = policy
        self.asked: Final = asked
        self.publish: Final = publish
        self.path = ""


@final
class Plan:
    """What a head leads to; serves again when the same head comes again on its connection.

    `words` is its request without what differs each time, `admitted` the last admission of them.
    """

    __slots__ = ("admitted", "gateway", "is_preflight", "place", "policy", "words")

    def __init__(self, gateway: object, place: Place, words: Request, policy: Policy | None) -> None:
        self.gateway: Final = gateway
        self.place: Final = place
        self.words: Final = words
        self.policy: Final = policy
        self.is_preflight: Final = words.method == "OPTIONS" and is_preflight(words)
        self.admitted: Admit | None = None
