"""The gate's own HTTP calls: one contract, for threads, for asyncio's own loop and for uvloop."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from sluicegate.backends.http.call import Origin, Trust, target_of, with_alpn
from sluicegate.core.flow import Call, Reply
from sluicegate.errors import FetchFailed
from tests.backends.http_clients import KINDS, Client
from tests.servers.certificates import Authority
from tests.webhook.endpoint import Behaviour, Received, Talk, answers, endpoint, floods, in_turn, says, trickles

Clients = Callable[..., Client]

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest) -> Iterator[Clients]:
    """Makes a client of each kind; what it opens is closed with the test."""
    made: list[Client] = []

    def make(trust: Trust | None = None) -> Client:
        made.append(KINDS[request.param](trust))
        return made[-1]

    yield make
    for one in made:
        one.close()


def post(url: str, body: bytes = b'{"jwt":"x"}', **more: Any) -> Call:  # noqa: ANN401 - those of `Call`
    chosen: dict[str, Any] = {"method": "POST", "url": url, "body": body, "timeout": 5.0, "max_bytes": 1000}
    return Call(**(chosen | more))


def test_a_call_goes_out_as_it_is_and_its_answer_comes_back(client: Clients) -> None:
    with endpoint(answers({"valid": True}, headers="X-One: 1\r\nx-one: 2\r\n")) as server:
        reply = client().fetch(post(server.url + "?a=b", headers=(("Content-Type", "application/json"),)))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (200, b'{"valid": true}')
    assert reply.headers[-2:] == (("x-one", "1"), ("x-one", "2"))
    assert (reply.header("content-type"), reply.header("none")) == ("application/json", "")
    (request,) = server.received
    assert request.line == "POST /verify?a=b HTTP/1.1"
    assert request.body == b'{"jwt":"x"}'
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "sluicegate",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": "11",
    }


def test_a_get_has_no_body(client: Clients) -> None:
    with endpoint(answers(b"{}")) as server:
        client().fetch(Call(url=server.url, timeout=5.0, max_bytes=1000))
    (request,) = server.received
    assert request.line == "GET /verify HTTP/1.1"
    assert "content-length" not in request.headers


@pytest.mark.parametrize("status", [200, 204, 301, 302, 307, 308, 401, 404, 500, 503])
def test_every_status_is_an_answer_and_no_redirect_is_followed(client: Clients, status: int) -> None:
    with endpoint(answers(b"", status=status, headers="Location: /elsewhere\r\n")) as server:
        reply = client().fetch(post(server.url))
    assert isinstance(reply, Reply)
    assert (reply.status, len(server.received)) == (status, 1)


def test_one_connection_serves_one_call_after_another(client: Clients) -> None:
    with endpoint(answers(b"{}")) as server:
        asked = client()
        for _ in range(5):
            assert isinstance(asked.fetch(post(server.url)), Reply)
        assert (len(server.received), server.connections) == (5, 1)


def test_calls_at_the_same_time_do_not_wait_for_each_other(client: Clients) -> None:
    everybody = threading.Barrier(8)

    def behave(talk: Talk, request: Received) -> bool:
        everybody.wait(timeout=10)  # nobody is answered before all have asked
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body) + request.body)
        return True

    with endpoint(behave) as server:
        replies = client().together([post(server.url, str(number).encode()) for number in range(8)])
    assert [reply.body for reply in replies if isinstance(reply, Reply)] == [str(n).encode() for n in range(8)]


@pytest.mark.parametrize(
    "answer",
    [
        says(b"HTTP/1.0 200 OK\r\n\r\n{}"),
        says(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"{", b"}"),
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n", b"1\r\n}\r\n0\r\n\r\n"),
        says(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", OK),
        says(*(bytes([byte]) for byte in OK)),
    ],
    ids=["until it closes, 1.0", "until it closes, 1.1", "chunked", "after interim responses", "byte by byte"],
)
def test_every_way_to_frame_an_answer_is_read(client: Clients, answer: Behaviour) -> None:
    with endpoint(answer) as server:
        reply = client().fetch(post(server.url))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (200, b"{}")
    assert reply.header("link") == ""


@pytest.mark.parametrize(
    "answer",
    [
        says(b""),
        says(b"HTTP/1.1 200 OK\r\nContent-Le"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"),
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}"),
        says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
        says(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"),
        says(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
        says(b"HTTP/1.1 099 What\r\nContent-Length: 2\r\n\r\n{}"),
        says(b"SSH-2.0-OpenSSH_9.2\r\n"),
        says(b"\x15\x03\x01\x00\x02\x02\x28"),
    ],
    ids=[
        "nothing",
        "half a head",
        "a length that lies",
        "no last chunk",
        "two lengths",
        "length and chunked",
        "a transfer coding",
        "compressed",
        "bare line feeds",
        "another protocol",
        "a status below 100",
        "SSH",
        "a TLS alert",
    ],
)
def test_what_is_no_whole_answer_is_none(client: Clients, answer: Behaviour) -> None:
    with endpoint(answer) as server:
        failed = client().fetch(post(server.url))
    assert isinstance(failed, FetchFailed)
    assert failed.kind in {"protocol", "connection"}


@pytest.mark.parametrize(
    "answer",
    [
        answers(b"x" * 1001),
        floods(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", b"x" * 65536),
        floods(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"ffff\r\n" + b"x" * 65535 + b"\r\n"),
        floods(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        floods(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 1000 + b"\r\n"),
        floods(b"HTTP/1.1 200 OK\r\nX-Header: ", b"x" * 65536),
        floods(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100),
        floods(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 1000 + b"\r\nx\r\n"),
    ],
    ids=[
        "one byte too many",
        "a gigabyte announced",
        "chunks without end",
        "until it closes",
        "headers without end",
        "one header without end",
        "interim responses without end",
        "chunk extensions without end",
    ],
)
def test_more_than_asked_for_ends_the_call_at_once(client: Clients, answer: Behaviour) -> None:
    with endpoint(answer) as server:
        failed = client().fetch(post(server.url, timeout=20.0))
    assert isinstance(failed, FetchFailed)
    assert failed.kind == "too_large"


def test_as_much_as_asked_for_is_taken(client: Clients) -> None:
    with endpoint(answers(b"x" * 1000)) as server:
        reply = client().fetch(post(server.url))
    assert isinstance(reply, Reply)
    assert reply.body == b"x" * 1000


@pytest.mark.parametrize(
    "answer",
    [
        says(then="hang"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", then="hang"),
        trickles(b"", b"H"),
        trickles(b"HTTP/1.1 200 OK\r\nX-Header: ", b"x"),
        trickles(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"x"),
        trickles(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e7;", b"x"),
        trickles(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
    ids=["silence", "half an answer", "nonsense", "a header", "a body", "a chunk's head", "until it closes"],
)
def test_however_slow_the_other_side_the_call_ends_in_its_time(client: Clients, answer: Behaviour) -> None:
    with endpoint(answer) as server:
        began = time.monotonic()
        failed = client().fetch(post(server.url, timeout=0.4))
        took = time.monotonic() - began
    assert isinstance(failed, FetchFailed)
    assert failed.kind in {"timeout", "protocol"}
    assert took < 2.0


def test_a_tls_handshake_that_hangs_ends_in_the_calls_time_too(client: Clients) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        failed = client().fetch(post(f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.4))
        took = time.monotonic() - began
    assert isinstance(failed, FetchFailed)
    assert failed.kind == "timeout"
    assert took < 2.0


def test_a_refused_connection_says_so_and_a_name_that_is_none_too(client: Clients) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        for url in (
            f"http://127.0.0.1:{nobody.getsockname()[1]}/",
            "http://no.such.host.invalid/",
            f"http://{'a' * 64}/",
        ):
            failed = client().fetch(post(url))
            assert isinstance(failed, FetchFailed)
            assert failed.kind == "connection"


def test_a_connection_that_the_server_let_go_costs_nothing(client: Clients) -> None:
    """Servers close idle connections when they like (RFC 9112, 9.5); the call goes again on a new one, at once."""

    def closes_after(talk: Talk, _: Received) -> bool:
        talk.send(OK)  # as if it were kept
        return False

    with endpoint(closes_after) as server:
        asked = client()
        assert [isinstance(asked.fetch(post(server.url)), Reply) for _ in range(5)] == [True] * 5
        assert server.connections == 5


def test_a_kept_connection_that_dies_with_the_call_on_it_is_replaced_once(client: Clients) -> None:
    with endpoint(in_turn(says(OK, then="keep"), says(b""))) as server:
        asked = client()
        assert isinstance(asked.fetch(post(server.url)), Reply)
        failed = asked.fetch(post(server.url))
        assert isinstance(failed, FetchFailed)
        assert len(server.received) == 3


def test_what_comes_behind_an_answer_is_nobodys(client: Clients) -> None:
    """Response splitting: bytes left on a connection would answer the next question."""
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    with endpoint(in_turn(says(OK + forged, then="keep"), says(OK, then="keep"))) as server:
        asked = client()
        for _ in range(2):
            reply = asked.fetch(post(server.url))
            assert isinstance(reply, Reply)
            assert reply.body == b"{}"
        assert server.connections == 2


def test_what_comes_unasked_is_nobodys(client: Clients) -> None:
    sent = threading.Event()

    def late(talk: Talk, request: Received) -> bool:
        talk.send(OK)
        if request.connection == 1:
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            sent.set()
        return True

    with endpoint(late) as server:
        asked = client()
        assert isinstance(asked.fetch(post(server.url)), Reply)
        assert sent.wait(5)
        reply = asked.fetch(post(server.url))
    assert isinstance(reply, Reply)
    assert reply.body == b"{}"


def test_the_answer_to_a_call_that_was_given_up_is_nobodys(client: Clients) -> None:
    """redis-py's CVE-2023-28858, in HTTP."""
    gone = threading.Event()

    def behave(talk: Talk, request: Received) -> bool:
        if request.body == b"slow":
            gone.wait(10)
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body) + request.body)
        return True

    with endpoint(behave) as server:
        asked = client()
        assert isinstance(asked.fetch(post(server.url, b"first")), Reply)
        failed = asked.fetch(post(server.url, b"slow", timeout=0.2))
        assert isinstance(failed, FetchFailed)
        gone.set()
        for _ in range(3):
            reply = asked.fetch(post(server.url, b"next"))
            assert isinstance(reply, Reply)
            assert reply.body == b"next"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "data:,x",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1/#fragment",
        "http:///x",
        "https://.example.com/",
        "//127.0.0.1/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX: y",
        "http://exämple.com/",
    ],
)
def test_what_is_no_url_to_call_is_not_called_and_not_repeated(client: Clients, url: str) -> None:
    failed = client().fetch(post(url))
    assert isinstance(failed, FetchFailed)
    assert (failed.kind, "secret" in str(failed)) == ("refused", False)


def test_no_header_ends_its_line(client: Clients) -> None:
    with endpoint(answers(b"{}")) as server:
        failed = client().fetch(post(server.url, headers=(("X-One", "1\r\nX-Two: 2"),)))
    assert isinstance(failed, FetchFailed)
    assert (failed.kind, server.received) == ("refused", [])


def test_http_leaves_this_machine_only_where_the_operator_says_so(client: Clients) -> None:
    failed = client().fetch(post("http://192.0.2.1/"))
    assert isinstance(failed, FetchFailed)
    assert failed.kind == "refused"
    allowed = client(Trust(plain=frozenset({Origin("http", "192.0.2.1", 80)})))
    failed = allowed.fetch(post("http://192.0.2.1/", timeout=0.2))  # RFC 5737: nobody is there
    assert isinstance(failed, FetchFailed)
    assert failed.kind in {"timeout", "connection"}


def test_a_call_that_may_reach_the_public_only_goes_nowhere_else(client: Clients) -> None:
    with endpoint(answers(b"{}")) as server:
        asked = client()
        assert isinstance(asked.fetch(post(server.url)), Reply)  # and its connection is no way in for the next one
        failed = asked.fetch(post(server.url, reach="public"))
        assert isinstance(failed, FetchFailed)
        assert (failed.kind, len(server.received)) == ("refused", 1)


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to refuse
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("::ffff:93.184.216.34", True),
    ],
)
def test_an_address_is_judged_by_where_it_leads(address: str, is_public: bool) -> None:  # noqa: FBT001 - a row
    call = Call(url="https://example.com/", timeout=1.0, max_bytes=1, reach="public")
    if is_public:
        assert Trust().allowed(call, [address]) == [address]
    else:
        with pytest.raises(FetchFailed, match="not public"):
            Trust().allowed(call, [address])


def test_a_host_without_any_address_is_no_connection() -> None:
    with pytest.raises(FetchFailed, match="no address"):
        Trust().allowed(Call(url="https://example.com/", timeout=1.0, max_bytes=1), [])


def test_an_origin_has_its_schemes_port() -> None:
    assert target_of("https://Example.com/x?y").origin == Origin("https", "example.com", 443)
    assert target_of("http://[::1]:8080").origin == Origin("http", "::1", 8080)
    assert target_of("https://example.com?x").path == "/?x"


def test_a_certificate_that_nobody_vouches_for_is_refused(client: Clients, authority: Authority) -> None:
    with endpoint(answers(b"{}"), certificate=authority.server()) as server:
        failed = client().fetch(post(server.url))
    assert isinstance(failed, FetchFailed)
    assert (failed.kind, server.received) == ("tls", [])


def test_a_certificate_of_the_configured_authority_is_accepted_for_its_own_name(
    client: Clients, authority: Authority
) -> None:
    context = with_alpn(ssl.create_default_context(cafile=authority.ca_file))
    with endpoint(answers(b"{}"), certificate=authority.server()) as server:
        origin = Origin("https", "127.0.0.1", server.port)
        asked = client(Trust({origin: context}))
        assert [isinstance(asked.fetch(post(server.url)), Reply) for _ in range(3)] == [True] * 3
        assert server.connections == 1
    foreign = authority.server("foreign", hosts=("other.example.com",))
    with endpoint(answers(b"{}"), certificate=foreign) as server:
        failed = client(Trust({Origin("https", "127.0.0.1", server.port): context})).fetch(post(server.url))
        assert isinstance(failed, FetchFailed)
        assert (failed.kind, server.received) == ("tls", [])


def test_a_certificate_of_our_own_is_shown_where_the_server_wants_one(client: Clients, authority: Authority) -> None:
    ours = authority.client()
    plain = with_alpn(ssl.create_default_context(cafile=authority.ca_file))
    mutual = with_alpn(ssl.create_default_context(cafile=authority.ca_file))
    mutual.load_cert_chain(ours.cert_file, ours.key_file)
    theirs = authority.server()
    with endpoint(answers(b"{}"), certificate=theirs, client_ca=theirs) as server:
        origin = Origin("https", "127.0.0.1", server.port)
        failed = client(Trust({origin: plain})).fetch(post(server.url))
        assert isinstance(failed, FetchFailed)
        assert isinstance(client(Trust({origin: mutual})).fetch(post(server.url)), Reply)
        assert len(server.received) == 1


def test_proxies_of_the_environment_are_not_asked(client: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with endpoint(answers(b"{}")) as server:
        assert isinstance(client().fetch(post(server.url)), Reply)
