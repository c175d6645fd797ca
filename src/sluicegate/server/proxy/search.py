"""Looks for a service that takes a request: connects, and goes to another where that fails."""

import asyncio
from typing import Final, Protocol, final

from sluicegate.errors import UpstreamError
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.proxy.balance import Balance
from sluicegate.server.proxy.pool import Link, Pool

_TRIAL_TIME: Final = 1.0
"""Seconds that a service which was out has to take a connection: there are others, and somebody waits."""

_NONE: Final = "The upstream does not accept connections"


class Seeker(Protocol):
    """A request that needs a connection."""

    def found(self, pool: Pool, link: Link) -> None:
        """Take the connection."""
        ...

    def fail(self, status: int, message: str) -> None:
        """Answer for it that there is none."""
        ...


@final
class Search:
    """The search of one request, which is sent nowhere while this goes on. One upstream: no `balance`."""

    __slots__ = ("_balance", "_client", "_pool", "_request", "_seeker", "_task", "_tried")

    def __init__(
        self, seeker: Seeker, client: Connection, pool: Pool, balance: Balance | None, *, request: str
    ) -> None:
        self._seeker: Final = seeker
        self._client: Final = client
        self._pool = pool
        self._balance: Final = balance
        self._request: Final = request
        self._tried: list[Pool] = []
        self._task: asyncio.Task[None] | None = None

    def connect(self) -> None:
        """Open a connection to the service that it is at."""
        pool = self._pool
        patience = pool.limits.connect_time
        if self._balance is not None and pool.outage is not None:
            patience = min(patience, _TRIAL_TIME)
        self._client.extend(patience)
        self._task = asyncio.get_running_loop().create_task(self._connected(pool))

    async def _connected(self, pool: Pool) -> None:
        try:
            link = await pool.open()
        except UpstreamError as error:
            self._task = None
            pool.failed(error.cause, str(error), request=self._request)
            # somebody who cannot be trusted may stand there on purpose: that is not made good in silence
            if error.cause == "tls" or not self.goes_elsewhere():
                self._seeker.fail(502, _NONE)
            return
        self._task = None
        self._seeker.found(pool, link)

    def goes_elsewhere(self) -> bool:
        """Go to a service that was not tried; tell whether there is one."""
        if self._balance is None:
            return False
        self._tried.append(self._pool)
        other = self._balance.choose(besides=self._tried)
        if other is None:
            return False
        self._pool = other
        link = other.take()
        if link is None:
            self.connect()
        else:
            self._seeker.found(other, link)
        return True

    def late(self) -> bool:
        """The time to connect is over; tell whether it was that which took so long."""
        if self._task is None:
            return False
        self.cancel()
        self._pool.failed("connection", "it takes no connection in time", request=self._request)
        if not self.goes_elsewhere():
            self._seeker.fail(504, _NONE)
        return True

    def cancel(self) -> None:
        """Give up."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
