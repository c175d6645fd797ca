"""The webhook that the operator names, made into a verifier, and how TLS is spoken to it."""

import ssl
import threading

from sluicegate.core.attempts import Terms
from sluicegate.core.policy import ClaimNames
from sluicegate.core.verify import NoKeys, Unchecked, Verifier
from sluicegate.core.webhook import Webhook
from sluicegate.errors import SettingsError
from sluicegate.keyrings import has_own_keys
from sluicegate.settings import Settings
from sluicegate.settings.verifiers import WebhookTls


def terms_of(settings: Settings) -> Terms:
    """Return how the webhook is asked."""
    table = settings.jwt_verifier
    return Terms(
        url=table.webhook_url,
        timeout=table.timeout_ms / 1000,
        retries=table.retry_attempts,
        cache_ttl=table.cache_ttl_sec,
        cache_size=table.cache_max_size,
        breaker_threshold=table.circuit_breaker_threshold,
        breaker_timeout=table.circuit_breaker_timeout_sec,
        rate=table.rate_limit_per_sec,
        negative_ttl=table.negative_cache_ttl_sec,
        stale_if_error=table.stale_if_error_sec,
        leeway=settings.stateful_jwt.leeway,
        secret=table.secret.get_secret_value().encode(),
    )


def webhook_of(settings: Settings, keys: Verifier) -> Webhook | None:
    """Return the webhook, behind these keys where there are any; None where nobody is to be asked."""
    tokens = settings.stateful_jwt
    if not settings.jwt_verifier.webhook_url:
        return None
    names = ClaimNames(user=tokens.user_claims, meta=tokens.meta_claims)
    # one who believes everything, or nothing, is no check in front of the webhook
    first = None if isinstance(keys, NoKeys | Unchecked) else keys
    # a lock for threads; an event loop never waits for it, and its one step costs nothing there
    return Webhook(terms_of(settings), names, lock=threading.Lock(), keys=first)


def requires_jti(settings: Settings) -> bool:
    """Tell whether a token needs a `jti`.

    Where the webhook alone verifies, it is not asked for unless the operator says so: RevenProx, whose configuration
    this is, knows none, and its users' tokens have none. Such a token is revoked by its subject or by its SHA-256.
    """
    tokens = settings.stateful_jwt
    alone = bool(settings.jwt_verifier.webhook_url) and not (has_own_keys(settings) or settings.issuers)
    return tokens.require_jti and not (alone and "require_jti" not in tokens.model_fields_set)


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """Return how TLS is spoken to the webhook; None where nothing is said of it.

    Raises `SettingsError` for files that cannot be used.
    """
    wanted = settings.jwt_verifier.tls
    if wanted == WebhookTls():
        return None
    key, remedy = "ca_file", "give a PEM file of certificates"
    try:
        context = ssl.create_default_context(cafile=wanted.ca_file)
        if wanted.cert_file is not None:
            key, remedy = "cert_file", "give PEM files of a certificate and its own private key, without a passphrase"
            # OpenSSL would ask for it on the terminal of a server at which nobody sits
            context.load_cert_chain(wanted.cert_file, wanted.key_file, password="")
    except OSError as error:
        problem = f"cannot be used ({getattr(error, 'reason', None) or error.strerror or type(error).__name__})"
        raise SettingsError((settings.fault(f"jwt_verifier.tls.{key}", problem, remedy),)) from error
    return context


def not_installed(settings: Settings, missing: ModuleNotFoundError) -> SettingsError:
    """Say which extra brings what asking others needs."""
    asked = "jwt_verifier.webhook_url" if settings.jwt_verifier.webhook_url else "stateful_jwt.jwk_url"
    problem, remedy = f"needs {missing.name}, which is not installed", "pip install 'sluicegate[webhook]'"
    return SettingsError((settings.fault(asked, problem, remedy),))
