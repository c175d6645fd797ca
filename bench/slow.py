"""Ten thousand clients that send or read one byte a second, and what becomes of a good one meanwhile.

Run `python -m bench slow`; `-- --quick` takes a fifth of them. A third each trickle a head, trickle a body to an
upstream, and read the answer of one by the byte. Every second of those in heads begins with nearly all of it. They are
answered 408 and come back. Memory is the growth of the gateway's private memory for each of them, the connection to the
upstream included: the median of some seconds for each kind, and the most at any moment for all together.
"""

import argparse
import multiprocessing
import os
import selectors
import shutil
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Final, final

from bench.load import LOAD_CORE, cpu_seconds, pinned, scratch
from bench.report import record
from bench.streams import private_memory
from tests.cli.issuer import Issuer
from tests.cli.sluicegate import configure
from tests.servers.ports import reserved_port
from tests.servers.process import Process, answers, program, running
from tests.wire import Wire, connected, request

CLIENTS: Final = 10_000
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 16000\r\n\r\n" + b"x" * 16_000
KINDS: Final = ("heads", "bodies", "reads")
_SETTLED: Final = 4
_SAMPLES: Final = 11  # a second apart: a head is given ten
_UNSENT: Final = 40  # bytes of a head that is nearly there
_ASKED: Final = 2000
_TURNS: Final = 10  # a second, over which the bytes are spread
_ROUTES: Final = """
[[route]]
path = "/hello"
respond = "Hello {http.auth.user.id}!"
[[route]]
path = "/api/*"
upstream = "http://127.0.0.1:BEHIND"
"""


@final
class Slow:
    """A process of slow clients."""

    def __init__(self, address: tuple[str, int], token: str) -> None:
        self._address: Final = address
        bearer = "Authorization", f"Bearer {token}"
        self._heads: Final = {
            "heads": request("/hello", bearer, *[(f"X-Trace-{number}", "x" * 50) for number in range(8)]),
            "bodies": request("/api/size", bearer, ("Content-Length", "1000000"), method="POST"),
            "reads": request("/api/file", bearer),
        }
        self._open: Final[dict[socket.socket, tuple[str, int]]] = {}
        self._is_nearly_there = False
        self.timed_out = 0
        self.lost = 0

    def serve(self, pipe: Connection) -> None:
        """Trickle, and open more of a kind when that is asked for; say what has happened."""
        turn = 0
        while True:
            begun = time.monotonic()
            if pipe.poll():
                kind, count = pipe.recv()
                for _ in range(count):
                    self._connect(kind)
                pipe.send((self.timed_out, self.lost, len(self._open)))
            for number, one in enumerate(list(self._open)):
                if number % _TURNS == turn % _TURNS:
                    self._trickle(one)
            turn += 1
            time.sleep(max(0.0, 1 / _TURNS - (time.monotonic() - begun)))

    def _connect(self, kind: str) -> None:
        one = socket.create_connection(self._address)
        head = self._heads[kind]
        sent = 0
        if kind == "heads":
            self._is_nearly_there = not self._is_nearly_there
            sent = one.send(head[: len(head) - _UNSENT if self._is_nearly_there else 1])
        else:
            one.send(head)
        one.setblocking(False)  # noqa: FBT003 - the standard library's
        self._open[one] = kind, sent

    def _trickle(self, one: socket.socket) -> None:
        kind, sent = self._open[one]
        try:
            if kind == "reads":
                if not one.recv(1):
                    raise ConnectionResetError
                return
            try:
                answer = one.recv(1000)
            except BlockingIOError:
                one.send(self._heads[kind][sent : sent + 1] if kind == "heads" else b"x")
                self._open[one] = kind, sent + 1
                return
            if kind != "heads" or b" 408 " not in answer:
                raise ConnectionResetError(answer)
            self.timed_out += 1
        except BlockingIOError:
            return
        except OSError:
            self.lost += 1
        one.close()
        del self._open[one]
        self._connect(kind)


def _slow(pipe: Connection, address: tuple[str, int], token: str) -> None:
    os.sched_setaffinity(0, {int(LOAD_CORE) % (os.cpu_count() or 1)})
    try:
        Slow(address, token).serve(pipe)
    except EOFError:
        return


def _behind(pipe: Connection) -> None:
    """Answer GET at once, and never anything else."""
    os.sched_setaffinity(0, {int(LOAD_CORE) % (os.cpu_count() or 1)})
    selector = selectors.EpollSelector()
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    selector.register(listening, selectors.EVENT_READ)
    pipe.send(listening.getsockname()[1])
    while True:
        for key, _ in selector.select():
            if key.fileobj is listening:
                one, _ = listening.accept()
                selector.register(one, selectors.EVENT_READ, one)
                continue
            try:
                data = key.data.recv(65_536)
            except ConnectionResetError:
                data = b""
            if data.startswith(b"GET "):
                key.data.send(ANSWER)
            elif not data:
                selector.unregister(key.data)
                key.data.close()


@contextmanager
def _process(target: object, *arguments: object) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments), daemon=True)  # type: ignore[arg-type]
    process.start()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def latency(wire: Wire, raw: bytes, asked: int = _ASKED) -> float:
    """Return the median milliseconds that a good client waits for an answer."""
    seen = []
    for _ in range(asked):
        begun = time.monotonic()
        wire.send(raw)
        wire.receive()
        seen.append((time.monotonic() - begun) * 1e3)
    return statistics.median(seen)


def memory_of(process: Process) -> list[int]:
    """Return the bytes that a server holds, a second apart."""
    seen = []
    for _ in range(_SAMPLES):
        time.sleep(1)
        seen.append(private_memory(process.pid))
    return seen


def run(*, quick: bool) -> None:
    """Print the figures."""
    clients = CLIENTS // 5 if quick else CLIENTS
    directory = scratch()
    with ExitStack() as stack:
        behind = stack.enter_context(_process(_behind)).recv()
        port = stack.enter_context(reserved_port())
        config = configure(directory, _ROUTES.replace("BEHIND", str(behind)))
        config.path.write_text(config.path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}", 1))
        command = pinned([program("sluicegate"), "serve", "--config", str(config.path)])
        process = stack.enter_context(running(command, answers(port)))
        token = Issuer(config)(1)
        slow = stack.enter_context(_process(_slow, ("127.0.0.1", port), token))
        wire = stack.enter_context(connected(("127.0.0.1", port)))
        raw = request("/hello", ("Authorization", f"Bearer {token}"))
        latency(wire, raw)
        alone, empty = statistics.median(latency(wire, raw) for _ in range(5)), private_memory(process.pid)
        print(f"a good client alone: {alone:.3f} ms")
        for kind in KINDS:
            before = private_memory(process.pid)
            slow.send((kind, clients // len(KINDS)))
            slow.recv()
            time.sleep(_SETTLED)
            each = (statistics.median(memory_of(process)) - before) / (clients // len(KINDS))
            beside = latency(wire, raw)
            count = clients // len(KINDS)
            print(f"{count} more in {kind:6}: {each:6.0f} bytes each; a good client {beside:.3f} ms", flush=True)
            record("Slow clients: memory", f"each of {count:,} more in {kind}", each, "bytes", asked=4000)
        cpu, begun = cpu_seconds(process.pid), time.monotonic()
        most = (max(memory_of(process)) - empty) / (clients // len(KINDS) * len(KINDS))
        spent = (cpu_seconds(process.pid) - cpu) / (time.monotonic() - begun)
        # over two lives of a head: many of them are answered in the same second, and come back in it
        medians = []
        for _ in range(2 * _SAMPLES):
            time.sleep(0.5)
            medians.append(latency(wire, raw, _ASKED // 4))
        slow.send(("heads", 0))
        timed_out, lost, left = slow.recv()
        beside = statistics.median(medians)
        print(f"{left} slow clients, {most:.0f} bytes each at the most: {spent:.0%} of a core")
        print(f"{timed_out} heads were answered 408, {lost} broke off")
        print(
            f"a good client beside them {beside:.3f} ms: {beside / alone:.2f} of alone; at worst {max(medians):.3f} ms"
        )
        record("Slow clients: memory", f"each of all {left:,}, at the most", most, "bytes", asked=4000)
        record("Slow clients: a good one's median", f"beside {left:,}, of alone", beside / alone, "times", asked=2)
    shutil.rmtree(directory)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
