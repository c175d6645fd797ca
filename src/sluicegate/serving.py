"""From settings to a running gateway: both listeners, the log, the signals that end them."""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Final, assert_never

import uvloop
from msgspec import structs

from sluicegate import compose
from sluicegate.adapters.forward_auth import LOOPBACK
from sluicegate.adapters.forwarded import trusts
from sluicegate.core.policy import Policy, Requirement
from sluicegate.core.webhook import Webhook
from sluicegate.errors import SettingsError
from sluicegate.ports import Instrument
from sluicegate.server.gateway import Gateway
from sluicegate.server.health import Health
from sluicegate.server.hub import Hub, Pace
from sluicegate.server.limits import Limits, Rate
from sluicegate.server.listener import Address
from sluicegate.server.live import Live
from sluicegate.server.routes import Action, Events, ForwardAuth, Proxy, Renewal, Respond, Route, Upstream
from sluicegate.server.tie import Guard
from sluicegate.settings import Settings
from sluicegate.settings import routes as configured
from sluicegate.sse.broker import Broker
from sluicegate.sse.subscription import Terms
from sluicegate.stores import event_log_of
from sluicegate.summary import summary, warnings

_MAY_WRITE: Final = "topic:write"
"""The scope of those who publish."""

_QUEUE_BYTES: Final = 1 << 20
_GRACE: Final = 10.0
"""Seconds that requests in flight get to end after a signal; a second signal ends them at once."""


def serve(settings: Settings, *, log_form: compose.LogForm = "auto", ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once both listeners take connections.

    Raises `SettingsError` for a key that cannot be used and for an address that cannot be listened on.
    """
    observer = compose.log_to(settings, form=log_form)
    instrument = compose.events_to_log()
    assembly = compose.assemble(settings, asynchronous=True, observer=observer, instrument=instrument)
    try:
        uvloop.run(_serve(assembly, instrument, ready))
    finally:
        assembly.close()


def routes_of(settings: Settings, policy: Policy) -> tuple[Route, ...]:
    """Return the gateway's routes. The forward-auth endpoint goes first: a route on `/*` must not hide it."""
    routes = []
    for route in settings.route:
        routes.append(Route(route.path, _action(route, settings, policy), _policy(route, settings, policy)))
        if route.events and not route.path.endswith("*"):
            routes.append(Route(f"{route.path}/renew", Renewal(), _policy(route, settings, policy)))
    if settings.forward_auth is not None:
        asked = settings.forward_auth
        # Envoy asks on this path with the original one behind it, the others on this path alone
        path = f"{asked.path.rstrip('/')}/*" if asked.proxy == "envoy" else asked.path
        routes.insert(0, Route(path, ForwardAuth(asked.proxy, _askers(settings), asked.path), policy))
    return tuple(routes)


async def _serve(assembly: compose.Assembly, instrument: Instrument, ready: Callable[[], None] | None) -> None:
    settings = assembly.settings
    stopping = _stopping()
    fetching = asyncio.ensure_future(assembly.keep_keys())
    engine = assembly.engine
    live = Live(engine.answer, engine.policy, clock=time.time)
    hub = _hub(assembly, live)
    gateway = _gateway(assembly, hub, Guard(live, engine.answer, engine.policy), instrument)
    health = _health(assembly, gateway, hub)
    live.start(assembly.feed)
    try:
        address = await _listening(settings, "http", gateway.start)
        operators = await _listening(settings, "admin", health.start)
        for line in summary(assembly):
            compose.log(logging.INFO, line)
        for line in (*warnings(assembly), *await _state_warnings(assembly)):
            compose.log(logging.WARNING, line)
        compose.log(logging.INFO, "ready", address=_written(address), operators=_written(operators))
        if ready is not None:
            ready()
        await stopping.wait()
        compose.log(logging.INFO, "stopping", connections=gateway.connections)
        again = asyncio.ensure_future(_stopping().wait())
        drained = asyncio.ensure_future(gateway.stop(_GRACE))
        await asyncio.wait((again, drained), return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
    finally:
        fetching.cancel()
        await gateway.stop(0)
        await health.stop(0)
        await live.stop()
        if hub is not None:
            hub.broker.close()
    compose.log(logging.INFO, "stopped")


async def _state_warnings(assembly: compose.Assembly) -> tuple[str, ...]:
    """Ask the store how it is, which also has it read what stands: no request shall wait for that."""
    if assembly.inspected is None:
        return ()
    report = await asyncio.to_thread(assembly.inspected.inspect)
    if report.reachable:
        return report.warnings
    then = "genuine tokens are admitted" if assembly.engine.policy.state == "admit" else "requests are refused"
    return (f"the revocation store ({report.kind}) is out of reach; {then} until it is back", *report.warnings)


def _stopping() -> asyncio.Event:
    """Return what the next SIGTERM or SIGINT sets."""
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    return asked


async def _listening(settings: Settings, section: str, start: Callable[[Address], Awaitable[Address]]) -> Address:
    bind = getattr(settings, section).bind_address
    try:
        return await start((bind.host, bind.port))
    except OSError as error:
        problem, remedy = f"{error.strerror or error}", "name another, or end the program that holds it"
        raise SettingsError((settings.fault(f"{section}.bind_address", problem, remedy),)) from error


def _hub(assembly: compose.Assembly, live: Live) -> Hub | None:
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
    broker = Broker(terms, clock=time.time, log=event_log_of(settings))
    return Hub(broker, live, answer=engine.answer, policy=engine.policy, pace=pace)


def _gateway(assembly: compose.Assembly, hub: Hub | None, guard: Guard, instrument: Instrument) -> Gateway:
    settings = assembly.settings
    http = settings.http
    return Gateway(
        engine=assembly.engine,
        hub=hub,
        guard=guard,
        instrument=instrument,
        routes=routes_of(settings, assembly.engine.policy),
        limits=Limits(
            connections=http.max_connections,
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
        cors_allowed_origins=http.cors_allowed_origins,
        rate=Rate(http.rate_limit_per_ip, http.rate_limit_window_sec) if http.rate_limit_per_ip else None,
    )


def _health(assembly: compose.Assembly, gateway: Gateway, hub: Hub | None) -> Health:
    settings, inspected = assembly.settings, assembly.inspected
    fixed = {
        "version": version("sluicegate"),
        "proxy_id": settings.proxy_id,
        "started_at": time.time(),
        "unsafe": assembly.unsafe,
    }

    def report() -> dict[str, Any]:
        state = None if inspected is None else inspected.inspect()
        breaker = assembly.verifier.breaker if isinstance(assembly.verifier, Webhook) else None
        keys = [published.report(time.time()) for published in assembly.published]
        upstreams = gateway.upstreams
        are_well = all(it.keys for it in keys) and all(it["out_since"] is None for it in upstreams)
        is_well = (state is None or state.reachable) and breaker in {None, "closed"} and are_well
        asked: dict[str, Any] = {} if breaker is None else {"webhook": {"breaker": breaker}}
        if hub is not None:
            asked["events"] = hub.report()
        if upstreams:
            asked["upstreams"] = upstreams
        if keys:
            asked["keys"] = [structs.asdict(it) for it in keys]
        return {
            "status": "ok" if is_well else "degraded",
            **fixed,
            "store": None if state is None else structs.asdict(state),
            **asked,
        }

    return Health(report, token=settings.admin.token.get_secret_value())


def _action(route: configured.Route, settings: Settings, policy: Policy) -> Action:
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
        return Events(policy.with_route(auth="required", requirement=requirement))
    upstream, *others = (Upstream(one.host, one.port, one.path) for one in route.upstream)
    return Proxy(upstream, route.header_up, tuple(others))


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


def _written(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
