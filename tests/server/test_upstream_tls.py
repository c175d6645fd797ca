"""TLS to upstreams: nothing is sent to whoever does not prove who he is, and nothing that was cut off looks whole."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from sluicegate.core.events import Event, UpstreamFailed
from sluicegate.server.routes import Proxy, Tls, Upstream
from sluicegate.server.sessions import Sessions
from sluicegate.server.wire.limits import Limits
from tests.cli.sluicegate import bearer, configure, serving
from tests.server.gate import BEARER, Running, route, running
from tests.server.upstream import OK, Listening, Peer
from tests.servers.certificates import Authority, Certificate
from tests.servers.ports import LOOPBACK
from tests.wire import WITHIN, BadResponse, connected, exchange, request

UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Noted(list[Event]):
    """What a gateway told of its upstreams."""

    def noted(self, event: Event) -> None:
        self.append(event)


class Behind:
    """An upstream that speaks TLS, played by the test."""

    def __init__(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        self.port = int(listening.getsockname()[1])
        self.names: list[str | None] = []
        self.context = context
        self.accepted = ExitStack()
        self._listening = listening
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)

    def accept(self) -> Peer:
        """Wait for the gateway to connect, and shake hands."""
        return Peer(self.accepted.enter_context(self.context.wrap_socket(self.accept_plain(), server_side=True)))

    def accept_plain(self) -> socket.socket:
        """Wait for the gateway to connect."""
        plain, _ = self._listening.accept()
        plain.settimeout(WITHIN)
        return plain


@contextmanager
def speaking(certificate: Certificate) -> Iterator[Behind]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_server((LOOPBACK, 0)) as listening:
        listening.settimeout(WITHIN)
        it = Behind(listening, context)
        with it.accepted:
            yield it


@contextmanager
def before(
    it: Behind, context: Sessions, *, name: str = "localhost", limits: Limits | None = None
) -> Iterator[tuple[Running, Noted]]:
    """Run a gateway in front of it."""
    noted = Noted()
    proxy = Proxy(Upstream(LOOPBACK, it.port, tls=Tls(context, name)))
    with running(route("/*", proxy), instrument=noted, limits=limits) as gate:
        yield gate, noted


def trusting(authority: Authority) -> Sessions:
    context = Sessions()
    context.load_verify_locations(cafile=authority.ca_file)
    return context


def secured(peer: Peer) -> ssl.SSLSocket:
    assert isinstance(peer.socket, ssl.SSLSocket)
    return peer.socket


def test_it_is_asked_by_name_for_http11_and_its_certificate_is_verified(authority: Authority) -> None:
    with speaking(authority.server()) as it, before(it, trusting(authority)) as (gate, _):
        with connected(gate.address) as wire:
            wire.send(request("/a", BEARER, method="POST", body=b"hello"))
            peer = it.accept()
            assert peer.request().line == "POST /a HTTP/1.1"
            assert peer.body(5) == b"hello"
            peer.send()
            assert wire.receive().body == b"ok"
            assert secured(peer).selected_alpn_protocol() == "http/1.1"
            assert it.names == ["localhost"]
            wire.send(request("/b", BEARER))
            assert peer.serve().line == "GET /b HTTP/1.1"
            assert wire.receive().body == b"ok"
        assert [report["name"] for report in gate.gateway.upstreams] == [f"https://{LOOPBACK}:{it.port}"]


@pytest.mark.parametrize("fault", ["authority", "name", "expired", "no TLS"])
def test_whoever_is_not_who_he_should_be_gets_nothing_and_nobody_else_is_asked_in_his_place(
    authority: Authority, tmp_path: Path, behind: Listening, fault: str
) -> None:
    stranger = Authority(tmp_path, name="Somebody")
    days = -1 if fault == "expired" else 30
    hosts = ("other.test",) if fault == "name" else ("localhost",)
    signing = stranger if fault == "authority" else authority
    certificate = signing.server("other", hosts=hosts, days=days)
    noted = Noted()
    with speaking(certificate) as it:
        tls = Upstream(LOOPBACK, it.port, tls=Tls(trusting(authority), "localhost"))
        proxy = Proxy(behind.proxy.upstream, others=(tls,))
        with running(route("/*", proxy), instrument=noted) as gate, connected(gate.address) as wire:
            wire.send(request("/a", BEARER))
            if fault == "no TLS":
                with it.accept_plain() as plain:
                    assert plain.recv(65536)
                    plain.sendall(OK)
                    assert wire.receive().status == 502
            else:
                with suppress(OSError):
                    assert it.accept().socket.recv(1) == b""
                assert wire.receive().status == 502
            assert behind.is_untouched()
            (failed,) = noted
            assert isinstance(failed, UpstreamFailed)
            assert (failed.cause, failed.out) == ("tls", True)
            said = {
                "authority": "not trusted: unable to get local issuer",
                "name": "not trusted: Hostname mismatch",
                "expired": "not trusted: certificate has expired",
                "no TLS": "TLS failed",
            }
            assert said[fault] in failed.detail
            # from here on it is left alone, and that is known
            wire.send(request("/b", BEARER))
            behind.accept().serve()
            assert wire.receive().body == b"ok"


def test_a_name_of_its_own_is_what_the_certificate_must_carry(authority: Authority) -> None:
    certificate = authority.server("named", hosts=("orders.internal",))
    with speaking(certificate) as it, before(it, trusting(authority), name="orders.internal") as (gate, _):
        with connected(gate.address) as wire:
            wire.send(request("/a", BEARER))
            it.accept().serve()
            assert wire.receive().body == b"ok"
        assert it.names == ["orders.internal"]


@pytest.mark.parametrize("has_certificate", [True, False])
def test_a_client_certificate_is_shown_to_whoever_asks_for_it(authority: Authority, *, has_certificate: bool) -> None:
    context = trusting(authority)
    if has_certificate:
        client = authority.client()
        context.load_cert_chain(client.cert_file, client.key_file)
    with speaking(authority.server()) as it, before(it, context) as (gate, _), connected(gate.address) as wire:
        it.context.load_verify_locations(cafile=authority.ca_file)
        it.context.verify_mode = ssl.CERT_REQUIRED
        wire.send(request("/a", BEARER, method="POST"))
        if has_certificate:
            peer = it.accept()
            peer.serve()
            assert secured(peer).getpeercert()
            assert wire.receive().body == b"ok"
        else:
            with pytest.raises(ssl.SSLError):
                it.accept()
            assert wire.receive().status == 502


def test_an_older_version_than_allowed_is_not_spoken(authority: Authority) -> None:
    context = trusting(authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with speaking(authority.server()) as it, before(it, context) as (gate, noted), connected(gate.address) as wire:
        it.context.maximum_version = ssl.TLSVersion.TLSv1_2
        wire.send(request("/a", BEARER))
        with pytest.raises(ssl.SSLError):
            it.accept()
        assert wire.receive().status == 502
        assert isinstance(noted[0], UpstreamFailed)
        assert noted[0].cause == "tls"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_response_that_ends_with_its_connection_is_whole_only_with_a_close_notify(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    with speaking(authority.server()) as it, before(it, trusting(authority)) as (gate, _):
        it.context.maximum_version = version
        for http in (b"HTTP/1.1", b"HTTP/1.0"):
            with connected(gate.address) as wire:
                wire.send(request("/a", BEARER).replace(b"HTTP/1.1", http))
                peer = it.accept()
                peer.serve(UNTIL_CLOSE)
                secured(peer).unwrap()
                peer.close()
                assert wire.receive().body == b"hello"
            with connected(gate.address) as wire:
                wire.send(request("/a", BEARER).replace(b"HTTP/1.1", http))
                peer = it.accept()
                peer.serve(UNTIL_CLOSE)
                assert wire.receive_head().status == 200
                # what anybody on the way can do: a FIN of TCP
                socket.socket(fileno=secured(peer).detach()).close()
                with pytest.raises((BadResponse, ConnectionResetError)):
                    wire.read_exactly(1000)


def test_a_response_whose_length_is_known_is_whole_without_a_close_notify(authority: Authority) -> None:
    with speaking(authority.server()) as it, before(it, trusting(authority)) as (gate, _):
        with connected(gate.address) as wire:
            wire.send(request("/a", BEARER))
            peer = it.accept()
            peer.serve(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            socket.socket(fileno=secured(peer).detach()).close()
            assert wire.receive().body == b"ok"
        with connected(gate.address) as wire:
            wire.send(request("/a", BEARER))
            peer = it.accept()
            peer.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
            secured(peer).unwrap()
            peer.close()
            with pytest.raises((BadResponse, ConnectionResetError)):
                wire.receive()


# What the way to a client takes is the system's choice, 4 MiB and something here; one of these ends a little past it.
@pytest.mark.parametrize("size", range(3_600_000, 4_800_000, 150_000))
def test_a_slow_client_gets_all_of_a_response_whose_connection_is_long_closed(authority: Authority, size: int) -> None:
    body = b"x" * size
    with (
        speaking(authority.server()) as it,
        before(it, trusting(authority)) as (gate, _),
        connected(gate.address) as wire,
    ):
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        wire.send(request("/a", BEARER))
        peer = it.accept()

        def respond() -> None:
            peer.serve(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
            peer.socket.settimeout(0)
            with suppress(ssl.SSLWantReadError):  # says close_notify, and does not wait for the other side's
                secured(peer).unwrap()
            peer.close()

        thread = threading.Thread(target=respond)
        thread.start()
        thread.join(WITHIN)
        for _ in range(50):  # it takes what there is in many small pieces
            gate.turn()
        assert wire.receive().body == body


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_was_agreed_upon_is_taken_up_again_for_an_hour(authority: Authority, version: ssl.TLSVersion) -> None:
    context, now = trusting(authority), [0.0]
    context.clock = lambda: now[0]
    resumed = []
    with speaking(authority.server()) as it, before(it, context) as (gate, _):
        it.context.maximum_version = version
        for later in (0, 10, 3500, 200, 10):
            now[0] += later
            with connected(gate.address) as wire:
                wire.send(request("/a", BEARER))
                peer = it.accept()
                peer.serve()
                assert wire.receive().body == b"ok"
                resumed.append(secured(peer).session_reused)
                peer.close()
            with connected(gate.address) as wire:  # the gateway has seen by now that it was closed
                wire.send(request("/hello"))
                assert wire.receive().status == 401
    assert resumed == [False, True, True, False, True]


def test_a_gateway_is_told_in_its_settings_how_to_speak_tls(authority: Authority, tmp_path: Path) -> None:
    client = authority.client()
    with speaking(authority.server("own", hosts=("orders.internal",))) as it:
        it.context.load_verify_locations(cafile=authority.ca_file)
        it.context.verify_mode = ssl.CERT_REQUIRED
        tls = (
            f'upstream_tls = {{ ca_file = "{authority.ca_file}", server_name = "orders.internal", '
            f'cert_file = "{client.cert_file}", key_file = "{client.key_file}", min_version = "1.3" }}'
        )
        url = f"https://{LOOPBACK}:{it.port}"
        config = configure(tmp_path, f'[[route]]\npath = "/*"\nupstream = "{url}"\n{tls}\n')
        token = config.mint()
        with serving(config) as gateway:
            with connected(gateway.address) as wire:
                wire.send(request("/a", bearer(token)))
                peer = it.accept()
                peer.serve()
                assert wire.receive().body == b"ok"
                assert secured(peer).version() == "TLSv1.3"
            (shown,) = json.loads(gateway.health().body)["upstreams"]
            assert (shown["name"], shown["out_since"]) == (url, None)
            it.context.maximum_version = ssl.TLSVersion.TLSv1_2
            peer.close()
            answers = []
            thread = threading.Thread(
                target=lambda: answers.append(exchange(gateway.address, request("/b", bearer(token))))
            )
            thread.start()
            with pytest.raises(ssl.SSLError):
                it.accept()
            thread.join(WITHIN)
            assert answers[0].status == 502
            health = json.loads(gateway.health().body)
            assert health["status"] == "degraded"
            assert health["upstreams"][0]["cause"] == "tls"
            line = next(line for line in gateway.process.output().splitlines() if "an upstream failed" in line)
            said = json.loads(line)
            assert (said["service"], said["cause"], said["request"]) == (url, "tls", answers[0].header("X-Request-ID"))
            assert "TLS failed" in said["detail"]
            assert token not in line


def test_files_that_cannot_be_used_are_all_said_before_anything_starts(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    route_of = '[[route]]\npath = "/{}"\nupstream = "https://h"\nupstream_tls = {{ {} }}\n'
    config = configure(
        tmp_path,
        route_of.format("a", 'ca_file = "missing.pem"')
        + route_of.format("b", f'cert_file = "{authority.ca_file}", key_file = "empty.pem"'),
    )
    done = config.run("check")
    assert done.code == 2
    assert "[[route]] #1 upstream_tls.ca_file: cannot be used (no such file or directory)" in done.err
    assert "[[route]] #2 upstream_tls.cert_file: cannot be used" in done.err


def test_a_certificate_that_nobody_checks_is_unsafe_and_said_to_be(authority: Authority, tmp_path: Path) -> None:
    with speaking(authority.server("any", hosts=("other.test",))) as it:
        config = configure(
            tmp_path,
            f'[[route]]\npath = "/*"\nupstream = "https://{LOOPBACK}:{it.port}"\n'
            "upstream_tls = { insecure_skip_verify = true }\n",
        )
        token = config.mint()
        with serving(config) as gateway, connected(gateway.address) as wire:
            assert json.loads(gateway.health().body)["unsafe"] == ["upstream_insecure_skip_verify"]
            assert "UNSAFE upstream_insecure_skip_verify" in gateway.process.output()
            wire.send(request("/a", bearer(token)))
            it.accept().serve()
            assert wire.receive().body == b"ok"
