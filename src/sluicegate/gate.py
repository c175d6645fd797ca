"""`Gate` and `AsyncGate`: the gate as a library, from keyword arguments or a file.

Keyword arguments are the keys of the `[stateful_jwt]` section; sections and top-level keys of the file go by their
own names: `Gate(sign_key=…, sign_alg="RS256", state_dir="/var/lib/gate", http={"trusted_proxies": […]})`.
"""

import asyncio
import os
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import urlencode

from sluicegate import compose
from sluicegate.core.decision import Decision
from sluicegate.core.policy import Policy
from sluicegate.core.request import Request
from sluicegate.core.revocation import Kind, Selector
from sluicegate.engine import new_id
from sluicegate.errors import InvalidSelector
from sluicegate.ports import StoreReport
from sluicegate.revoke import DEFAULT_REASON, Standing

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class Named(TypedDict, total=False):
    """Names tokens by exactly one selector; `sha256` is that of one whole token, in hex."""

    jti: str
    sub: str
    sid: str
    client: str
    kid: str
    iss: str
    sha256: str


class Revoking(Named, total=False):
    """How to revoke.

    `ttl` is in seconds; without it a token is revoked for as long as its `exp` leaves, anything else for ever.
    `not_before`, in seconds since the epoch, spares tokens issued after it. `context` is kept with the reason.
    """

    reason: str
    ttl: float | None
    not_before: float | None
    context: Mapping[str, Any]


class _Opened:
    """What both gates share: an assembly, and the blocking side of it."""

    _asynchronous: bool
    _assembly: compose.Assembly

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - `settings` checks each and says what is wrong
        self._assembly = compose.assemble(compose.from_keywords(settings), asynchronous=self._asynchronous)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Open the gate that a `sluicegate.toml` describes; its listeners and routes are left aside.

        Raises `SettingsError` with every fault in the file.
        """
        gate = cls.__new__(cls)
        gate._assembly = compose.assemble(compose.settings_of(Path(path)), asynchronous=cls._asynchronous)  # noqa: SLF001 - our own
        return gate

    @property
    def policy(self) -> Policy:
        """The operator's choices, frozen; `policy.with_route` makes one route's of it."""
        return self._assembly.engine.policy

    def begin(self, request: Request, policy: Policy | None = None) -> Decision | Coroutine[Any, Any, Decision]:
        """Decide at once where every answer is at hand, else return a coroutine that will."""
        return self._assembly.engine.begin(request, policy)

    def close(self) -> None:
        """Release files and connections. A closed gate must not be asked again."""
        self._assembly.close()

    def _revoke(self, token: str | None, choice: Revoking) -> Standing:
        revoker = self._assembly.revoker
        reason, ttl, context = choice.get("reason", DEFAULT_REASON), choice.get("ttl"), choice.get("context")
        not_before = choice.get("not_before")
        if token is None:
            selector = _selector(choice)
            return revoker.revoke(selector, reason=reason, ttl=ttl, not_before=not_before, context=context)
        if not_before is not None or _named(choice):
            raise InvalidSelector("a token stands alone: give no other selector and no cut-off with it")
        return revoker.revoke_token(token, reason=reason, ttl=ttl, context=context)

    def _restore(self, token: str | None, choice: Named) -> bool:
        revoker = self._assembly.revoker
        wanted = [_selector(choice)] if token is None else revoker.selectors_of(token)
        return sum(revoker.restore(one) for one in wanted) > 0  # each of them, not the first that was there


class Gate(_Opened):
    """Decides about requests at once: for threads, WSGI and scripts. Safe to share between threads.

    Raises `SettingsError` with every fault in the settings. Nothing is connected or read until the first question.
    `revoke` and `restore` raise `InvalidSelector` for what can name no token, `StateUnavailable` when the
    store cannot be relied on to have it, and `SettingsError` for a gate without a store.
    """

    _asynchronous = False

    def decide(self, request: Request, policy: Policy | None = None) -> Decision:
        """Decide about one request, after at most one question to the store and its deadline."""
        return self._assembly.engine.decide(request, policy)

    def check(
        self,
        headers: Headers = (),
        query: str | Mapping[str, str] = "",
        *,
        method: str = "GET",
        path: str = "/",
        topic: str | None = None,
    ) -> Decision:
        """Decide about a request given as plain values. `query` is raw, or a mapping; `topic` is for a webhook."""
        return self.decide(_request(headers, query, method=method, path=path, topic=topic))

    def revoke(self, token: str | None = None, **choice: Unpack[Revoking]) -> Standing:
        """Revoke a token, or what one selector names: `gate.revoke(sub="alice", ttl=86400)`. Then the store has it."""
        return self._revoke(token, choice)

    def restore(self, token: str | None = None, **choice: Unpack[Named]) -> bool:
        """Take a revocation away; tell whether there was one."""
        return self._restore(token, choice)

    def revocations(self, kind: Kind | None = None) -> Iterator[Standing]:
        """Iterate over what stands, of one kind or of all, in no order. Raises `StateUnavailable`."""
        return self._assembly.revoker.standing(kind)

    def inspect(self) -> StoreReport | None:
        """Ask the store how it is; None for a gate without one."""
        return None if self._assembly.inspected is None else self._assembly.inspected.inspect()

    def __enter__(self) -> Self:
        """Return the gate; leaving closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the gate."""
        self.close()


class AsyncGate(_Opened):
    """Decides about requests under asyncio: for ASGI and servers. Belongs to one event loop.

    Writing to the store happens in a thread; deciding never does. Raises what `Gate` raises.
    """

    _asynchronous = True

    async def decide(self, request: Request, policy: Policy | None = None) -> Decision:
        """Decide about one request, after at most one question to the store and its deadline."""
        return await self._assembly.engine.decide_async(request, policy)

    async def check(
        self,
        headers: Headers = (),
        query: str | Mapping[str, str] = "",
        *,
        method: str = "GET",
        path: str = "/",
        topic: str | None = None,
    ) -> Decision:
        """Decide about a request given as plain values. `query` is raw, or a mapping; `topic` is for a webhook."""
        return await self.decide(_request(headers, query, method=method, path=path, topic=topic))

    async def revoke(self, token: str | None = None, **choice: Unpack[Revoking]) -> Standing:
        """Revoke a token, or what one selector names: `await gate.revoke(sub="alice")`. Then the store has it."""
        return await asyncio.to_thread(self._revoke, token, choice)

    async def restore(self, token: str | None = None, **choice: Unpack[Named]) -> bool:
        """Take a revocation away; tell whether there was one."""
        return await asyncio.to_thread(self._restore, token, choice)

    async def inspect(self) -> StoreReport | None:
        """Ask the store how it is; None for a gate without one."""
        inspected = self._assembly.inspected
        return None if inspected is None else await asyncio.to_thread(inspected.inspect)

    async def __aenter__(self) -> Self:
        """Return the gate; leaving closes it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the gate."""
        self.close()


def _named(choice: Mapping[str, Any]) -> list[Selector]:
    kinds = {kind.value: kind for kind in Kind if kind is not Kind.TOKEN} | {"sha256": Kind.TOKEN}
    return [Selector(kinds[name], value) for name, value in choice.items() if name in kinds]


def _selector(choice: Mapping[str, Any]) -> Selector:
    named = _named(choice)
    if len(named) != 1:
        raise InvalidSelector("name exactly one of token, jti, sub, sid, client, kid, iss, sha256")
    return named[0]


def _request(headers: Headers, query: str | Mapping[str, str], *, method: str, path: str, topic: str | None) -> Request:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Request(
        method=method,
        path=path,
        query=(query if isinstance(query, str) else urlencode(query)).encode(errors="replace"),
        headers=tuple((name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in pairs),
        id=new_id(),
        topic=topic,
    )
