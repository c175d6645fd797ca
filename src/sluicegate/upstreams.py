"""The services behind routes, from the settings, and how TLS is spoken to them."""

import ssl
from collections.abc import Iterator
from typing import Final, NamedTuple

from sluicegate.errors import Fault, SettingsError
from sluicegate.server.routes import Tls, Upstream
from sluicegate.server.sessions import Sessions
from sluicegate.settings import Settings
from sluicegate.settings import addresses as configured
from sluicegate.settings.routes import UpstreamTls

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class _Wanted(NamedTuple):
    """A service, and how TLS is to be spoken to it: what differs in neither shares its connections."""

    upstream: configured.Upstream
    tls: UpstreamTls | None


def upstreams_of(settings: Settings) -> list[tuple[Upstream, ...]]:
    """Return the services of each route, in order; none for a route that passes nothing on.

    Raises `SettingsError` with a fault for each file that cannot be used.
    """
    faults: list[Fault] = []
    known: dict[_Wanted, Upstream] = {}
    found = []
    for number, route in enumerate(settings.route):
        services = []
        for one in route.upstream:
            wanted = _Wanted(one, route.upstream_tls if one.scheme == "https" else None)
            if wanted not in known:
                tls = None
                if wanted.tls is not None:
                    context = Sessions()
                    for key, problem, remedy in _prepared(context, wanted.tls):
                        fault = settings.fault(f"route.{number}.upstream_tls.{key}", problem, remedy)
                        if fault not in faults:
                            faults.append(fault)
                    tls = Tls(context, wanted.tls.server_name or one.host)
                known[wanted] = Upstream(one.host, one.port, one.path, tls)
            services.append(known[wanted])
        found.append(tuple(services))
    if faults:
        raise SettingsError(tuple(faults))
    return found


def _prepared(context: ssl.SSLContext, wanted: UpstreamTls) -> Iterator[tuple[str, str, str]]:
    """Read the files into the context; iterate over what cannot be used: the key, the problem, the remedy."""
    context.minimum_version = _VERSIONS[wanted.min_version]
    try:
        if wanted.ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile=wanted.ca_file)
    except OSError as error:
        yield "ca_file", _said(error), "name a PEM file with the certificates of the authorities"
    if wanted.cert_file is not None and wanted.key_file is not None:
        try:
            # the empty password: OpenSSL would ask for one on the terminal of a server at which nobody sits
            context.load_cert_chain(wanted.cert_file, wanted.key_file, password="")
        except OSError as error:
            remedy = "name PEM files with a certificate and its own private key, without a passphrase"
            yield "cert_file", _said(error), remedy
    if wanted.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE


def _said(error: OSError) -> str:
    reason = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or type(error).__name__
    return f"cannot be used ({reason.replace('_', ' ').lower()})"
