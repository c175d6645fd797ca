"""Answers of our own, as bytes: refusals, problems, texts. One write each."""

import random
from typing import Final

import msgspec

from sluicegate.adapters.render import Response

_PHRASES: Final = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}
_STATUS_LINES: Final = {status: f"HTTP/1.1 {status} {phrase}\r\n" for status, phrase in _PHRASES.items()}
_ALLOW: Final = ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")


def problem(status: int, reason: str, message: str, *, request_id: str, to_head: bool = False) -> Response:
    """Return an answer about the request itself, in the form that refusals have.

    `error` is the status in words; `reason` one stable word; the message repeats nothing of the request. An answer
    `to_head` (HEAD) has no body, and the length that it would have.
    """
    error = _PHRASES[status].lower().replace(" ", "_")
    body = msgspec.json.encode({"error": error, "message": message, "code": status, "reason": reason})
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Request-ID", request_id),
    ]
    if status == 405:  # noqa: PLR2004 - RFC 9110, 15.5.6: it says what would be allowed
        headers.append(_ALLOW)
    return Response(status, tuple(headers), b"" if to_head else body, reason)


def out_of_reach(request_id: str, *, unknown: bool = False) -> Response:
    """Return the answer while what carries events between nodes is out of reach.

    `unknown`: an event may have been published, and may not: whoever sends it again may send it twice.
    """
    reason, message = "events_unavailable", "Events cannot be carried at the moment"
    if unknown:
        reason, message = "publish_unknown", "The event may have been published, and may not: no answer came"
    answer = problem(503, reason, message, request_id=request_id)
    retry_after = ("Retry-After", str(random.randint(1, 3)))  # noqa: S311 - jitter
    return Response(answer.status, (*answer.headers, retry_after), answer.body)


def empty(status: int, *, request_id: str) -> Response:
    """Return an answer without a body."""
    length = () if status == 204 else (("Content-Length", "0"),)  # noqa: PLR2004 - RFC 9110, 8.6: none with 204
    return Response(status, (*length, ("X-Request-ID", request_id)), b"")


def head_of(response: Response) -> bytes:
    """Return an answer's status line and header lines, without the empty line that ends them."""
    lines = [_STATUS_LINES[response.status], *[f"{name}: {value}\r\n" for name, value in response.headers]]
    return "".join(lines).encode("latin-1")


def last_words(response: Response, date: bytes) -> bytes:
    """Return the whole of an answer to who has sent no request, with the `date` line: the connection ends after it."""
    return b"".join((head_of(response), date, connection_line(http11=True, last=True), b"\r\n", response.body))


def connection_line(*, http11: bool, last: bool) -> bytes:
    """Return the `Connection` line of an answer; HTTP/1.1 goes on without one (RFC 9112, 9.3)."""
    if last:
        return b"Connection: close\r\n"
    return b"" if http11 else b"Connection: keep-alive\r\n"
