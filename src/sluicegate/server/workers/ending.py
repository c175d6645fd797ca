"""How a worker ends: with the gateway, or because a successor takes over."""

import asyncio
from typing import Final

from sluicegate.server.events.hub import Hub
from sluicegate.server.gateway import Gateway
from sluicegate.server.health import Health
from sluicegate.server.workers.handover import hand_over
from sluicegate.server.workers.station import Order, Station

_QUIET: Final = 1.0
"""Seconds for which an idle connection is kept, for a request that was on its way when we stopped."""

_LAST_ARRIVALS: Final = 0.1
"""Seconds for which we still accept whoever had begun to connect; new ones the supervisor has had turned away."""


async def until_ended(station: Station, gateway: Gateway, hub: Hub | None, health: Health) -> bool:
    """Serve until told to end, and end; tell whether nothing had to be broken off.

    A later order, as a second signal is one, takes the place of the one before.
    """
    ending: asyncio.Task[bool] | None = None
    asked = asyncio.ensure_future(station.order())
    try:
        while True:
            await asyncio.wait({asked, ending} if ending else {asked}, return_when=asyncio.FIRST_COMPLETED)
            if ending is not None and ending.done():
                return ending.result()
            if ending is not None:
                ending.cancel()
            order = asked.result()
            asked = asyncio.ensure_future(station.order())
            if order.letter.kind == "retire":
                ending = asyncio.ensure_future(_retire(order, station, gateway, hub, health))
            else:
                ending = asyncio.ensure_future(_stop(order.letter.seconds, gateway))
    finally:
        asked.cancel()


async def _stop(grace: float, gateway: Gateway) -> bool:
    if grace:
        await asyncio.sleep(_LAST_ARRIVALS)
    return await gateway.stop(grace, quiet=min(_QUIET, grace))


async def _retire(order: Order, station: Station, gateway: Gateway, hub: Hub | None, health: Health) -> bool:
    """Make room for a successor: accept no more, end streams, release the history, hand over who is idle."""
    await gateway.listener.shut()
    operators = asyncio.ensure_future(health.stop(2 * _QUIET, quiet=_QUIET))
    if hub is not None:
        hub.drain()
        hub.broker.close()
    station.retired()
    if order.heir is not None:
        with order.heir:
            await hand_over(gateway.listener, order.heir)
    in_good_order = await gateway.stop(order.letter.seconds, quiet=_QUIET)
    await operators
    return in_good_order
