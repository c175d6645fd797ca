"""The listener's certificate: read from its two files, and read again when they change.

Whoever renews it replaces two files, and not at the same instant. A pair is taken when it is whole: loaded into a
context of its own, its key held against its certificate. Until then, and when it never is, the last good pair serves.
"""

import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, Protocol, final

import msgspec

from sluicegate.core.certificates import Leaf, read_leaf
from sluicegate.errors import CertificateFault, KeyFault
from sluicegate.server.connection.tls import ALPN


class Note(Protocol):
    """Is told what happens to the certificate."""

    def __call__(self, level: int, message: str, **fields: object) -> None:
        """Write a line of the log."""
        ...


TlsVersion = Literal["1.2", "1.3"]

_LOOK: Final = 1.0  # seconds between two looks at the files
_SETTLE: Final = 5.0  # seconds that a pair may be halfway replaced before anybody is told
_DAY: Final = 86_400.0
_SOON: Final = 7 * _DAY  # before it ends; whoever renews by machine has done so long before
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# TLS 1.2 with forward secrecy and authenticated encryption only (RFC 9325, 4.2); TLS 1.3 has nothing else.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_NO_KEY: Final = "give a PEM file with the private key that belongs to cert_file"


def _unheard(level: int, message: str, **fields: object) -> None:
    """Say nothing."""


_Seen = tuple[tuple[int, ...], ...]


class Loaded(msgspec.Struct, frozen=True):
    """A pair that fits, ready for handshakes."""

    context: ssl.SSLContext
    leaf: Leaf
    seen: _Seen


def load(cert_file: Path, key_file: Path, *, min_version: TlsVersion = "1.2") -> Loaded:
    """Load a certificate with its chain, and its key. Raises `CertificateFault`, which repeats nothing of the key."""
    seen = _look(cert_file, key_file)
    try:
        leaf = read_leaf(_read(cert_file, "cert_file"))
    except KeyFault as fault:
        raise CertificateFault("cert_file", fault.problem, fault.remedy) from fault
    key = _read(key_file, "key_file")
    if b"ENCRYPTED" in key:
        raise CertificateFault(
            "key_file", "is encrypted, and nobody is there to be asked for its passphrase",
            "give it without one (openssl pkey -in KEY -out PLAIN), readable by this user alone",
        )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[min_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(list(ALPN))
    try:
        context.load_cert_chain(cert_file, key_file, password="")
    except ssl.SSLError as error:
        raise _unusable(error) from error
    except OSError as error:
        raise CertificateFault("cert_file", f"cannot be read ({error.strerror})", "let this user read it") from error
    return Loaded(context, leaf, seen)


def _read(path: Path, file: Literal["cert_file", "key_file"]) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"cannot be read ({error.strerror or type(error).__name__})"
        raise CertificateFault(file, problem, "name a PEM file that this user may read") from error


def _unusable(error: ssl.SSLError) -> CertificateFault:
    if error.reason == "KEY_VALUES_MISMATCH":
        return CertificateFault("key_file", "is not the key of the certificate in cert_file", _NO_KEY)
    if error.reason in {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}:
        words = error.reason.replace("_", " ").lower()
        return CertificateFault("cert_file", f"is too weak for any client ({words})", "have a new one signed")
    return CertificateFault("key_file", f"holds no private key that can be used ({error.reason or 'no PEM'})", _NO_KEY)


def _look(*files: Path) -> _Seen:
    """Return what changes with a file, its name included: a link that points elsewhere is another file."""
    found: list[tuple[int, ...]] = []
    for file in files:
        try:
            stat = file.stat()
        except OSError as error:
            found.append((error.errno or -1,))
        else:
            found.append((stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(found)


@final
class Certificate:
    """The pair that serves now. `clock` returns seconds since the epoch."""

    def __init__(
        self,
        cert_file: Path,
        key_file: Path,
        *,
        min_version: TlsVersion = "1.2",
        note: Note = _unheard,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises `CertificateFault`."""
        self._cert_file: Final = cert_file
        self._key_file: Final = key_file
        self._min_version: Final[TlsVersion] = min_version
        self._note: Final = note
        self._clock: Final = clock
        self._loaded = load(cert_file, key_file, min_version=min_version)
        self._since = clock()
        self._seen: _Seen | None = self._loaded.seen
        self._next = 0.0
        self._fault: tuple[str, float] | None = None
        self._said = False
        self._warned = clock()

    @property
    def context(self) -> ssl.SSLContext:
        """What new handshakes are made with. Connections that are open keep theirs."""
        return self._loaded.context

    @property
    def leaf(self) -> Leaf:
        """What the certificate says about itself."""
        return self._loaded.leaf

    def warnings(self) -> tuple[str, ...]:
        """Say what an operator should know of the pair, each with its remedy."""
        found = []
        leaf, now = self.leaf, self._clock()
        if now >= leaf.ends:
            found.append("cert_file has expired, and no client will accept it; renew it")
        elif now >= leaf.ends - _SOON:
            found.append(f"cert_file expires in {(leaf.ends - now) / _DAY:.1f} days; renew it")
        elif now < leaf.begins:
            found.append("cert_file is not valid yet; set the clock right, or wait")
        if not leaf.names:
            found.append("cert_file names no host (subjectAltName), so browsers refuse it; have one signed that does")
        try:
            if self._key_file.stat().st_mode & 0o007:
                found.append("key_file can be read by everybody on this machine; chmod 640 it")
        except OSError:  # it was there when it was loaded; the look says so
            pass
        return tuple(found)

    def report(self) -> dict[str, Any]:
        """Say how it is, for operators. Times are in seconds since the epoch."""
        leaf = self.leaf
        fault = self._fault[0] if self._fault is not None and self._said else None
        return {"names": leaf.names, "expires_at": leaf.ends, "loaded_at": self._since, "fault": fault}

    def is_well(self) -> bool:
        """Tell whether it counts, and is the one that stands in the files."""
        return self._clock() < self.leaf.ends and not (self._fault is not None and self._said)

    def look(self, now: float) -> None:
        """Look at the files, once a second: `now` is the event loop's time."""
        if now < self._next:
            return
        self._next = now + _LOOK
        seen = _look(self._cert_file, self._key_file)
        if seen != self._seen:
            self._seen = seen
            self._load(now)
        fault = self._fault
        if fault is not None and not self._said and now >= fault[1] + _SETTLE:
            self._said = True
            self._note(
                logging.WARNING, "the certificate files cannot be used; the pair of before serves on", fault=fault[0]
            )
        wall = self._clock()
        if wall >= self.leaf.ends - _SOON and wall >= self._warned + _DAY:
            self._warned = wall
            for warning in self.warnings():
                self._note(logging.WARNING, warning)

    def _load(self, now: float) -> None:
        try:
            loaded = load(self._cert_file, self._key_file, min_version=self._min_version)
        except CertificateFault as fault:
            self._fault, self._said = (str(fault), self._fault[1] if self._fault else now), self._said
            return
        self._loaded, self._fault, self._said = loaded, None, False
        self._since = self._clock()
        if loaded.seen != _look(self._cert_file, self._key_file):
            self._seen = None  # replaced while it was read
        ends = loaded.leaf.ends
        self._note(logging.INFO, "the certificate was read anew", names=loaded.leaf.names, expires_at=ends)
