"""What a request asks for: the four forms of a target (RFC 9112, 3.2), and paths that can be read in one way only."""

import functools
import re
from ipaddress import ip_address
from typing import Final, final

import msgspec

from sluicegate.server.wire.malformed import Malformed

_VISIBLE: Final = re.compile(rb"[\x21-\x7e]+")
# No empty label but the last, which is the root: nginx refuses one, others look up what is left of the name.
_HOST: Final = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*\.?)(?::([0-9]{0,5}))?")
_LAST_PORT: Final = 65_535
_ABSOLUTE: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://([^/?]*)(.*)")
_AUTHORITY: Final = re.compile(rb"[^/?]+:[0-9]+")

_SUSPECT: Final = re.compile(rb"[%;\\]|/[/.]")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
# An escaped slash is gone once decoded, so it is looked for before; so is an escape that is none.
_UNDECODABLE: Final = re.compile(rb"%(?:2[fF]|(?![0-9A-Fa-f]{2}))")
_NO_PATH: Final = re.compile(rb"%(?:00|(?![0-9A-Fa-f]{2}))")
# What some server somewhere takes for a separator, a step up, an end, or nothing at all. An escape of one of these that
# is still there after one decoding would be the same to whoever decodes twice.
_AMBIGUOUS: Final = re.compile(
    rb"//|/\.{1,2}(?:/|\Z)|[;\\\x00-\x1f\x7f]|%(?:2[5eEfF]|3[bB]|5[cC]|[01][0-9A-Fa-f]|7[fF])"
)


@final
class Target(msgspec.Struct, frozen=True):
    """A target in origin form: what the upstream gets. `authority` is set when the client named one (absolute form)."""

    path: bytes
    query: bytes
    origin_form: bytes
    authority: bytes | None = None
    secure: bool = False
    """It is a URL of `https`, which only a secured connection may ask for."""


@functools.lru_cache(maxsize=1024)
def is_host(value: bytes) -> bool:
    """Tell whether this is `uri-host [ ":" port ]` and not empty (RFC 9110, 4.2.1 and 7.2).

    Narrower than `reg-name`: what no resolver knows (`%`, `!`, `,`) is read in different ways by those behind us.
    """
    matched = _HOST.fullmatch(value)
    if matched is None or int(matched[2] or b"0") > _LAST_PORT:
        return False
    try:
        return matched[1] is None or ip_address(matched[1].decode()).version == 6  # noqa: PLR2004 - of IP
    except ValueError:
        return False


def read_target(target: bytes, method: str) -> Target:
    """Read a target that is not in plain origin form; `Malformed` where it is none that a gateway serves."""
    if _VISIBLE.fullmatch(target) is None:
        raise Malformed(400, "syntax", "A request target holds what is no visible character of ASCII")
    if b"#" in target:
        raise Malformed(400, "target", "A request target carries a fragment")
    if target.startswith(b"/"):
        path, _, query = target.partition(b"?")
        return Target(path, query, target)
    if target == b"*":
        if method != "OPTIONS":
            raise Malformed(400, "target", "Only OPTIONS may ask about the server as a whole")
        return Target(b"*", b"", b"*")
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        named = "is an authority" if _AUTHORITY.fullmatch(target) else "is neither a path nor a URL"
        raise Malformed(400, "target", f"A request target {named}")
    scheme, authority, rest = absolute.groups()
    if scheme.lower() not in {b"http", b"https"} or not is_host(authority):
        raise Malformed(400, "target", "A request target is a URL that is not ours")
    secure = scheme.lower() == b"https"
    if not rest and method == "OPTIONS":
        return Target(b"*", b"", b"*", authority, secure)  # RFC 9112, 3.2.4
    origin_form = rest if rest.startswith(b"/") else b"/" + rest
    path, _, query = origin_form.partition(b"?")
    return Target(path, query, origin_form, authority, secure)


def decoded(path: bytes) -> bytes:
    """Return a path with its escapes decoded once, for matching.

    Only for gates where nothing is protected. Raises `Malformed` for what is no path to anybody: a broken escape, NUL,
    steps above the root (nginx refuses these, others make something up).
    """
    if _SUSPECT.search(path) is None:
        return path
    once = _ESCAPE.sub(_unescaped, path)
    if _NO_PATH.search(path) or _climbs(once):
        raise Malformed(400, "path", "A path is none")
    return once


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode())


def _climbs(path: bytes) -> bool:
    depth = 0
    for segment in path.split(b"/"):
        if segment == b"..":
            depth -= 1
        elif segment not in {b"", b"."}:
            depth += 1
        if depth < 0:
            return True
    return False


def decoded_strictly(path: bytes) -> bytes:
    """Return a path with its escapes decoded once, when it can be read in one way only.

    Raises `Malformed` for what an upstream might read as another path than the rules did: escaped slashes and
    backslashes, `.` and `..`, `//`, `;`, control characters, broken and doubled escapes, what is not UTF-8
    (Oathkeeper GHSA-p224-6x5r-fjpm, oauth2-proxy CVE-2026-41059). Case is left alone: paths that differ in it differ.
    """
    if _SUSPECT.search(path) is None:
        return path
    once = _ESCAPE.sub(_unescaped, path)
    if _UNDECODABLE.search(path) or _AMBIGUOUS.search(once):
        raise Malformed(400, "path", "A path can be read in more than one way")
    try:
        once.decode()  # an overlong form of `/` is not UTF-8, and has been a slash to more than one server
    except UnicodeDecodeError:
        raise Malformed(400, "path", "A path is not UTF-8 once decoded") from None
    return once
