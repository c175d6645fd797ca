"""Bytes that are no message. Stays inside the server, which answers with the status that it carries."""

from typing import final


@final
class Malformed(ValueError):  # noqa: N818 - names what came; goes no further than the server
    """What a peer sent cannot be read, or only in more than one way.

    `status` answers a client; `reason` is one stable word for the body; the message repeats nothing of what came.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
