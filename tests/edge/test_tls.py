"""The TLS listener with real clients, and with those who never meant to be one."""

import asyncio
import itertools
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from sluicegate.server.connection.certificate import Certificate
from sluicegate.server.routes import Respond
from sluicegate.server.wire.limits import Limits
from tests.edge.test_hello import fragmented, hello
from tests.server.gate import BEARER, HELLO, LoopFactory, Running, route, running
from tests.server.upstream import Listening, upstream
from tests.servers.certificates import Authority
from tests.servers.certificates import Certificate as Files
from tests.servers.process import program
from tests.wire import Wire, connected, request

LONG: Final = "x" * 300_000
QUICK: Final = Limits(head_time=0.2, linger_time=0.5, write_time=5)


@pytest.fixture(scope="module")
def files(authority: Authority) -> Files:
    return authority.server("listener")


@contextmanager
def gateway(files: Files, **choices: object) -> Iterator[Running]:
    certificate = Certificate(files.cert_file, files.key_file)
    routes = (route("/long", Respond(LONG)), route("/*", HELLO))
    with running(*routes, certificate=certificate, **choices) as gate:  # type: ignore[arg-type]
        yield gate


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def gate(files: Files, request: pytest.FixtureRequest) -> Iterator[Running]:
    loops: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    chosen = {"loop_factory": loops[request.param]} if request.param in loops else {}
    with gateway(files, **chosen) as running_:
        yield running_


def context(files: Files, *protocols: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=files.ca_file)
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def shake_hands(
    send: Callable[[bytes], None], wire: Wire, inside: ssl.SSLObject, client: ssl.MemoryBIO, server: ssl.MemoryBIO
) -> None:
    """Go through a handshake by hand: `client` is what the client sends, `server` what it is sent."""
    while True:
        try:
            inside.do_handshake()
        except ssl.SSLWantReadError:
            send(client.read())
            server.write(wire.socket.recv(65536))
        else:
            send(client.read())
            return


def pushed(into: socket.socket) -> int:
    """Send until nothing more is taken, at most a gigabyte; return how much was."""
    into.settimeout(0.5)
    sent = 0
    with suppress(TimeoutError):
        while sent < 1_000_000_000:
            sent += into.send(bytes(1_000_000))
    return sent


def curl(gate: Running, files: Files, *arguments: str) -> subprocess.CompletedProcess[str]:
    url = f"https://localhost:{gate.address[1]}/"
    header = ": ".join(BEARER)
    command = ["curl", "-sv", "--max-time", "20", "--cacert", str(files.ca_file), "-H", header, *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def s_client(gate: Running, *arguments: str, stdin: bytes = b"") -> str:
    command = [program("openssl"), "s_client", "-connect", f"127.0.0.1:{gate.address[1]}", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=20)
    return (done.stdout + done.stderr).decode(errors="replace")


@contextmanager
def proxied(files: Files, behind: Listening) -> Iterator[Running]:
    certificate = Certificate(files.cert_file, files.key_file)
    with running(route("/*", behind.proxy), certificate=certificate) as gate:
        yield gate


# real clients


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_is_served_over_either_version(gate: Running, files: Files, version: str) -> None:
    done = curl(gate, files, f"--tlsv{version}", "--tls-max", version)
    assert done.stdout == "Hello alice!"
    assert f"SSL connection using TLSv{version}" in done.stderr


def test_a_client_that_would_rather_speak_http2_gets_http11(gate: Running, files: Files) -> None:
    done = curl(gate, files, "--http2")
    assert done.stdout == "Hello alice!"
    assert "ALPN: server accepted http/1.1" in done.stderr


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused_with_the_alert_for_it(gate: Running, version: str) -> None:
    assert "alert protocol version" in s_client(gate, version, "-cipher", "ALL:@SECLEVEL=0")


def test_renegotiation_is_not_done(gate: Running) -> None:
    command = [program("openssl"), "s_client", "-tls1_2", "-connect", f"127.0.0.1:{gate.address[1]}"]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with client as running_:
        assert running_.stdin is not None
        assert running_.stdout is not None
        said = b""
        for line in running_.stdout:  # until it ends, which it does by itself when it is refused
            said += line
            if b"Extended master secret" in line:
                running_.stdin.write(b"R\n")
                running_.stdin.flush()
        assert b"no renegotiation" in said


def test_a_session_is_resumed(gate: Running, files: Files) -> None:
    made = context(files)
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    for expected in (False, True):
        with socket.create_connection(gate.address) as plain:
            client = made.wrap_socket(plain, server_hostname="localhost", session=session)
            Wire(client).send(request("/", BEARER))
            assert Wire(client).receive().status == 200
            assert client.session_reused is expected
            session = client.session
            client.close()


def test_openssl_resumes_a_session_of_tls_13(gate: Running, tmp_path: Path) -> None:
    said = s_client(
        gate, "-tls1_3", "-sess_out", str(tmp_path / "s"), "-ign_eof", stdin=request("/", ("Connection", "close"))
    )
    assert "New, TLSv1.3" in said
    assert "Reused, TLSv1.3" in s_client(gate, "-tls1_3", "-sess_in", str(tmp_path / "s"))


_NODE: Final = """
const http2 = require("http2"), fs = require("fs");
const client = http2.connect(process.argv[2], {ca: fs.readFileSync(process.argv[3])});
client.on("error", error => { console.log(error.code); client.destroy(); });
client.on("connect", () => { console.log("connected"); client.close(); });
"""


def test_nodes_http2_client_is_refused_at_the_handshake(gate: Running, files: Files, tmp_path: Path) -> None:
    script = tmp_path / "client.js"
    script.write_text(_NODE)
    command = [program("node"), str(script), f"https://localhost:{gate.address[1]}", str(files.ca_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.strip() == "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL"


@pytest.mark.parametrize("offer", ["h2", "h3,h2", "acme-tls/1", "http/1.0"])
def test_who_offers_only_what_is_not_spoken_gets_the_alert_for_it(gate: Running, offer: str) -> None:
    said = s_client(gate, "-alpn", offer)
    assert "no application protocol" in said


# what is sent, and what arrives


def test_a_hello_in_many_records_is_answered(gate: Running) -> None:
    with connected(gate.address) as wire:
        wire.send(fragmented(hello("http/1.1"), 20))
        assert wire.read_exactly(1) == b"\x16"
    with connected(gate.address) as wire:
        wire.send(fragmented(hello("h2"), 20))
        assert wire.read_to_end() == b"\x15\x03\x03\x00\x02\x02\x78"


@pytest.mark.parametrize("size", [1, 1400, 16_384])
def test_a_hello_as_long_as_any_is_answered_however_it_is_cut(gate: Running, size: int) -> None:
    names = [f"{number}" * 255 for number in range(8)]
    with connected(gate.address) as wire:
        wire.send(fragmented(hello(*names, "http/1.1"), size))
        assert wire.read_exactly(1) == b"\x16"


def test_every_byte_may_come_alone(gate: Running, files: Files) -> None:
    client, server = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = context(files).wrap_bio(server, client, server_hostname="localhost")
    with connected(gate.address) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send(data: bytes) -> None:
            for byte in data:
                wire.send(bytes([byte]))

        shake_hands(send, wire, inside, client, server)
        inside.write(request("/", BEARER))
        send(client.read())
        answer = b""
        while not answer:
            server.write(wire.socket.recv(65536))
            with suppress(ssl.SSLWantReadError):  # tickets come first
                answer = inside.read(65536)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_long_answer_and_pipelined_requests_arrive_whole(gate: Running, files: Files) -> None:
    with connected(gate.address, tls=context(files)) as wire:
        wire.send(request("/long", BEARER) + request("/", BEARER) * 200 + request("/long", BEARER))
        assert len(wire.receive().body) == len(LONG)
        assert {wire.receive().body for _ in range(200)} == {b"Hello alice!"}
        assert len(wire.receive().body) == len(LONG)


def test_bodies_pass_both_ways_while_nobody_reads_ahead(files: Files) -> None:
    body = bytes(range(256)) * 20_000
    with upstream() as behind, proxied(files, behind) as gate, connected(gate.address, tls=context(files)) as wire:
        head = request("/", BEARER, ("Content-Length", str(len(body))), method="POST")
        sender = threading.Thread(target=wire.send, args=(head + body,))
        sender.start()
        peer = behind.accept()
        peer.request()
        assert peer.body(len(body)) == body
        sender.join()
        answer = threading.Thread(
            target=peer.send, args=(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body,)
        )
        answer.start()
        assert wire.receive(to="POST").body == body
        answer.join()


def test_a_client_that_does_not_read_stops_the_upstream(files: Files) -> None:
    """What nobody reads stays with the upstream: only buffers of a bounded size fill on the way."""
    with upstream() as behind, proxied(files, behind) as gate, connected(gate.address, tls=context(files)) as wire:
        wire.send(request("/", BEARER))
        peer = behind.accept()
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        assert pushed(peer.socket) < 30_000_000


def test_an_upload_that_the_upstream_does_not_take_stops_the_client(files: Files) -> None:
    with upstream() as behind, proxied(files, behind) as gate, connected(gate.address, tls=context(files)) as wire:
        wire.send(request("/", BEARER, ("Content-Length", "1000000000"), method="POST"))
        peer = behind.accept()
        peer.request()
        assert pushed(wire.socket) < 30_000_000


def test_the_upstream_is_told_https(files: Files) -> None:
    with upstream() as behind, proxied(files, behind) as gate, connected(gate.address, tls=context(files)) as wire:
        wire.send(request("/", BEARER, ("X-Forwarded-Proto", "http")))
        assert behind.accept().serve().all("X-Forwarded-Proto") == ("https",)
        assert wire.receive().status == 200


def test_an_event_stream_of_an_upstream_arrives_as_it_comes(files: Files) -> None:
    with upstream() as behind, proxied(files, behind) as gate, connected(gate.address, tls=context(files)) as wire:
        wire.send(request("/", BEARER))
        peer = behind.accept()
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        assert wire.receive_head().status == 200
        assert wire.receive_chunk() == b"data: 1\n\n"
        peer.send(b"data: 2\n\n")
        assert wire.receive_chunk() == b"data: 2\n\n"


# the end


def test_a_client_that_says_it_sends_no_more_still_gets_its_answer(gate: Running, files: Files) -> None:
    """TLS 1.3 closes each direction by itself (RFC 8446, 6.1)."""
    client, server = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = context(files).wrap_bio(server, client, server_hostname="localhost")
    with connected(gate.address) as wire:
        shake_hands(wire.send, wire, inside, client, server)
        inside.write(request("/long", BEARER))
        with pytest.raises(ssl.SSLError):  # it waits for the other side's
            inside.unwrap()
        wire.send(client.read())
        server.write(wire.read_to_end())
        body = b""
        with suppress(ssl.SSLZeroReturnError):  # the alert that says it was all
            while True:
                body += inside.read(65536)
        assert body.count(b"x") >= len(LONG)


def test_a_request_that_is_cut_off_reaches_nobody_as_a_whole_one(files: Files) -> None:
    with upstream() as behind, proxied(files, behind) as gate, connected(gate.address, tls=context(files)) as wire:
        wire.send(request("/", BEARER, ("Content-Length", "5"), method="POST") + b"hal")
        peer = behind.accept()
        peer.request()
        socket.socket.shutdown(wire.socket, socket.SHUT_WR)  # of TCP alone
        assert wire.is_closed()
        assert peer.body(3) == b"hal"
        assert peer.is_closed()


def test_an_answer_ends_with_the_alert_that_says_it_was_all(gate: Running, files: Files) -> None:
    with connected(gate.address, tls=context(files)) as wire:
        wire.socket.suppress_ragged_eofs = False  # type: ignore[attr-defined]
        wire.send(request("/", BEARER, ("Connection", "close")))
        assert wire.receive().status == 200
        assert wire.read_to_end() == b""


def test_a_refusal_arrives_though_the_client_goes_on_sending(gate: Running, files: Files) -> None:
    with connected(gate.address, tls=context(files)) as wire:
        wire.send(b"GET / HTTP/9.9\r\n\r\n" + bytes(500_000))
        assert wire.receive().status == 505


def test_a_record_that_was_changed_ends_the_connection(gate: Running, files: Files) -> None:
    client, server = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = context(files).wrap_bio(server, client, server_hostname="localhost")
    with connected(gate.address) as wire:
        shake_hands(wire.send, wire, inside, client, server)
        inside.write(request("/", BEARER))
        record = bytearray(client.read())
        record[-1] ^= 1
        wire.send(bytes(record))
        server.write(wire.read_to_end())
        with pytest.raises(ssl.SSLError, match="bad record mac"):
            inside.read(1)


def test_a_graceful_stop_lets_requests_end_and_says_goodbye_to_the_idle(files: Files) -> None:
    with (
        upstream() as behind,
        proxied(files, behind) as gate,
        connected(gate.address, tls=context(files)) as busy,
        connected(gate.address, tls=context(files)) as idle,
        connected(gate.address) as shaking,
    ):
        idle.socket.suppress_ragged_eofs = False  # type: ignore[attr-defined]
        busy.send(request("/", BEARER))
        peer = behind.accept()
        peer.request()
        shaking.send(hello()[:20])
        gate.turn()
        wait = gate.stopping(10)
        assert idle.read_to_end() == b""
        assert shaking.is_closed()
        peer.send()
        answer = busy.receive()
        assert answer.body == b"ok"
        assert answer.header("Connection") == "close"
        wait()


def test_a_new_pair_serves_new_handshakes_while_open_connections_go_on(authority: Authority, tmp_path: Path) -> None:
    first, second = authority.server("early", hosts=("127.0.0.1",)), authority.server("late", hosts=("127.0.0.1",))
    cert_file, key_file = tmp_path / "live.pem", tmp_path / "live.key"
    for here, source in ((cert_file, first.cert_file), (key_file, first.key_file)):
        here.write_bytes(source.read_bytes())
    with running(route("/*", HELLO), certificate=Certificate(cert_file, key_file)) as gate:
        made = context(first)
        with connected(gate.address, tls=made) as before:
            serial = before.socket.getpeercert()["serialNumber"]  # type: ignore[attr-defined]
            for here, source in ((cert_file, second.cert_file), (key_file, second.key_file)):
                beside = here.with_suffix(".new")
                beside.write_bytes(source.read_bytes())
                beside.rename(here)
            deadline = time.monotonic() + 10
            while True:
                with connected(gate.address, tls=made) as after:
                    if after.socket.getpeercert()["serialNumber"] != serial:  # type: ignore[attr-defined]
                        break
                assert time.monotonic() < deadline
            before.send(request("/", BEARER))
            assert before.receive().status == 200


# those who never meant to be a client


@pytest.mark.parametrize("method", ["GET", "POST", "PRI", "get"])
def test_plain_http_is_told_in_plain_http_what_is_wrong(gate: Running, method: str) -> None:
    with connected(gate.address) as wire:
        wire.send(f"{method} / HTTP/1.1\r\n".encode() + b"A: b\r\n" * 10_000)
        answer = wire.receive()
        assert answer.status == 400
        assert json.loads(answer.body)["reason"] == "tls"
        assert answer.header("Connection") == "close"
        assert wire.is_closed()


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100,
        b"\x80\x2e\x01\x00\x02" + bytes(60),
        b"\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x20" + bytes(32),
        b"\xff\xfe\xfd",
    ],
)
def test_garbage_ends_without_a_word(gate: Running, data: bytes) -> None:
    with connected(gate.address) as wire:
        wire.send(data)
        assert wire.is_closed()


@pytest.mark.parametrize("at", [5, 9, 11, 45, 80, 150])
def test_a_broken_hello_ends_with_an_alert(gate: Running, at: int) -> None:
    broken = bytearray(hello("http/1.1"))
    broken[at] ^= 0xFF
    with connected(gate.address) as wire:
        wire.send(bytes(broken))
        wire.finish()
        answer = wire.read_to_end()
        assert not answer or answer[0] in {0x15, 0x16}


def test_a_handshake_that_does_not_come_is_not_waited_for(files: Files) -> None:
    with gateway(files, limits=QUICK) as gate:
        whole = hello("http/1.1")
        with (
            connected(gate.address) as silent,
            connected(gate.address) as started,
            connected(gate.address) as greeted,
            connected(gate.address, tls=context(files)) as good,
        ):
            started.send(whole[:100])
            greeted.send(whole)
            assert greeted.read_exactly(1) == b"\x16"
            assert silent.is_closed()
            assert started.is_closed()
            with pytest.raises(ConnectionResetError):
                greeted.read_to_end()
            good.send(request("/", BEARER))
            assert good.receive().status == 200
        gate.empty()


def test_one_byte_at_a_time_does_not_put_the_deadline_off(files: Files) -> None:
    with gateway(files, limits=QUICK) as gate, connected(gate.address) as wire:
        wire.socket.settimeout(0.02)
        began = time.monotonic()
        for byte in itertools.chain(hello()[:400], itertools.repeat(0)):
            try:
                wire.send(bytes([byte]))
                if not wire.socket.recv(1):
                    break
            except TimeoutError:
                assert time.monotonic() < began + 10
            except ConnectionError:
                break
        gate.empty()


def test_handshakes_count_as_connections(files: Files) -> None:
    with gateway(files, limits=Limits(connections=2)) as gate, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connected(gate.address)).send(hello()[:50])
        gate.turn()
        assert gate.gateway.connections == 2
        with connected(gate.address, tls=context(files)) as third:
            assert third.receive().status == 503
