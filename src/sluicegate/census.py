"""How the gateway is, for its operators: one answer, from whichever worker is asked, about all of them."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final, final

from msgspec import structs

from sluicegate import compose
from sluicegate.core.webhook import Webhook
from sluicegate.server.connection.certificate import Certificate
from sluicegate.server.events.hub import Hub
from sluicegate.server.gateway import Gateway
from sluicegate.server.workers.station import Station

_BREAKERS: Final = ("closed", "half_open", "open")


@final
class Census:
    """`tell` says how this worker is, from memory; `report` asks the others too, and the store."""

    def __init__(
        self,
        assembly: compose.Assembly,
        station: Station,
        gateway: Gateway,
        hub: Hub | None,
        *,
        certificate: Certificate | None,
        access_log: compose.AccessLog | None,
        started_at: float,
    ) -> None:
        self._assembly: Final = assembly
        self._station: Final = station
        self._gateway: Final = gateway
        self._hub: Final = hub
        self._certificate: Final = certificate
        self._access_log: Final = access_log
        settings = assembly.settings
        self._fixed: Final = {
            "version": version("sluicegate"),
            "proxy_id": settings.proxy_id,
            "started_at": started_at,
            "unsafe": assembly.unsafe,
        }

    def tell(self) -> dict[str, Any]:
        """Say how this worker is."""
        verifier = self._assembly.verifier
        breaker = verifier.breaker if isinstance(verifier, Webhook) else None
        has_keys = all(published.report(time.time()).keys for published in self._assembly.published)
        upstreams = self._gateway.upstreams
        is_well = has_keys and breaker in {None, "closed"} and all(it["out_since"] is None for it in upstreams)
        is_well = is_well and (self._certificate is None or self._certificate.is_well())
        told: dict[str, Any] = {
            "status": "ok" if is_well else "degraded",
            "connections": self._gateway.connections,
            "tasks": len(asyncio.all_tasks()),
        }
        if breaker is not None:
            told["webhook"] = {"breaker": breaker}
        if self._certificate is not None:
            told["tls"] = self._certificate.report()
        if self._access_log is not None:
            told["access_log"] = self._access_log.report()
        if self._hub is not None:
            told["events"] = self._hub.report()
            if trouble := self._hub.broker.trouble:
                told |= {"status": "degraded", "trouble": trouble}
        if upstreams:
            told["upstreams"] = upstreams
        return told

    async def report(self) -> dict[str, Any]:
        """Say how all of it is."""
        inspected = self._assembly.inspected
        # in a thread: a store may have gone silent
        state = None if inspected is None else await asyncio.to_thread(inspected.inspect)
        told, silent = await self._station.crew()
        own = self._station.told()
        is_well = not silent and all(one["status"] == "ok" for one in told) and (state is None or state.reachable)
        report: dict[str, Any] = {
            "status": "ok" if is_well else "degraded",
            **self._fixed,
            "generation": own["generation"],
            "connections": sum(one["connections"] for one in told),
            "store": None if state is None else structs.asdict(state),
        }
        if "webhook" in own:
            breakers = {one["webhook"]["breaker"] for one in told if "webhook" in one}
            report["webhook"] = {"breaker": max(breakers, key=_BREAKERS.index)}
        if "events" in own:
            report["events"] = summed(one["events"] for one in told if "events" in one)
            report["events"] |= {"trouble": trouble} if (trouble := own.get("trouble")) else {}
        keys = [published.report(time.time()) for published in self._assembly.published]
        if "tls" in own:
            report["tls"] = own["tls"]
        if "access_log" in own:
            logs = [one["access_log"] for one in told if "access_log" in one]
            faults = [one["fault"] for one in logs if one["fault"] is not None]
            report["access_log"] = {"dropped": sum(one["dropped"] for one in logs), "fault": next(iter(faults), None)}
        if "upstreams" in own:
            report["upstreams"] = own["upstreams"]
        if keys:
            report["keys"] = [structs.asdict(it) for it in keys]
        return report | {"workers": told, "silent": silent}


def summed(counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up counts of the same names, tables within them likewise."""
    total: dict[str, Any] = {}
    for one in counts:
        for name, count in one.items():
            before = total.get(name)
            if isinstance(count, Mapping):
                total[name] = summed((before or {}, count))
            else:
                total[name] = (before or 0) + count
    return total
