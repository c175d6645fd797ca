from pathlib import Path

from tests.cli.sluicegate import configure, serving
from tests.server.bodies import Framing, Way, carry, memory, reset
from tests.server.upstream import Listening

SIZE = 256 * 2**20
SLACK = 12 * 2**20
"""What a gateway may take more while a body passes: buffers of both directions, and what the allocator keeps."""


def test_bodies_of_a_quarter_of_a_gibibyte_pass_both_ways_in_flat_memory(tmp_path: Path, behind: Listening) -> None:
    """Length or chunks, up or down: what it takes has nothing to do with how much passes, and every byte arrives."""
    config = configure(tmp_path, f'[[route]]\npath = "/*"\nupstream = "http://127.0.0.1:{behind.port}"\n')
    token = config.mint()
    ways: list[tuple[Way, Framing]] = [("up", "length"), ("up", "chunks"), ("down", "length"), ("down", "chunks")]
    with serving(config) as gateway:
        for way, framing in ways:  # whatever is made once is made here
            carry(gateway.address, behind, way, framing, size=2**20, token=token)
        before = memory(gateway.process.pid).now
        reset(gateway.process.pid)
        for way, framing in ways:
            carry(gateway.address, behind, way, framing, size=SIZE, token=token)
            assert memory(gateway.process.pid).peak - before < SLACK, (way, framing)
