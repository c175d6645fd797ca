"""A reader that stops, over real sockets, under each policy: it holds a bounded queue, and nobody else waits for it."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sluicegate.sse.subscription import Policy, Terms
from tests.events.gate import WRITER, Stream, Streams, bearer, streaming
from tests.events.test_live import behind
from tests.table.tokens import mint
from tests.wire import WITHIN, Wire, connected, request

EVENTS, AT_ONCE = 10_000, 100
DATA = "x" * 2000
QUEUE, QUEUE_BYTES = 1000, 1 << 20
TOPIC = "public-x"


@contextmanager
def stopped(hub: Streams) -> Iterator[Stream]:
    """A stream whose client reads its beginning and then nothing, and has little room."""
    with socket.socket() as small:
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.settimeout(WITHIN)
        small.connect(hub.gate.address)
        wire = Wire(small)
        wire.send(request(f"/events/{TOPIC}", bearer(mint())))
        yield Stream(wire)


def publish_all(hub: Streams, quick: Stream) -> None:
    """Publish, while another reads along; look at the one that has stopped."""
    kind = ("Content-Type", "text/plain")
    raw = request(f"/events/{TOPIC}", bearer(WRITER), kind, method="POST", body=DATA.encode())
    with connected(hub.gate.address) as wire:
        for _ in range(EVENTS // AT_ONCE):
            wire.send(raw * AT_ONCE)
            for _ in range(AT_ONCE):
                assert wire.receive(to="POST").status == 201
            # all of them are here before the next is published, whatever the other one does
            assert len(quick.next(AT_ONCE)) == AT_ONCE
            for reader in behind(hub):
                events, size = reader.waiting
                assert events <= QUEUE
                assert size <= QUEUE_BYTES


@pytest.mark.parametrize("policy", ["disconnect", "drop_newest", "drop_oldest", "block"])
def test_a_reader_that_stops_is_bounded_and_counted_and_the_others_get_everything(policy: Policy) -> None:
    terms = Terms(policy=policy, queue=QUEUE, queue_bytes=QUEUE_BYTES, history=QUEUE)
    with streaming(terms=terms) as hub, hub.reading(TOPIC) as quick, stopped(hub) as slow:
        publish_all(hub, quick)
        report = hub.hub.report()
        assert report["published"] == EVENTS
        if policy == "disconnect":
            assert (report["disconnected"], report["dropped"], report["streams"]) == (1, 0, 1)
            slow.rest()
            assert not slow.over  # cut off, and not ended in good order
            return
        assert (report["disconnected"], report["streams"]) == (0, 2)
        hub.publish(TOPIC, "the last")
        events = [slow.next()[0]]
        while events[-1][1] != "the last":
            events += slow.next()
        gaps = [json.loads(data) for kind, data in events if kind == "gap"]
        got = sum(data == DATA for _, data in events)
        assert got < EVENTS
        if policy == "block":
            assert [one["reason"] for one in gaps] == ["history"]
            assert hub.hub.report()["dropped"] == 0
        else:
            assert got + sum(one["missed"] for one in gaps) == EVENTS
            assert hub.hub.report()["dropped"] == sum(one["missed"] for one in gaps)
        assert hub.hub.report()["gaps"] == len(gaps) == 1
