"""What a webhook is sent and what it may answer: RevenProx's format, read without guessing."""

import base64
import hmac
import json
from typing import Any, Final

import msgspec

from sluicegate.core.claims import LATEST_DATE
from sluicegate.core.flow import Reply
from sluicegate.core.revocation import is_identifier
from sluicegate.core.token import Peeked

MAX_ANSWER_BYTES: Final = 65_536
"""An answer has sixty bytes; a login page in its place has more, and a gigabyte is an attack."""

SIGNATURE_HEADER: Final = "X-Sluicegate-Signature"

_OK: Final = 200
_MAY_PASS: Final = frozenset({408, 425, 429})  # RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4
_SERVER_ERROR: Final = 500
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode


class Yes(msgspec.Struct, frozen=True):
    """The token is good, it is this user's, and the answer holds until then (seconds since the epoch), or for ever."""

    user_id: str
    expires_at: float | None


class No(msgspec.Struct, frozen=True):
    """The token is not good, or not for this topic."""


class Unnamed(msgspec.Struct, frozen=True):
    """The token is good, and nobody's: there is no `user_id` that could stand in a header or a log.

    A verdict, and no fault of the webhook: a genuine token without a subject, or with a number for one, gives this. If
    it counted as a fault, whoever holds such a token could open the breaker for everybody.
    """


class Failure(msgspec.Struct, frozen=True):
    """No verdict. `is_final`: asked again, the webhook would say the same; otherwise it may give one."""

    detail: str
    is_final: bool = False


Verdict = Yes | No | Unnamed


def body_of(peeked: Peeked, topic: str) -> bytes:
    """Write the question: the token as it was sent, and the topic's id; empty where the request has no topic.

    The token is written anew from its parts. That gives the same bytes, because the gate reads no other spelling.
    """
    signature = base64.urlsafe_b64encode(peeked.signature).rstrip(b"=")
    # neither base64url nor hex holds anything that JSON would escape
    return b'{"jwt":"%b.%b","topic":"%b"}' % (peeked.signing_input, signature, topic.encode())


def sign(secret: bytes, body: bytes, at: float) -> str:
    """Return the value of `X-Sluicegate-Signature`: HMAC-SHA-256 of the time, a dot and the body.

    The time stands inside, so that a call that was overheard cannot be replayed for long.
    """
    stamp = str(int(at))
    return f"t={stamp},v1={hmac.digest(secret, stamp.encode() + b'.' + body, 'sha256').hex()}"


def read(reply: Reply) -> Verdict | Failure:
    """Read an answer. Anything but a clear verdict is none: `"yes"` is not `true`, and HTML says nothing.

    Only 200 carries a verdict: a 401 or 403 is about the gate, which the webhook's own front refuses.
    """
    if reply.status != _OK:
        return Failure(
            f"answered {reply.status}", is_final=reply.status < _SERVER_ERROR and reply.status not in _MAY_PASS
        )
    try:
        fields = _decode(reply.body)
        # as with tokens: parsers differ on which of two equal names counts, and one may be `"valid": false`
        if _encode(fields) != reply.body:
            json.loads(reply.body, object_pairs_hook=_without_duplicates)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Failure("answered 200 without a JSON object that can be read in one way")
    valid = fields.get("valid")
    if valid is False:
        return No()
    if valid is not True:
        return Failure('answered without "valid": true or false')
    return _yes(fields)


def _yes(fields: dict[str, Any]) -> Yes | Unnamed | Failure:
    expires_at = fields.get("expires_at")
    # a boolean is an int in Python; NaN and the infinite are no JSON
    if expires_at is not None and not (type(expires_at) in (int, float) and abs(expires_at) <= LATEST_DATE):
        return Failure('answered with an "expires_at" that is no time in seconds')
    user_id = fields.get("user_id")
    if not (isinstance(user_id, str) and user_id.strip() and is_identifier(user_id)):
        return Unnamed()
    return Yes(user_id, None if expires_at is None else float(expires_at))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("two members of one name")
    return fields
