"""One gateway for each file of tests."""

from collections.abc import Iterator

import pytest

from tests.conformance.scene import Scene, scene


@pytest.fixture(scope="module")
def talk() -> Iterator[Scene]:
    with scene() as here:
        yield here
