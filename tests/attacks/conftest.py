"""One gateway for the attacks of a module, on each store."""

from collections.abc import Iterator

import pytest

from tests.attacks.scene import Scene, scene_on


@pytest.fixture(scope="module", params=["embedded", "redis"])
def attacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A gateway that every attack of the module is made on: it must stand all of them."""
    with scene_on(request.param, tmp_path_factory.mktemp("attacked")) as found:
        yield found
        assert found.get("/public/alive").status == 200
        assert "Traceback" not in found.gateway.process.output()
