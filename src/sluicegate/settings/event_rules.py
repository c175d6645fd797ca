"""What no single key can tell about event streams."""

from collections.abc import Iterator
from typing import Final

from sluicegate.core.topics import EVENTS_PREFIX, InvalidPattern, pattern
from sluicegate.settings.finding import Finding, Findings
from sluicegate.settings.routes import Events
from sluicegate.settings.schema import Settings
from sluicegate.settings.stores import RedisServer, RedisSocket
from sluicegate.settings.toml_lines import KeyPath

_SUBSCRIBE: Final = ("events", "subscribe")
_WEBHOOK: Final = ("jwt_verifier", "webhook_url")


def readers(settings: Settings) -> Findings:
    """Somebody has to say who may read which topic."""
    for here in _routes(settings):
        route = settings.route[int(here[1])]
        if route.auth == "none":
            yield Finding(
                (*here, "auth"),
                'is "none", so that anybody could read and write every topic',
                'write auth = "optional", and in [events] subscribe what everybody may read: ["public-*"]',
                ((*here, "events"),),
            )
    if not any(_routes(settings)) or settings.events.subscribe or settings.jwt_verifier.webhook_url:
        return
    if settings.jwt_verifier.require_authentication:
        yield Finding(
            _SUBSCRIBE,
            "names no topic, and no webhook is asked, so nobody could read anything",
            'say which topics may be read: ["public-*", "user-{http.auth.user.id}-*"], or name a webhook',
            (_WEBHOOK, ("jwt_verifier", "require_authentication"), ("route",)),
        )


def patterns(settings: Settings) -> Findings:
    """A pattern that could be read in two ways would give somebody what is somebody else's."""
    for key in ("subscribe", "publish"):
        for index, text in enumerate(getattr(settings.events, key)):
            try:
                pattern(text)
            except InvalidPattern as invalid:
                yield Finding(("events", key, index), "is no topic pattern", str(invalid))


def served(settings: Settings) -> Findings:
    """Streams of several processes need what all of them can reach."""
    has_routes = any(_routes(settings))
    # over this time upstreams' streams are sent away too
    alone = Events(reconnect_window_sec=settings.events.reconnect_window_sec)
    if not has_routes and settings.events != alone:
        yield Finding(
            ("events",),
            "does nothing: no route has events = true",
            'add one: [[route]] path = "/events/{topic}", events = true',
            (("route",),),
            serious=False,
        )
    shared = isinstance(settings.stateful_jwt.store, RedisServer | RedisSocket)
    if has_routes and settings.http.workers != 1 and not shared:
        yield Finding(
            ("http", "workers"),
            "asks for several processes, and without Redis one would not hear what another one publishes",
            "write workers = 1, or name a Redis in redis_addr",
            (("stateful_jwt", "redis_addr"), ("route",)),
        )


def tickets(settings: Settings) -> Findings:
    """One path has one meaning."""
    given_out = settings.events.tickets if any(_routes(settings)) else ""
    for index, route in enumerate(settings.route):
        if given_out and route.path == given_out:
            yield Finding(
                ("route", index, "path"),
                "is the path on which tickets for event streams are given out",
                'name another one in [events] tickets, or write tickets = "" for none',
                (("events", "tickets"),),
            )


def apart(settings: Settings) -> Findings:
    """What events are kept under in Redis must never read as something that revokes a token, nor the other way."""
    tokens = settings.stateful_jwt
    if not any(_routes(settings)) or not isinstance(tokens.store, RedisServer | RedisSocket):
        return
    for key in ("blacklist_prefix", "selector_prefix"):
        prefix: str = getattr(tokens, key)
        if prefix.startswith(EVENTS_PREFIX) or EVENTS_PREFIX.startswith(prefix):
            yield Finding(
                ("stateful_jwt", key),
                f"may spell keys under which events are kept, which begin with {EVENTS_PREFIX}",
                'choose another, such as "BLACKLIST:"',
                (("route",),),
            )


def pace(settings: Settings) -> Findings:
    """A stream that is kept alive too seldom ends as idle; one that reads on from no history has nothing to read."""
    if not any(_routes(settings)):
        return
    http = settings.http
    if http.keepalive_interval_sec >= http.connection_timeout_sec:
        yield Finding(
            ("http", "keepalive_interval_sec"),
            "is not less than connection_timeout_sec, so quiet streams end as idle",
            "write less than half of it",
            (("http", "connection_timeout_sec"),),
            serious=False,
        )
    if http.backpressure_policy == "block" and settings.events.history < http.max_message_queue_size:
        yield Finding(
            ("http", "backpressure_policy"),
            'is "block", which lets slow streams read on from a history shorter than a queue would be',
            "keep more events in [events] history, or choose another policy",
            (("events", "history"), ("http", "max_message_queue_size")),
            serious=False,
        )


def _routes(settings: Settings) -> Iterator[KeyPath]:
    for index, route in enumerate(settings.route):
        if route.events:
            yield ("route", index)
