"""How the applications of the table show what they were told, as JSON."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sluicegate import Identity


def shown(identity: Identity | None, headers: Iterable[str], user: str) -> bytes:
    """Write an identity, the names of the headers that look like ones of the gate, and the user's own name."""
    seen = sorted(name for name in headers if "".join(filter(str.isalnum, name.lower())).startswith("xauthuser"))
    return json.dumps(
        {"identity": None if identity is None else plain(identity), "managed": seen, "user": user}
    ).encode()


def plain(identity: Identity) -> dict[str, Any]:
    """Return an identity as JSON values."""
    return {
        "id": identity.id,
        "jti": identity.jti,
        "issuer": identity.issuer,
        "scopes": list(identity.scopes),
        "meta": _thawed(identity.meta),
        "expires_at": identity.expires_at,
    }


def _thawed(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, Mapping):
        return {name: _thawed(item) for name, item in value.items()}
    return [_thawed(item) for item in value] if isinstance(value, tuple | list) else value
