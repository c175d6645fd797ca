"""From settings to a running gateway: what one worker serves."""

import asyncio
import logging
import os
import resource
import time
from collections.abc import Callable, Sequence
from mmap import mmap
from typing import Final, assert_never

import uvloop
from msgspec import structs

from sluicegate import compose
from sluicegate.adapters.forward_auth import LOOPBACK
from sluicegate.adapters.forwarded import trusts
from sluicegate.census import Census
from sluicegate.certificates import certificate_of
from sluicegate.core.policy import Policy, Requirement
from sluicegate.ports import Instrument
from sluicegate.server.connection.certificate import Certificate
from sluicegate.server.connection.shared_rate import SharedRate
from sluicegate.server.events.hub import Hub, Pace
from sluicegate.server.events.live import Live
from sluicegate.server.events.tie import Guard
from sluicegate.server.gateway import Gateway
from sluicegate.server.health import Health
from sluicegate.server.routes import Action, Events, ForwardAuth, Proxy, Renewal, Respond, Route, Tickets, Upstream
from sluicegate.server.wire.limits import Limits, Rate
from sluicegate.server.workers.cores import cores
from sluicegate.server.workers.ending import until_ended
from sluicegate.server.workers.handover import inherit
from sluicegate.server.workers.station import Station
from sluicegate.settings import Settings
from sluicegate.settings import routes as configured
from sluicegate.sse.broker import Broker
from sluicegate.sse.relayed import Relayed
from sluicegate.sse.subscription import Terms
from sluicegate.stores import event_log_of, relay_of, ticket_key_of
from sluicegate.summary import summary, warnings
from sluicegate.upstreams import upstreams_of

_MAY_WRITE: Final = "topic:write"
"""The scope of those who publish."""

_QUEUE_BYTES: Final = 1 << 20

RESERVED: Final = 128
"""Descriptors that a worker needs for other things than clients: files, the store, its loop, some upstreams."""


def work(
    settings: Settings, station: Station, *, log_form: compose.LogForm, counts: mmap | None, started_at: float
) -> bool:
    """Serve in one worker until its supervisor says otherwise; tell whether all ended in good order.

    `counts` is where workers count requests by address together; `started_at` is when the gateway started, in seconds
    since the epoch. Raises `SettingsError` for what cannot be used.
    """
    source = {"worker": station.number, "pid": os.getpid()}
    observer = compose.log_to(settings, form=log_form, source=source)
    instrument = compose.events_to_log()
    assembly = compose.assemble(settings, asynchronous=True, observer=observer, instrument=instrument)
    try:
        access_log = compose.access_log_of(settings, source)
        try:
            return uvloop.run(
                _serve(
                    assembly,
                    station,
                    instrument=instrument,
                    counts=counts,
                    started_at=started_at,
                    access_log=access_log,
                )
            )
        finally:
            if access_log is not None:
                access_log.close()
    finally:
        assembly.close()


def routes_of(settings: Settings, policy: Policy) -> tuple[Route, ...]:
    """Return the gateway's routes. The forward-auth endpoint goes first: a route on `/*` must not hide it.

    Raises `SettingsError` for certificates that cannot be used.
    """
    routes: list[Route] = []
    for route, upstreams in zip(settings.route, upstreams_of(settings), strict=True):
        own = _policy(route, settings, policy)
        if route.events and own is not None and (key := ticket_key_of(settings)) is not None:
            own = structs.replace(own, tickets=key)
            if not any(isinstance(one.action, Tickets) for one in routes):
                routes.append(Route(settings.events.tickets, Tickets(own), None))
        routes.append(Route(route.path, _action(route, upstreams, settings, policy), own))
        if route.events and not route.path.endswith("*"):
            routes.append(Route(f"{route.path}/renew", Renewal(), _policy(route, settings, policy)))
    if settings.forward_auth is not None:
        asked = settings.forward_auth
        # Envoy asks on this path with the original one behind it, the others on this path alone
        path = f"{asked.path.rstrip('/')}/*" if asked.proxy == "envoy" else asked.path
        routes.insert(0, Route(path, ForwardAuth(asked.proxy, _askers(settings), asked.path), policy))
    return tuple(routes)


async def _serve(
    assembly: compose.Assembly,
    station: Station,
    *,
    instrument: Instrument,
    counts: mmap | None,
    started_at: float,
    access_log: compose.AccessLog | None,
) -> bool:
    settings, engine = assembly.settings, assembly.engine
    fetching = asyncio.ensure_future(assembly.keep_keys())
    live = Live(engine.answer, engine.policy, clock=time.time)
    hub = _hub(assembly, live, instrument)
    certificate = certificate_of(settings, compose.log)
    guard = Guard(live, engine.policy, spread=settings.events.reconnect_window_sec)
    gateway = _gateway(
        assembly, hub, guard, instrument=instrument, counts=counts, certificate=certificate, access_log=access_log
    )
    census = Census(
        assembly, station, gateway, hub, certificate=certificate, access_log=access_log, started_at=started_at
    )
    health = Health(census.report, token=settings.admin.token.get_secret_value())
    station.attend(census.tell)
    try:
        state_warnings = await _state_warnings(assembly)
        if station.leads:
            for line in summary(assembly):
                compose.log(logging.INFO, line)
            tls_warnings = () if certificate is None else certificate.warnings()
            for line in (*warnings(assembly), *tls_warnings, *state_warnings):
                compose.log(logging.WARNING, line)
        station.prepared()
        order = await station.order()
        if order.letter.kind != "open":
            return True
        if hub is not None and isinstance(hub.broker, Broker):
            hub.broker.keep_in(event_log_of(settings))
        live.start(assembly.feed)
        await health.listener.serve(station.operators)
        await gateway.listener.serve(station.public)
        for source in station.inherited:
            inherit(gateway.listener, source)
        station.ready()
        return await until_ended(station, gateway, hub, health)
    finally:
        fetching.cancel()
        await gateway.stop(0)
        await health.stop(0)
        await live.stop()
        if hub is not None:
            hub.broker.close()


async def _state_warnings(assembly: compose.Assembly) -> tuple[str, ...]:
    """Ask the store how it is, which also has it read what stands: no request shall wait for that."""
    if assembly.inspected is None:
        return ()
    report = await asyncio.to_thread(assembly.inspected.inspect)
    if report.reachable:
        return report.warnings
    then = "genuine tokens are admitted" if assembly.engine.policy.state == "admit" else "requests are refused"
    return (f"the revocation store ({report.kind}) is out of reach; {then} until it is back", *report.warnings)


def _hub(assembly: compose.Assembly, live: Live, instrument: Instrument) -> Hub | None:
    settings, engine = assembly.settings, assembly.engine
    if not any(route.events for route in settings.route):
        return None
    http, events = settings.http, settings.events
    terms = Terms(
        policy=http.backpressure_policy,
        queue=http.max_message_queue_size,
        queue_bytes=max(_QUEUE_BYTES, 4 * events.max_event_bytes),
        history=events.history,
        history_bytes=events.max_history_bytes,
        ttl=events.history_ttl_sec,
    )
    pace = Pace(
        retry_ms=events.retry_ms,
        keepalive=http.keepalive_interval_sec,
        idle=http.connection_timeout_sec,
        spread=events.reconnect_window_sec,
        largest=events.max_event_bytes,
    )
    broker: Broker | Relayed = Broker(terms, clock=time.time)  # its log it gets when nobody else has it
    if (relay := relay_of(settings, instrument=instrument)) is not None:
        broker = Relayed(Broker(terms, clock=time.time), relay, clock=time.time)
    return Hub(broker, live, policy=engine.policy, pace=pace)


def _gateway(
    assembly: compose.Assembly,
    hub: Hub | None,
    guard: Guard,
    *,
    instrument: Instrument,
    counts: mmap | None,
    certificate: Certificate | None,
    access_log: compose.AccessLog | None,
) -> Gateway:
    settings = assembly.settings
    http = settings.http
    return Gateway(
        certificate=certificate,
        announces=_announcers(settings),
        tell=None if access_log is None else access_log.ended,
        engine=assembly.engine,
        hub=hub,
        guard=guard,
        instrument=instrument,
        routes=routes_of(settings, assembly.engine.policy),
        limits=Limits(
            connections=connections_of(settings),
            request_line=http.max_request_line_size,
            field=http.max_header_size,
            fields=http.max_headers,
            body=http.max_body_size,
            idle=http.connection_timeout_sec,
            connect_time=http.upstream_connect_timeout_ms / 1000,
            response_time=http.upstream_response_timeout_sec,
            read_time=http.upstream_read_timeout_sec,
            upstream_idle=http.upstream_keepalive_sec,
            upstream_spare=http.upstream_keepalive_connections,
        ),
        trusted=trusts(http.trusted_proxies),
        reads_forwarded=http.forwarded_by == "forwarded",
        cors_allowed_origins=http.cors_allowed_origins,
        rate=_rate(settings, counts),
    )


def workers_of(settings: Settings) -> int:
    """Return how many processes are to serve."""
    return settings.http.workers or cores()


def connections_of(settings: Settings) -> int:
    """Return how many connections one worker may have: its part of them all, and no more than it has descriptors for.

    Whoever comes past it is answered 503, where a process without descriptors could only hang up.
    """
    part = -(-settings.http.max_connections // workers_of(settings))
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return part if allowed == resource.RLIM_INFINITY else max(1, min(part, allowed - RESERVED))


def _rate(settings: Settings, counts: mmap | None) -> Rate | SharedRate | None:
    count, window = settings.http.rate_limit_per_ip, settings.http.rate_limit_window_sec
    if not count:
        return None
    return Rate(count, window) if counts is None else SharedRate(count, window, counts=counts)


def _action(route: configured.Route, upstreams: Sequence[Upstream], settings: Settings, policy: Policy) -> Action:
    if route.respond is not None:
        return Respond(route.respond)
    if route.forward_auth:
        proxy = settings.forward_auth.proxy if settings.forward_auth else configured.ForwardAuth().proxy
        return ForwardAuth(proxy, _askers(settings), route.path)
    if route.events:
        requirement = Requirement(
            scopes=frozenset(route.require.scopes) | {_MAY_WRITE},
            claims=route.require.claims,
            topics=settings.events.publish,
        )
        writes = policy.with_route(auth="required", requirement=requirement)
        return Events(writes, settings.events.retry_on_trouble)
    return Proxy(upstreams[0], route.header_up, tuple(upstreams[1:]), route.strip_token)


def _announcers(settings: Settings) -> Callable[[str], bool] | None:
    named = settings.http.proxy_protocol
    networks = settings.http.trusted_proxies if named is True else named or ()
    return trusts(networks) if networks else None


def _askers(settings: Settings) -> Callable[[str], bool]:
    return trusts(settings.http.trusted_proxies or LOOPBACK)


def _policy(route: configured.Route, settings: Settings, policy: Policy) -> Policy | None:
    # without patterns it is for the webhook to say, which is told the topic
    topics = (settings.events.subscribe or None) if route.events else None
    requirement = Requirement(scopes=frozenset(route.require.scopes), claims=route.require.claims, topics=topics)
    match route.auth:
        case "none":
            return None
        case "required" | "optional" as auth:
            return policy.with_route(auth=auth, requirement=requirement)
        case _ as never:
            assert_never(never)
