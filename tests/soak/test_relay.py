"""The soak of two gateways over one Redis, for a minute."""

from pathlib import Path

import pytest

from tests.soak.relay import shake


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_log_equals_the_history_though_redis_is_killed_and_connections_are_cut(tmp_path: Path) -> None:
    scene = shake(tmp_path, seconds=55)
    assert scene.answers[201] > 100
    assert scene.accidents


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_so_it_is_with_two_workers_each(tmp_path: Path) -> None:
    assert shake(tmp_path, seconds=8, workers=2, seed=2).answers[201]
