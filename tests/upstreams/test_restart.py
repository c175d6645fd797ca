"""Two servers of which one dies and comes back under load: who may be asked twice notices nothing."""

import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from sluicegate.server.routes import Proxy, Upstream
from sluicegate.server.wire.limits import Limits
from tests.server.gate import BEARER, Running, route
from tests.server.gate import running as gate_of
from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import prints, running
from tests.upstreams.servers import node_on
from tests.wire import BadResponse, connected, request

WITHIN: Final = 30.0
BRISK: Final = Limits(upstream_pause=0.02)


class Load:
    """Clients that ask again and again, each with a method of its own, and never twice for the same."""

    def __init__(self, gate: Running) -> None:
        self._gate = gate
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._ask, args=(method,)) for method in ("GET", "PUT", "POST")]
        self.answers: Counter[tuple[str, int]] = Counter()
        self.pids: Counter[str] = Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(WITHIN)

    def wait_for(self, count: int, *, more: int = 20) -> None:
        """Wait until so many different processes have answered, and then for so many more answers."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.pids) >= count, WITHIN)
            until = self.pids.total() + more
            assert self._changed.wait_for(lambda: self.pids.total() >= until, WITHIN)

    def _ask(self, method: str) -> None:
        number = 0
        while not self._over.is_set():
            with connected(self._gate.address) as wire:
                for _ in range(10):
                    number += 1
                    field = ("X-Number", f"{method}-{number}")
                    wire.send(request("/done", BEARER, field, method=method, body=b"" if method == "GET" else b"hello"))
                    try:
                        response = wire.receive()
                    except (BadResponse, OSError):  # it has begun, and was broken off
                        self._note(method, 0, "")
                        break
                    self._note(method, response.status, response.header("X-Pid") or "")
                    if response.header("Connection") == "close":
                        break

    def _note(self, method: str, status: int, pid: str) -> None:
        with self._changed:
            self.answers[method, status] += 1
            if pid:
                self.pids[pid] += 1
            self._changed.notify_all()


def test_one_that_is_killed_and_comes_back_fails_nobody_whose_request_may_be_sent_again(tmp_path: Path) -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in range(2)]
        commands, notes = zip(*(node_on(port, tmp_path) for port in ports), strict=True)
        stack.enter_context(running(commands[0], prints("listening")))
        dying = stack.enter_context(running(commands[1], prints("listening")))
        first, other = (Upstream(LOOPBACK, port) for port in ports)
        gate = stack.enter_context(gate_of(route("/*", Proxy(first, others=(other,))), limits=BRISK))
        load = stack.enter_context(Load(gate))
        for deaths in range(3):
            load.wait_for(2 + deaths)
            dying.kill()
            load.wait_for(2 + deaths)
            dying = stack.enter_context(running(commands[1], prints("listening")))
        load.wait_for(5)
    assert {status for method, status in load.answers if method in {"GET", "PUT"}} == {200}
    assert {status for method, status in load.answers if method == "POST"} <= {200, 502}
    # three deaths: each may take the request with it that it was at, and one on a connection whose end is not known yet
    assert load.answers["POST", 502] <= 6
    done = Counter(line for one in notes for line in one.read_text().split() if line.startswith("POST"))
    assert set(done.values()) == {1}
