"""Clients that npm has for event streams: they subscribe, receive, come back, miss nothing, are told of the end."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

import pytest

from tests.browser.world import World, world
from tests.servers.process import program

NODE: Final = Path(__file__).parents[1] / "interop" / "node"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("npm")) as one:
        yield one


@final
class Listener:
    """A client in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process: Final = process

    def next(self) -> tuple[str, str]:
        """Wait for what happens next; that it has connected again is no event."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the client has ended"
        kind, data = json.loads(line)
        return kind, data


@contextmanager
def listening(which: str, url: str, token: str) -> Iterator[Listener]:
    command: list[Any] = [program("node"), NODE / "listen.mjs", which, url]
    environment = {"TOKEN": token}
    # a session of its own: what pip calls `node` is a script that starts it, and both must end
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            yield Listener(process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("which", ["eventsource", "eventsource-client"])
def test_it_misses_nothing_over_a_restart_and_is_told_of_the_end(here: World, which: str) -> None:
    topic, url = f"public-{which}", f"{here.gate}/events/public-{which}"
    with listening(which, url, here.config.mint("--jti", which)) as client:
        assert client.next() == ("open", "")
        here.publish(topic, "1")
        assert client.next() == ("message", "1")
        here.restart(topic, "2")
        assert [client.next(), client.next()] == [("open", ""), ("message", "2")]
        here.publish(topic, "3")
        assert client.next() == ("message", "3")
        here.revoke(which)
        assert client.next() == ("auth", "api_key_blacklisted")


def test_a_bad_token_is_refused_to_it(here: World) -> None:
    with listening("eventsource", f"{here.gate}/events/public-a", "junk") as client:
        assert client.next() == ("refused", "401")
