"""The soak, for as long as a test may take: what is opened is closed again, whoever left, however it ended."""

import asyncio
from pathlib import Path

from tests.soak.crowd import Crowd
from tests.soak.samples import Sample, growth
from tests.soak.steady import looked, settled, standing

SCENES = 1000


async def play(crowd: Crowd) -> None:
    crowd.pause, crowd.enough = 0.001, SCENES
    await crowd.play(30, asyncio.Event())


def test_a_gateway_keeps_no_connection_descriptor_or_task_of_clients_that_have_gone(tmp_path: Path) -> None:
    with standing(tmp_path) as (gateway, crowd):
        before = looked(gateway)
        asyncio.run(play(crowd))
        after = settled(gateway, before)
        assert after.connections == 0
    assert len(crowd.seen) == len(set(crowd._scenes))  # noqa: SLF001 - every scene was played


def test_growth_is_told_from_noise() -> None:
    def seen(*memory: int) -> list[Sample]:
        return [Sample(float(at), size, 0, 0, 0.0, 0, 0) for at, size in enumerate(memory)]

    assert growth(seen(10, 11, 10, 90, 10, 11, 10), "memory") == 0
    assert growth(seen(10, 13, 11, 90, 14, 17, 16), "memory") > 4
