"""Pages in a real Chromium: what they subscribe to reaches them whole and in order, until their token ends."""

import json
import threading
from collections.abc import Iterator

import pytest
from websockets.sync.server import ServerConnection, serve

from tests.browser.chromium import Chromium, Page, chromium
from tests.browser.world import World, world

LOG = """
window.seen = []; window.over = null; window.opened = 0;
window.source = new EventSource(%s, {withCredentials: %s});
source.onopen = () => { opened += 1; };
source.onmessage = (event) => { seen.push(event.data); };
source.addEventListener("auth", (event) => { over = JSON.parse(event.data); source.close(); });
true
"""


def echo(end: ServerConnection) -> None:
    for message in end:
        end.send(message)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with world(tmp_path_factory.mktemp("browser"), upstream=server.socket.getsockname()[1]) as one:
            yield one
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as one:
        yield one


def log_in(page: Page, token: str) -> None:
    """Have the cookie that a login would set."""
    page.run(f"document.cookie = {json.dumps(f'session_token={token}; path=/')}")


def listen(page: Page, url: str, *, credentials: bool = False) -> None:
    page.run(LOG % (json.dumps(url), json.dumps(credentials)))


def follow(page: Page, here: World, topic: str) -> None:
    """Subscribe, miss what is said while the gateway is away, and have it all the same."""
    page.until("opened === 1")
    here.publish(topic, "1")
    assert page.until("seen.length > 0 && seen") == ["1"]
    here.restart(topic, "2")
    page.until("opened === 2")
    here.publish(topic, "3")
    assert page.until("seen.length > 2 && seen") == ["1", "2", "3"]


def test_with_a_cookie_a_page_misses_nothing_and_is_told_of_the_end(here: World, browser: Chromium) -> None:
    page = browser.page(here.own_page)
    log_in(page, here.config.mint("--jti", "cookie"))
    listen(page, f"{here.gate}/events/public-cookie")
    follow(page, here, "public-cookie")
    here.revoke("cookie")
    assert page.until("over")["error"] == "api_key_blacklisted"
    assert page.run("seen") == ["1", "2", "3"]


def test_with_tickets_the_example_page_misses_nothing_and_is_told_of_the_end(here: World, browser: Chromium) -> None:
    token, topic = here.config.mint("--jti", "ticket"), "public-ticket"
    page = browser.page(f"{here.ours}/index.html?gate={here.gate}#topic={topic}&token={token}")
    lines = "[...document.querySelectorAll('li')].map((line) => line.textContent)"

    # nobody says when the page has subscribed, and what came before is not for it: so it is said until it is heard
    count = 0
    while not page.run(f"{lines}.length"):
        here.publish(topic, f"{count}")
        count += 1
    here.restart(topic, "while away")
    page.until(f"{lines}.includes('message while away')")
    said = [f"message {number}" for number in range(count)] + ["message while away"]
    heard = page.run(lines)
    assert heard == said[-len(heard) :]
    here.revoke("ticket")
    page.until(f"{lines}.at(-1).startsWith('over')")
    assert page.run(f"{lines}.at(-1)") == "over revoked"


@pytest.mark.parametrize("listed", [True, False])
def test_a_page_on_another_origin_uses_the_cookie_only_where_it_is_listed(
    here: World, browser: Chromium, *, listed: bool
) -> None:
    page = browser.page(f"{here.ours if listed else here.foreign}/index.html")
    log_in(page, here.config.mint())
    listen(page, f"{here.gate}/events/public-cors", credentials=True)
    if listed:
        page.until("opened === 1")
        here.publish("public-cors", "hello")
        assert page.until("seen.length && seen") == ["hello"]
    else:
        assert page.until("source.readyState === EventSource.CLOSED")
        assert page.run("opened") == 0


def test_a_page_on_another_origin_opens_no_websocket_with_the_cookie(here: World, browser: Chromium) -> None:
    page = browser.page(f"{here.foreign}/index.html")
    log_in(page, here.config.mint())
    address = here.gate.replace("http", "ws")
    page.run(f"window.ws = new WebSocket('{address}/ws/x'); ws.onclose = (event) => {{ ws.ended = event.code; }}; true")
    assert page.until("ws.ended") == 1006


def test_a_websocket_of_a_page_is_closed_with_a_code_when_its_token_is_revoked(here: World, browser: Chromium) -> None:
    page = browser.page(here.own_page)
    log_in(page, here.config.mint("--jti", "socket"))
    page.run(
        f"""
        window.got = []; window.ended = null;
        window.ws = new WebSocket("{here.gate.replace("http", "ws")}/ws/x");
        ws.onopen = () => ws.send("hello");
        ws.onmessage = (event) => got.push(event.data);
        ws.onclose = (event) => {{ ended = [event.code, event.reason, event.wasClean]; }};
        true
        """
    )
    assert page.until("got.length && got") == ["hello"]
    here.revoke("socket")
    assert page.until("ended") == [1008, "api_key_blacklisted", True]
