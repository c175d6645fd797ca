"""An identity provider for a configuration: tokens by the thousand, without a process for each."""

import base64
import hmac
import json
import re
import time
import uuid
from typing import Final, final

from tests.cli.sluicegate import Config

HEADER: Final = {"alg": "HS256", "typ": "JWT", "kid": "key-2026-11"}


@final
class Issuer:
    """Gives out tokens as a realm does: each of a user and a session, by the key of a configuration."""

    def __init__(self, config: Config) -> None:
        found = re.search(r'sign_key = "(.*)"', config.path.read_text())
        assert found is not None
        self._secret: Final = base64.b64decode(found[1])

    def __call__(self, user: int, *, ttl: int = 86_400, **claims: object) -> str:
        """Return a token of a user, good for so many seconds; `claims` are added to the usual ones, or replace them."""
        now = int(time.time())
        payload = {
            "iss": "https://auth.example.com/realms/main",
            "sub": f"user_{user:08d}",
            "jti": str(uuid.uuid4()),
            "sid": str(uuid.uuid4()),
            "azp": "web-client",
            "aud": "api",
            "iat": now,
            "exp": now + ttl,
            "scope": "openid profile topic:read",
            **claims,
        }
        text = b".".join(_base64url(json.dumps(part).encode()) for part in (HEADER, payload))
        return (text + b"." + _base64url(hmac.digest(self._secret, text, "sha256"))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
