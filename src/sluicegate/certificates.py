"""The certificate that the operator names for the public listener."""

from sluicegate.errors import CertificateFault, SettingsError
from sluicegate.server.connection.certificate import Certificate, Note
from sluicegate.settings import Settings


def certificate_of(settings: Settings, note: Note) -> Certificate | None:
    """Load it; None for plain HTTP. Raises `SettingsError` for a pair that cannot be used."""
    wanted = settings.http.tls
    if wanted.cert_file is None or wanted.key_file is None:  # settings answer half a pair with a fault
        return None
    try:
        return Certificate(wanted.cert_file, wanted.key_file, min_version=wanted.min_version, note=note)
    except CertificateFault as fault:
        raise SettingsError((settings.fault(f"http.tls.{fault.file}", fault.problem, fault.remedy),)) from fault
