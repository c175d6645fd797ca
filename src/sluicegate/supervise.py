"""From a settings file to a gateway of several processes: sockets, limits, signals, reloads."""

import gc
import logging
import resource
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from sluicegate import compose, serving
from sluicegate.errors import SettingsError
from sluicegate.server.connection.shared_rate import shared_counts
from sluicegate.server.workers.crew import Plan
from sluicegate.server.workers.slots import open_slot, widen
from sluicegate.server.workers.supervisor import Supervisor
from sluicegate.server.workers.systemd import Notice
from sluicegate.settings import Settings

if TYPE_CHECKING:
    from mmap import mmap

    from sluicegate.server.connection.listener import Address

_SAYS_NOTHING_OF_TRUST: Final = {"http", "admin", "log_level", "metrics_enabled", "proxy_id"}
"""Sections that may change without anybody's rights changing."""


def serve(
    settings: Settings,
    *,
    reread: Callable[[], Settings] | None = None,
    log_form: compose.LogForm = "auto",
    ready: Callable[[], None] | None = None,
) -> bool:
    """Serve until SIGTERM or SIGINT; tell whether all ended in good order. `ready` is called once all workers accept.

    SIGHUP takes over what `reread` returns; without it, SIGHUP ends too. Raises `SettingsError` for a key that cannot
    be used and for an address that cannot be listened on.
    """
    compose.log_to(settings, form=log_form)
    _raise_limit(settings)
    house = _House(log_form)
    plan = house.plan(settings)

    def say_ready() -> None:
        address, operators = (_written(sockets[0]) for sockets in (plan.public, plan.operators))
        compose.log(logging.INFO, "ready", address=address, operators=operators, workers=plan.workers)
        if ready is not None:
            ready()

    def again(_: Plan) -> Plan:
        fresh = reread() if reread is not None else settings
        plan = house.plan(fresh)
        compose.log_to(fresh, form=log_form)
        _warn_of_limit(fresh)
        return plan

    # what was loaded lasts for ever: no worker's collector shall look at it, and so copy the memory that all share
    gc.collect()
    gc.freeze()
    supervisor = Supervisor(
        plan, log=compose.log, ready=say_ready, reload=None if reread is None else again, notice=Notice()
    )
    in_good_order = supervisor.run()
    compose.log(logging.INFO, "stopped", in_good_order=in_good_order)
    return in_good_order


class _House:
    """What outlives generations: sockets, by the address that the settings name, and counts."""

    def __init__(self, log_form: compose.LogForm) -> None:
        self._log_form: Final = log_form
        self._slots: Final[dict[tuple[str, Address], list[socket.socket]]] = {}
        self._counts: mmap | None = None
        self._started_at: Final = time.time()

    def plan(self, settings: Settings) -> Plan:
        """Make a plan of settings. Raises `SettingsError`."""
        workers = serving.workers_of(settings)
        public = self._sockets(settings, "http", workers)
        operators = self._sockets(settings, "admin", 1)
        if settings.http.rate_limit_per_ip and self._counts is None and workers > 1:
            self._counts = shared_counts()
        counts = self._counts if workers > 1 else None
        return Plan(
            workers=workers,
            public=public,
            operators=operators,
            run=partial(serving.work, settings, log_form=self._log_form, counts=counts, started_at=self._started_at),
            trust={name: value for name, value in settings if name not in _SAYS_NOTHING_OF_TRUST},
        )

    def _sockets(self, settings: Settings, section: Literal["http", "admin"], count: int) -> tuple[socket.socket, ...]:
        bind = getattr(settings, section).bind_address
        address = (bind.host, bind.port)
        try:
            # those of an address that was left have been closed
            slots = [slot for slot in self._slots.get((section, address), ()) if slot.fileno() >= 0] or open_slot(
                address
            )
            self._slots[section, address] = slots
            widen(slots, count)
        except OSError as error:
            problem, remedy = f"{error.strerror or error}", "name another, or end the program that holds it"
            raise SettingsError((settings.fault(f"{section}.bind_address", problem, remedy),)) from error
        return tuple(slots)


def _raise_limit(settings: Settings) -> None:
    """Raise the soft limit of descriptors to the hard one, for us and our workers."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _warn_of_limit(settings)


def _warn_of_limit(settings: Settings) -> None:
    """Say so where connections are asked for that the system has no descriptors for."""
    workers, served = serving.workers_of(settings), serving.connections_of(settings)
    if "max_connections" in settings.http.model_fields_set and served * workers < settings.http.max_connections:
        compose.log(
            logging.WARNING,
            "max_connections does not fit into the system's limit of open files; raise LimitNOFILE (ulimit -n)",
            max_connections=settings.http.max_connections,
            served=served * workers,
        )


def _written(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
