"""The gateway, once for each gate of the table, each on a port of its own; prints the ports when all listen.

Called with the port of the upstream, or with the name of the proxy whose forward-auth questions they answer.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

import uvloop

# A script, and not a module run by its name: the server's own directory is all that it is given.
sys.path.insert(0, str(Path(__file__).parents[3]))

from sluicegate.adapters.decider import policy_for
from sluicegate.adapters.forward_auth import LOOPBACK
from sluicegate.adapters.forwarded import trusts
from sluicegate.server.gateway import Gateway
from sluicegate.server.routes import ForwardAuth, Proxy, Route, Upstream
from sluicegate.server.wire.limits import Limits
from tests.table.gates import GATES, Named

ROOMY = Limits(request_line=65_536, field=65_536)
"""It is the gate that must say no to 8 KiB and a byte, not the listener."""


def _gateway(named: Named, behind: str) -> Gateway:
    engine = named.engine(awaited=not behind.isdigit())
    policy = policy_for(engine, auth=named.auth, require=named.require) or engine.policy
    if behind.isdigit():
        route = Route("/*", Proxy(Upstream("127.0.0.1", int(behind))), policy)
    else:
        route = Route("/auth", ForwardAuth("nginx", trusts(LOOPBACK), "/auth"), policy)
    return Gateway(engine=engine, routes=[route], limits=ROOMY)


async def _serve(behind: str) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    gateways = {name: _gateway(named, behind) for name, named in GATES.items()}
    ports = {name: (await gateway.start(("127.0.0.1", 0)))[1] for name, gateway in gateways.items()}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await stopped.wait()
    for gateway in gateways.values():
        await gateway.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
