"""A real Chromium without a window, spoken to over its DevTools protocol: as much of it as the tests need."""

import itertools
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, final

from websockets.sync.client import ClientConnection, connect

from tests.servers.process import prints, program, running

_WITHIN: Final = 20.0
_LISTENING: Final = re.compile(r"DevTools listening on (ws://\S+)")
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",  # a container's /dev/shm is small
    "--remote-debugging-port=0",
)


class PageFailed(AssertionError):  # noqa: N818 - says what the page threw
    """A page threw."""


@final
class Page:
    """A tab."""

    def __init__(self, browser: "Chromium", session: str) -> None:
        self._browser: Final = browser
        self._session: Final = session

    def run(self, script: str) -> Any:  # noqa: ANN401 - any JSON value
        """Evaluate an expression in the page, wait for it where it is a promise, and return its value."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        done = self._browser.call("Runtime.evaluate", asked, session=self._session)
        if "exceptionDetails" in done:
            raise PageFailed(json.dumps(done["exceptionDetails"]))
        return done["result"].get("value")

    def until(self, condition: str) -> Any:  # noqa: ANN401 - any JSON value
        """Wait until an expression is true; return its value."""
        return self.run(
            "new Promise((done) => { const look = () => {"
            f"const value = ({condition}); if (value) done(value); else setTimeout(look, 10); }}; look(); }})"
        )

    def open(self, url: str) -> None:
        """Go somewhere, and wait until it is there."""
        self._browser.call("Page.navigate", {"url": url}, session=self._session)
        self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")


@final
class Chromium:
    """A browser."""

    def __init__(self, wire: ClientConnection) -> None:
        self._wire: Final = wire
        self._count: Final = itertools.count(1)

    def call(self, method: str, parameters: dict[str, Any], *, session: str = "") -> dict[str, Any]:
        """Do one thing; return what came of it. Events in between are nobody's."""
        number = next(self._count)
        command = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        self._wire.send(json.dumps(command))
        while True:
            said = json.loads(self._wire.recv(timeout=_WITHIN))
            if said.get("id") == number:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result

    def page(self, url: str) -> Page:
        """Open a tab."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        page.open(url)
        return page


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Run one with an empty profile until the block ends."""
    with tempfile.TemporaryDirectory(prefix="sg-chromium-", ignore_cleanup_errors=True) as profile:
        command = [program("chromium"), *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        with running(command, prints("DevTools listening on ")) as process:
            found = _LISTENING.search(process.output())
            assert found is not None, process.output()
            with connect(found[1], max_size=None, proxy=None) as wire:
                yield Chromium(wire)
