"""The first line of a request: its method, its target, its version (RFC 9112, 3), and what is forgiven before it."""

import re
from typing import Final

from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.target import Target, read_target

# One is forgiven everywhere (RFC 9112, 2.2), for old clients sent it behind a body, and a few cost nothing. But while
# they come no request has begun whose time could be over, so that without a bound they would be read for minutes.
_MOST_EMPTY: Final = 16

# Registered methods that llhttp reads too. CONNECT asks for a tunnel; TRACE would send back to a client what the gate
# told the upstream about it; both are answered here.
_KNOWN: Final = """
    ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY OPTIONS PATCH POST
    PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE
"""
METHODS: Final = {name.encode(): name for name in _KNOWN.split()}
_VERSIONS: Final = {b"HTTP/1.1": True, b"HTTP/1.0": False}
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_LINE: Final = re.compile(rb"[\x20-\x7e]*")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Checked here and not left to llhttp, which never sees the request line of a head whose fields came before.
_ORIGIN_FORM: Final = re.compile(rb"/[\x21\x22\x24-\x7e]*")


def empty_lines(data: bytes, *, before: int) -> int:
    """Return how many bytes of empty lines these begin with; so many lines came `before`.

    Raises `Malformed`.
    """
    place = 0
    while data.startswith(b"\r\n", place):
        place += 2
        if before + place // 2 > _MOST_EMPTY:
            raise Malformed(400, "syntax", "There are too many empty lines before a request")
    return place


def start_line(line: bytes) -> tuple[str, Target, bool]:
    """Read a request line: three parts, one space between them; True in the end stands for HTTP/1.1.

    Raises `Malformed`.
    """
    parts = line.split(b" ")
    if len(parts) != 3:  # noqa: PLR2004 - method, target, version
        raise Malformed(400, "syntax", "A request line has not three parts")
    name, text, version = parts
    http11 = _VERSIONS.get(version)
    if http11 is None:
        _check_characters(line)
        if _VERSION.fullmatch(version):
            raise Malformed(505, "version", "Only HTTP/1.0 and HTTP/1.1 are spoken here")
        raise Malformed(400, "syntax", "A request line ends in no version")
    method = METHODS.get(name)
    if method is None:
        _check_characters(line)
        if name == b"TRACE":
            raise Malformed(405, "method", "TRACE would show a client what only the upstream may see")
        if _TOKEN.fullmatch(name):
            raise Malformed(501, "method", "This method is not served")
        raise Malformed(400, "syntax", "A request line begins with no method")
    if _ORIGIN_FORM.fullmatch(text) is not None:
        path, _, query = text.partition(b"?")
        return method, Target(path, query, text), http11
    return method, read_target(text, method), http11


def _check_characters(line: bytes) -> None:
    """Refuse first what is refused in a line that is not whole yet: the answer must not hang on how it was cut."""
    if _LINE.fullmatch(line) is None:
        raise Malformed(400, "syntax", "A request line holds what is no visible character of ASCII")
