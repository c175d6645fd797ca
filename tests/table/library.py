"""`Gate` and `AsyncGate` for the gates of the table, from settings, on the embedded store."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeVar

from sluicegate import AsyncGate, Gate, compose
from sluicegate.core.revocation import Entry
from tests.servers.ports import LOOPBACK, reserved_port
from tests.table.gates import GATES, META, STANDING, Named
from tests.table.tokens import NOW, SECRET, base64url

Opened = TypeVar("Opened", Gate, AsyncGate)

EXPRESSIBLE: Final = frozenset(name for name, named in GATES.items() if named.verifier is None)
"""The gates that settings can describe: none of them makes a verifier that says what it is told to."""


def keywords(named: Named, *, state_dir: str, nowhere: str) -> Mapping[str, Any]:
    """Return the keyword arguments of a gate; `nowhere` is an address where no Redis listens."""
    policy, sources = named.policy, named.policy.sources
    return {
        "sign_key": base64url(SECRET),
        "state_dir": state_dir,
        "redis_addr": {"listed": "", "silent": nowhere, "none": "disabled"}[named.store],
        "fail_open": policy.state == "admit",
        "from_query": list(sources.query),
        "from_header": list(sources.header),
        "from_cookies": list(sources.cookies),
        "user_claims": list(named.user),
        "meta_claims": [f"{path}->{name}" for path, name in META],
        "issuer_whitelist": sorted(policy.issuers),
        "audience_whitelist": sorted(policy.audiences),
        "leeway": f"{policy.leeway:.0f}s",
        "require_exp": policy.require_exp,
        "require_jti": policy.require_jti,
        "multiple_tokens": policy.multiple_tokens,
        "jwt_verifier": {"require_authentication": policy.auth != "off"},
    }


@contextmanager
def opened(kind: type[Opened]) -> Iterator[Mapping[str, Opened]]:
    """Open them all on one store, with everything revoked that the table has revoked."""
    with ExitStack() as stack:
        state_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="sg-table-"))
        nowhere = f"{LOOPBACK}:{stack.enter_context(reserved_port())}"
        gates = {name: _open(kind, keywords(GATES[name], state_dir=state_dir, nowhere=nowhere)) for name in EXPRESSIBLE}
        for gate in gates.values():
            stack.callback(gate.close)
        _revoke(gates["default"])
        yield gates


def _open(kind: type[Opened], settings: Mapping[str, Any]) -> Opened:
    """Open a gate with the table's clock, which its constructor does not take."""
    gate = kind.__new__(kind)
    gate._assembly = compose.assemble(  # noqa: SLF001
        compose.from_keywords(settings),
        asynchronous=kind is AsyncGate,
        clock=lambda: NOW,
    )
    return gate


def _revoke(gate: Gate | AsyncGate) -> None:
    """Write what any other writer might have written, which is more than `revoke` would."""
    store = gate._assembly.store  # noqa: SLF001
    assert store is not None
    for key, value in STANDING.items():
        store.put(key, Entry(value or ""))
