"""What a certificate says about itself, for whoever presents it: its names, and until when it counts (RFC 5280)."""

from typing import final

import msgspec
from cryptography import x509

from sluicegate.errors import KeyFault


@final
class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate of a chain that is its owner's own. Times are in seconds since the epoch."""

    names: tuple[str, ...]
    """Host names and addresses for which clients accept it."""
    begins: float
    ends: float


def read_leaf(chain: bytes) -> Leaf:
    """Read the first certificate of a PEM file. Raises `KeyFault`."""
    try:
        certificate = x509.load_pem_x509_certificates(chain)[0]
        names = _names(certificate)
    except ValueError:
        raise KeyFault(
            "holds no certificate in PEM", "give a PEM file: the certificate first, then its chain"
        ) from None
    return Leaf(
        names=names,
        begins=certificate.not_valid_before_utc.timestamp(),
        ends=certificate.not_valid_after_utc.timestamp(),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:  # whom no client of today accepts, but whose chain may still be pinned
        return ()
    addresses = map(str, found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *addresses)
