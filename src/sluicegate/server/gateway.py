"""The public listener: route, decide, act. A warm decision is made and answered before the event loop turns."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, assert_never, final

from sluicegate.adapters.forward_auth import UnclearOriginal, original, unclear
from sluicegate.adapters.hops import client_by
from sluicegate.adapters.render import Response, fold, refusal
from sluicegate.core.decision import Admit, Decision, Reason, Refuse
from sluicegate.core.request import Request
from sluicegate.engine import Engine, new_id
from sluicegate.ports import Instrument
from sluicegate.server.actions import Action, Saying, Telling
from sluicegate.server.connection.certificate import Certificate
from sluicegate.server.connection.listener import Address, Listener
from sluicegate.server.connection.meter import Told
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.connection.shared_rate import SharedRate
from sluicegate.server.cors import Cors
from sluicegate.server.events.hub import Hub
from sluicegate.server.events.streaming import Renewing, Streaming
from sluicegate.server.events.ticketing import Ticketing
from sluicegate.server.events.tie import Guard
from sluicegate.server.origin import Pages
from sluicegate.server.passing import Passing
from sluicegate.server.plan import Place, Plan
from sluicegate.server.proxy.pool import Pool
from sluicegate.server.proxy.websocket import Tunnels
from sluicegate.server.routes import (
    Events,
    ForwardAuth,
    Proxy,
    Renewal,
    Respond,
    Route,
    Table,
    Tickets,
    Upstream,
    is_weaker,
)
from sluicegate.server.wire.head import Head
from sluicegate.server.wire.limits import Limits, Rate
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.respond import empty, problem

T = TypeVar("T")


@final
class Gateway:
    """Serves routes on one listener.

    `trusted` tells whether a peer is a proxy whose `X-Forwarded-*` are believed, or `Forwarded`, where the gate
    `reads_forwarded`; `rate` bounds what one address may ask; pages of `cors_allowed_origins` may read answers; `hub`
    serves event routes; `guard` ends what lasts with its token; `instrument` is told what upstreams fail at; with a
    `certificate` clients speak TLS; `announces` tells whether a peer sends a PROXY protocol header ahead; `tell` is
    told of each request when its answer has ended. All of it lives on one event loop.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        routes: Sequence[Route],
        limits: Limits | None = None,
        trusted: Callable[[str], bool] = lambda _: False,
        reads_forwarded: bool = False,
        cors_allowed_origins: Sequence[str] = (),
        rate: Rate | SharedRate | None = None,
        hub: Hub | None = None,
        guard: Guard | None = None,
        instrument: Instrument | None = None,
        certificate: Certificate | None = None,
        announces: Callable[[str], bool] | None = None,
        tell: Told | None = None,
    ) -> None:
        self._start: Final = engine.start
        self._sources: Final = engine.policy.sources
        self._begin: Final = engine.begin
        self._tickets: Final = engine.tickets
        self._client: Final = client_by(trusted, reads_forwarded=reads_forwarded)
        self._reads_forwarded: Final = reads_forwarded
        self._cors: Final = Cors(cors_allowed_origins)
        self._pages: Final = Pages(self._cors, reads_forwarded=reads_forwarded)
        self._rate: Final = rate
        self._hub: Final = hub
        self._guard: Final = guard
        self._instrument: Final = instrument
        self._listener: Final = Listener(
            self._answer,
            limits or Limits(),
            trusted=trusted,
            certificate=certificate,
            announces=announces,
            tell=tell,
        )
        self._tunnels: Final = Tunnels()
        self._pools: Final[dict[Upstream, Pool]] = {}
        self._table: Final = Table(
            [route.path for route in routes],
            strict=any(route.policy is not None for route in routes),
            is_weaker=is_weaker(routes),
        )
        self._telling: Final = frozenset(
            fold(name.encode()) for route in routes if isinstance(route.action, Proxy) for name in route.action.telling
        )
        self._takes_tickets: Final = any(route.policy is not None and route.policy.tickets for route in routes)
        self._places: Final = [self._compiled(route) for route in routes]
        for place, route in zip(self._places, routes, strict=True):
            place.path = route.path
        self._listener.on_sweep(self._sweep)

    @property
    def upstreams(self) -> list[dict[str, Any]]:
        """How each upstream is: what it has under way, and since when, and why, it is left alone or has failed."""
        return [pool.report() for pool in self._pools.values()]

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._listener.connections

    @property
    def listener(self) -> Listener:
        """What accepts its connections."""
        return self._listener

    async def start(self, address: Address, *, reuse_port: bool = False) -> Address:
        """Listen; return the address, with the port that the system chose for port 0.

        Raises `OSError`, with the address in its message, where it cannot be listened on.
        """
        return await self._listener.start(address, reuse_port=reuse_port)

    async def stop(self, grace: float, *, quiet: float = 0) -> bool:
        """Stop accepting, end streams, let requests in flight end for so many seconds, then break off.

        With `quiet`, idle connections are closed so many seconds later. Tells whether nothing had to be broken off.
        """
        if self._hub is not None:
            self._hub.drain()
        self._tunnels.drain()
        if self._guard is not None:
            self._guard.drain(grace)
        in_good_order = await self._listener.stop(grace, quiet=quiet)
        for pool in self._pools.values():
            await pool.close()
        return in_good_order

    def _compiled(self, route: Route) -> Place:
        match route.action:
            case Proxy() as proxy:
                pools = [self._pool(upstream) for upstream in proxy.upstreams]
                passing = Passing(
                    proxy,
                    pools,
                    self._pages,
                    sources=self._sources,
                    telling=self._telling,
                    guard=self._guard,
                    tunnels=self._tunnels,
                    reads_forwarded=self._reads_forwarded,
                    tickets=self._takes_tickets,
                )
                return Place(passing, route.policy, None)
            case Respond() as respond:
                return Place(Saying(respond, self._cors), route.policy, None)
            case ForwardAuth() as asked:
                return Place(Telling(asked, self._cors), route.policy, asked)
            case Events(publish=publish, retry_on_trouble=retries):
                hub = _needed(self._hub, "an event route needs a hub")
                streaming = Streaming(hub, self._pages, self._listener.clock, retries=retries)
                return Place(streaming, route.policy, None, publish)
            case Tickets(policy=policy):
                ledger = _needed(self._tickets, "a route for tickets needs a ledger of them")
                return Place(Ticketing(self._begin, ledger, policy, self._pages), None, None)
            case Renewal():
                renewing = Renewing(_needed(self._hub, "an event route needs a hub"), self._pages)
                return Place(renewing, route.policy, None)
            case _ as never:
                assert_never(never)

    def _pool(self, upstream: Upstream) -> Pool:
        """Return the connections to an upstream, which all routes to it share."""
        pool = self._pools.get(upstream)
        if pool is None:
            listener = self._listener
            pool = self._pools[upstream] = Pool(upstream, listener.limits, listener.clock, instrument=self._instrument)
            listener.on_tend(pool.tend)
        return pool

    def _sweep(self, now: float) -> None:
        if self._hub is not None:
            self._hub.sweep(now)
        if self._guard is not None:
            self._guard.live.tick()
        for pool in self._pools.values():
            pool.sweep(now)
        if self._rate is not None:
            self._rate.sweep(now)

    def _answer(self, connection: Connection, head: Head) -> None:  # noqa: C901 - each call more is felt here
        """Serve one request: at once where everything is at hand."""
        request_id = new_id()
        peer = connection.peer
        client = self._client(peer.address, head.block.fields) if peer.trusted else peer.client
        if connection.meter is not None:
            connection.meter.begin(request_id, client, head.method, head.target.path)
        if self._rate is not None and self._is_too_often(connection, head, client, request_id):
            return
        plan = head.plan
        if not isinstance(plan, Plan) or plan.gateway is not self:
            plan = self._planned(connection, head, request_id)
            if plan is None:
                return
        words = plan.words
        request = Request(
            method=words.method,
            path=words.path,
            query=words.query,
            headers=words.headers,
            client=client,
            id=request_id,
            topic=words.topic,
        )
        action = plan.place.action
        if connection.meter is not None:
            connection.meter.routed(plan.place.path)
        if plan.is_preflight:
            action.preflight(connection, head, request)
        elif plan.policy is None:
            action.admit(connection, head, request, None)
        else:
            outcome = self._start(request, plan.policy, admitted=plan.admitted)
            if isinstance(outcome, Admit):
                plan.admitted = outcome
                if connection.meter is not None:
                    connection.meter.admitted(outcome)
                action.admit(connection, head, request, outcome)
            elif isinstance(outcome, Refuse):
                self._refuse(connection, head, request, outcome, action)
            else:
                outcome.tell(functools.partial(self._told, connection, head, request, plan), connection.abort)
                connection.wait(outcome)

    def _planned(self, connection: Connection, head: Head, request_id: str) -> Plan | None:
        """Find where a head leads; None where that is nowhere, and is answered."""
        block, path = head.block, head.target.path
        try:
            found = self._table.find(path)
        except Malformed as malformed:
            answer = problem(malformed.status, malformed.reason, str(malformed), request_id=request_id)
            connection.respond(answer, more=self._cors.lines(head), close=True)
            return None
        if found is None:
            connection.respond(_nowhere(head, request_id), more=self._cors.lines(head))
            return None
        words = Request(
            method=head.method,
            path=path.decode("ascii"),
            query=head.target.query,
            headers=block.fields,
            topic=found.topic,
        )
        place = self._places[found.place]
        asked = place.asked
        if asked is not None:
            try:
                words = original(
                    words, asked.proxy, trusted=asked.trusted(connection.peer.address), prefix=asked.prefix
                )
            except UnclearOriginal:
                connection.respond(unclear(request_id))
                return None
        policy = place.publish if place.publish is not None and head.method == "POST" else place.policy
        plan = Plan(self, place, words, policy)
        before = block.plan
        if isinstance(before, Plan) and before.words.query == words.query and before.words.topic == words.topic:
            plan.admitted = before.admitted  # the fields are the same; for another policy it is not said again
        head.plan = block.plan = plan
        return plan

    def _refuse(self, connection: Connection, head: Head, request: Request, refuse: Refuse, action: Action) -> None:
        if isinstance(action, Streaming) and action.comes_back(connection, head, request, refuse):
            return
        connection.respond(refusal(refuse, request_id=request.id), more=self._cors.lines(head))

    def _told(self, connection: Connection, head: Head, request: Request, plan: Plan, decision: Decision) -> None:
        """Act on a decision that had to wait."""
        if isinstance(decision, Admit):
            plan.admitted = decision
            if connection.meter is not None:
                connection.meter.admitted(decision)
            plan.place.action.admit(connection, head, request, decision)
        else:
            self._refuse(connection, head, request, decision, plan.place.action)

    def _is_too_often(self, connection: Connection, head: Head, client: str, request_id: str) -> bool:
        """Count a request; answer it where its address has asked too often."""
        wait = 0.0 if self._rate is None else self._rate.wait(client, self._listener.clock.now)
        if wait > 0:
            refused = refusal(Refuse(reason=Reason.RATE_LIMITED), request_id=request_id, retry_after=int(wait) + 1)
            connection.respond(refused, more=self._cors.lines(head))
        return wait > 0


def _needed(part: T | None, fault: str) -> T:
    if part is None:
        raise ValueError(fault)
    return part


def _nowhere(head: Head, request_id: str) -> Response:
    if head.target.path == b"*":  # RFC 9110, 9.3.7: a ping
        return empty(204, request_id=request_id)
    return problem(404, "route", "Nothing is served under this path", request_id=request_id)
