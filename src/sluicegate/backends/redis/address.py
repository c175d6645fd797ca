"""Where one Redis or Valkey is, how to be let in, and how TLS to it must be."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, final

from sluicegate.errors import Fault, SettingsError

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS towards the server: the table `tls` of the Caddy plugin stateful_jwt, key for key but for `enabled`.

    Without `ca_file` the system's authorities vouch for the server.
    """

    insecure_skip_verify: bool = False
    cert_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"

    def context(self) -> ssl.SSLContext:
        """Read the files, once.

        Raises `SettingsError` with a fault for each that cannot be used; a fault's key is that of the table.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = _VERSIONS[self.min_version]
        faults = (*self._authorities_into(context), *self._certificate_into(context))
        if faults:
            raise SettingsError(faults)
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _authorities_into(self, context: ssl.SSLContext) -> Iterator[Fault]:
        if self.ca_file is None:
            context.load_default_certs()
            return
        try:
            context.load_verify_locations(cafile=self.ca_file)
        except OSError as error:  # what `ssl` raises is an OSError too
            yield _fault("ca_file", error, "name a PEM file with the certificates of the authorities")

    def _certificate_into(self, context: ssl.SSLContext) -> Iterator[Fault]:
        if self.cert_file is None and self.key_file is None:
            return
        if self.cert_file is None or self.key_file is None:
            missing = "cert_file" if self.cert_file is None else "key_file"
            remedy = "give both cert_file and key_file, or neither"
            yield Fault("tls", None, f"tls.{missing}", "is missing beside the other", remedy)
            return
        try:
            # The empty password: OpenSSL would ask the terminal for that of an encrypted key, and wait.
            context.load_cert_chain(self.cert_file, self.key_file, password="")
        except OSError as error:
            yield _fault("cert_file", error, "name PEM files with a certificate and its own, unencrypted private key")


def _fault(key: str, error: OSError, remedy: str) -> Fault:
    reason = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or type(error).__name__
    return Fault("tls", None, f"tls.{key}", f"cannot be used ({reason.replace('_', ' ').lower()})", remedy)


def _is_name(host: str) -> bool:
    """Tell whether the resolver and `ssl` would take it; both raise UnicodeError or ValueError for what they do not."""
    try:
        return b"\0" not in host.removesuffix(".").encode("idna") and not host.startswith(".")
    except UnicodeError:
        return False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One server: `host` and `port`, or the `path` of a Unix socket; and the login.

    With an empty `username` the password is that of the default user. `tls` is None for a connection in the clear;
    `server_name` is what the certificate must name where that is not the host.
    """

    host: str = ""
    port: int = 6379
    path: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    server_name: str = ""

    def __post_init__(self) -> None:
        """Raise `SettingsError` for names that no resolver and no certificate could be asked about."""
        if bool(self.host) == bool(self.path) or (self.path and self.tls is not None):
            raise ValueError("an address has a host, or the path of a socket, which has no TLS")
        remedy = 'give a host name such as "redis.example.com"'
        faults = [
            Fault("redis", None, key, "is no host name", remedy)
            for key, name in (("redis_addr", self.host), ("tls.server_name", self.server_name))
            if not _is_name(name)
        ]
        if faults:
            raise SettingsError(tuple(faults))

    def __str__(self) -> str:
        """`host:port`, or `unix:/path`: for messages, so without the login."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def certificate_name(self) -> str:
        """What the server's certificate must name."""
        return self.server_name or self.host

    @property
    def is_verified(self) -> bool:
        """False where TLS is spoken with whoever answers."""
        return self.tls is None or self.tls.verify_mode is ssl.CERT_REQUIRED
