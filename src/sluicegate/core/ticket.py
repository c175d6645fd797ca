"""Tickets: a token's admission to one topic, handed on once, for a client that can set no header.

What is kept under a ticket's name is what a decision needs to be made again, and nothing that opens anything: who it
is, what the token can be revoked by, when it ends. The token itself is not in it, nor the ticket.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from sluicegate.core.claims import Identifiers, freeze
from sluicegate.core.decision import Identity
from sluicegate.core.flow import FindRevocation
from sluicegate.core.policy import Policy, Requirement, TicketKey
from sluicegate.core.request import Request, Source

SECONDS: Final = 30
"""How long a ticket waits to be used."""

SOURCE: Final = Source("query", "ticket")

_PARAMETER: Final = re.compile(rb"(?:^|&)ticket=([^&]*)")
_TICKET: Final = re.compile(rb"[A-Za-z0-9_-]{43}")  # 32 bytes
_MAC: Final = 32


class Sealed(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """What is kept. `origin` is the page that asked, empty for a client that is no page.

    `met` is a digest of what was required of claims, `layout` one of how the store's keys are spelt.
    """

    topic: str
    origin: bytes
    id: str
    jti: str | None
    issuer: str | None
    scopes: tuple[str, ...]
    meta: dict[str, Any]
    expires_at: float | None
    keys: tuple[str, ...]
    issued_at: float | None
    met: bytes
    layout: bytes

    @property
    def identity(self) -> Identity:
        """Who it is: the identity of the token that the ticket was made with."""
        return Identity(
            id=self.id,
            jti=self.jti,
            issuer=self.issuer,
            scopes=self.scopes,
            meta=freeze(self.meta),
            expires_at=self.expires_at,
        )

    def identifiers(self, policy: Policy) -> Identifiers:
        """Return what that token can be revoked by."""
        return Identifiers(FindRevocation(self.keys), self.jti, self.issued_at, policy.layout)


_encode: Final = msgspec.msgpack.Encoder(enc_hook=dict).encode
_decode: Final = msgspec.msgpack.Decoder(Sealed).decode


def ticket_in(query: bytes) -> bytes | None:
    """Return the ticket that a query carries, if any: the first, as it stands."""
    found = _PARAMETER.search(query)
    return None if found is None else found[1]


def is_ticket(text: bytes) -> bool:
    """Tell whether a text has the form of a ticket."""
    return _TICKET.fullmatch(text) is not None


def name_of(ticket: bytes) -> str | None:
    """Return the name that a ticket is kept under; None where it is none.

    A hash, so that whoever reads the ledger holds no ticket.
    """
    return hashlib.sha256(ticket).hexdigest() if is_ticket(ticket) else None


def seal(identity: Identity, identifiers: Identifiers, policy: Policy, *, topic: str, origin: bytes) -> bytes:
    """Write what is kept under a ticket. It is proven by the gate's key: who can write the ledger can forge none.

    Raises `ValueError` for a policy that takes no tickets.
    """
    if policy.tickets is None:
        msg = "this policy takes no tickets"
        raise ValueError(msg)
    meta: Mapping[str, Any] = dict(identity.meta)
    record = _encode(
        Sealed(
            topic=topic,
            origin=origin,
            id=identity.id,
            jti=identity.jti,
            issuer=identity.issuer,
            scopes=identity.scopes,
            meta=dict(meta),
            expires_at=identity.expires_at,
            keys=identifiers.question.keys,
            issued_at=identifiers.issued_at,
            met=_met(policy.requirement),
            layout=_spelling(policy),
        )
    )
    return _mac(record, policy.tickets) + record


def unseal(record: bytes, policy: Policy) -> Sealed | None:
    """Read what was kept; None for what this gate has not sealed, or has for other keys of the store."""
    mac, text = record[:_MAC], record[_MAC:]
    if policy.tickets is None or not hmac.compare_digest(mac, _mac(text, policy.tickets)):
        return None
    try:
        sealed = _decode(text)
    except msgspec.DecodeError:  # of another version
        return None
    return sealed if sealed.layout == _spelling(policy) else None


def has_met(sealed: Sealed, requirement: Requirement) -> bool:
    """Tell whether its token has met what this asks of claims: they are not kept, so it must be the very same."""
    return not requirement.claims or sealed.met == _met(requirement)


def is_from(sealed: Sealed, request: Request) -> bool:
    """Tell whether the page that uses a ticket is the one that asked for it.

    A browser leaves `Origin` out where a page asks its own host for a stream; it names it in every POST.
    """
    fields = dict(request.headers)
    origin = fields.get(b"origin")
    if origin is not None or not sealed.origin:
        return (origin or b"") == sealed.origin
    return sealed.origin.partition(b"://")[2].lower() == fields.get(b"host", b"").lower()


def _spelling(policy: Policy) -> bytes:
    layout = policy.layout
    return _digest([layout.blacklist_prefix, layout.selector_prefix, sorted(layout.issuers.items())])


def _met(requirement: Requirement) -> bytes:
    return _digest(sorted((path, list(values)) for path, values in requirement.claims))


def _digest(what: Sequence[Any]) -> bytes:
    return hashlib.sha256(_encode(list(what))).digest()


def _mac(text: bytes, key: TicketKey) -> bytes:
    return hmac.digest(key.secret, text, "sha256")
