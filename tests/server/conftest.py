"""A gateway in front of an upstream that the test plays, and a client's connection to it."""

from collections.abc import Iterator

import pytest

from tests.server.gate import Running, route, running
from tests.server.upstream import Listening, upstream
from tests.wire import Wire, connected


@pytest.fixture
def behind() -> Iterator[Listening]:
    with upstream() as listening:
        yield listening


@pytest.fixture
def gate(behind: Listening) -> Iterator[Running]:
    with running(route("/*", behind.proxy)) as gate:
        yield gate


@pytest.fixture
def wire(gate: Running) -> Iterator[Wire]:
    with connected(gate.address) as wire:
        yield wire
