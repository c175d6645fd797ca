"""A peer that speaks as a Redis should not: scripted, over real sockets."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, final

from tests.servers.ports import LOOPBACK

Script = Callable[["Conversation"], None]
"""What a peer does with each connection; when it returns, the connection is closed."""


class Hung(Exception):  # noqa: N818 - the other side hung up: an end, no error
    """The client closed the connection."""


@final
class Conversation:
    """One connection, seen from the peer."""

    def __init__(
        self, connection: socket.socket, *, number: int, stop: threading.Event, hearing: threading.Condition
    ) -> None:
        self.number = number
        """Which connection of this peer it is, from 1."""
        self.chunks: list[bytes] = []
        """What came with each read."""
        self._connection: Final = connection
        self._stop: Final = stop
        self._hearing: Final = hearing
        self._buffer = b""

    def command(self) -> list[bytes]:
        """Read one command. Raises `Hung` when none comes any more."""
        words = int(self._line()[1:])
        return [self._exactly(int(self._line()[1:])) for _ in range(words)]

    def greet(self) -> None:
        """Answer the handshake of a client without login: its one command."""
        assert self.command()[:2] == [b"CLIENT", b"SETNAME"]
        self.say(b"+OK\r\n")

    def say(self, data: bytes, *, every: float = 0.0) -> None:
        """Send bytes, all at once or one every so many seconds."""
        with suppress(OSError):
            for piece in [data] if not every else [data[at : at + 1] for at in range(len(data))]:
                self._connection.sendall(piece)
                if every and self._stop.wait(every):
                    return

    def listen(self) -> None:
        """Read and say nothing, until the client closes. Raises `Hung` then."""
        while True:
            self._more()

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size + 2:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size + 2 :]
        return data

    def _more(self) -> None:
        try:
            data = self._connection.recv(65536)
        except OSError as error:
            raise Hung from error
        if not data:
            raise Hung
        with self._hearing:
            self.chunks.append(data)
            self._hearing.notify_all()
        self._buffer += data


@final
class Peer:
    """A listening peer and its connections."""

    host = LOOPBACK

    def __init__(self, script: Script) -> None:
        self._script: Final = script
        self._stop: Final = threading.Event()
        self._hearing: Final = threading.Condition()
        self._listener: Final = socket.create_server((LOOPBACK, 0), backlog=1024)
        self.port: Final[int] = self._listener.getsockname()[1]
        self.conversations: Final[list[Conversation]] = []
        self._sockets: Final[list[socket.socket]] = []
        self._faults: Final[list[BaseException]] = []
        self._threads: Final = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """End all, and raise what a script failed with."""
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        if self._faults:
            raise self._faults[0]

    def heard(self, number: int) -> None:
        """Wait until the first connection has sent something so many times."""
        with self._hearing:
            assert self._hearing.wait_for(
                lambda: bool(self.conversations) and len(self.conversations[0].chunks) >= number, timeout=20
            )

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # a script sends piece by piece, and each is to leave at once
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conversation = Conversation(
                connection, number=len(self.conversations) + 1, stop=self._stop, hearing=self._hearing
            )
            self.conversations.append(conversation)
            self._sockets.append(connection)
            thread = threading.Thread(target=self._converse, args=(connection, conversation))
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket, conversation: Conversation) -> None:
        try:
            with connection, suppress(Hung):
                self._script(conversation)
        except BaseException as fault:  # noqa: BLE001 - raised by `close`, in the test's own thread
            self._faults.append(fault)


@contextmanager
def peer(script: Script) -> Iterator[Peer]:
    """Run a peer for the block."""
    running = Peer(script)
    try:
        yield running
    finally:
        running.close()


def answering(*answers: bytes) -> Script:
    """Let in, then give these answers to the questions of each connection in turn, and none to further ones."""

    def script(conversation: Conversation) -> None:
        conversation.greet()
        for answer in answers:
            conversation.command()
            conversation.say(answer)
        conversation.listen()

    return script
