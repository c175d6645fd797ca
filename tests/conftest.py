"""What every test may ask for: both event loops, a certificate authority, a Redis of its own."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.servers.certificates import Authority
from tests.servers.redis import Redis, redis_server

# `make test` gives the same answer twice: the examples follow from the test alone. A search for new ones is a run with
# HYPOTHESIS_PROFILE=search. No deadline: on a shared machine it measures the neighbours.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("search", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:  # noqa: ANN401 - anyio's own shape
    """Every async test runs on asyncio's own loop and on uvloop."""
    return request.param


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs certificates for servers and clients."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def redis() -> Iterator[Redis]:
    """A redis-server of this test alone: empty, without a password; `redis_server` makes every other kind."""
    with redis_server() as server:
        yield server
