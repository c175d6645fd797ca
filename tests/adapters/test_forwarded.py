"""Who is asking, whom to believe about it, and what ends at the gate."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.adapters.forwarded import HOP_BY_HOP, client_address, managed, trusts, upstream_headers, without_managed

PROXIES = trusts(["10.0.0.0/8", "2001:db8:1::/48"])
NOTHING: frozenset[bytes] = frozenset()


def forwarded_for(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"gate.test"), *((b"x-forwarded-for", value.encode("latin-1")) for value in values)]


class TestTrust:
    def test_nobody_is_trusted_unless_named(self) -> None:
        assert [peer for peer in ("127.0.0.1", "::1", "10.0.0.1", "") if trusts([])(peer)] == []

    @pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8:1::5"])
    def test_an_address_inside_is_trusted_however_the_socket_writes_it(self, peer: str) -> None:
        assert PROXIES(peer)

    @pytest.mark.parametrize("peer", ["11.0.0.1", "2001:db8:2::5", "::10.0.0.1", "", "gate.test", "10.0.0.1 "])
    def test_everything_else_is_not(self, peer: str) -> None:
        assert not PROXIES(peer)

    def test_a_mapped_network_is_the_network_that_it_maps(self) -> None:
        assert trusts(["::ffff:10.0.0.0/104"])("10.9.9.9")

    def test_networks_may_come_as_objects(self) -> None:
        assert trusts([ip_network("192.0.2.0/24")])("192.0.2.1")

    def test_a_unix_socket_is_trusted_only_by_name(self) -> None:
        assert trusts(["unix"])("")
        assert not trusts(["unix"])("10.0.0.1")
        assert not trusts(["0.0.0.0/0", "::/0"])("")

    def test_an_interface_behind_the_address_does_not_hide_it(self) -> None:
        assert trusts(["fe80::/10"])("fe80::1%eth0")

    def test_what_is_no_network_is_said_at_once(self) -> None:
        with pytest.raises(ValueError, match="gate"):
            trusts(["gate.test"])


class TestClientAddress:
    def test_a_stranger_is_not_believed(self) -> None:
        assert client_address("192.0.2.9", forwarded_for("203.0.113.7"), PROXIES) == "192.0.2.9"

    def test_the_rightmost_stranger_is_the_client(self) -> None:
        headers = forwarded_for("1.1.1.1, 203.0.113.7, 10.0.0.2")
        assert client_address("10.0.0.1", headers, PROXIES) == "203.0.113.7"

    def test_fields_are_read_as_one_list(self) -> None:
        headers = forwarded_for("1.1.1.1", "203.0.113.7", "10.0.0.2")
        assert client_address("10.0.0.1", headers, PROXIES) == "203.0.113.7"

    @pytest.mark.parametrize(
        "junk",
        [
            "unknown",
            "",
            "_hidden",
            "203.0.113.7.4",
            "01.2.3.4",
            "fe80::1%\x1b[31m",
            "a" * 4000,
            "[::1",
            "1.2.3.4:http",
            "\u0661.2.3.4",
        ],
    )
    def test_junk_ends_the_walk_at_the_proxy_that_passed_it_on(self, junk: str) -> None:
        headers = [(b"x-forwarded-for", f"203.0.113.7, {junk}, 10.0.0.2".encode())]
        assert client_address("10.0.0.1", headers, PROXIES) == "10.0.0.2"

    @pytest.mark.parametrize(
        ("entry", "address"),
        [
            ("203.0.113.7:4711", "203.0.113.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("2001:DB8::7", "2001:db8::7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
        ],
    )
    def test_an_address_is_one_however_it_is_written(self, entry: str, address: str) -> None:
        assert client_address("10.0.0.1", forwarded_for(entry), PROXIES) == address

    def test_a_chain_of_proxies_alone_gives_the_first_of_them(self) -> None:
        assert client_address("10.0.0.1", forwarded_for("10.0.0.3, 10.0.0.2"), PROXIES) == "10.0.0.3"

    def test_a_dual_stack_listener_makes_no_second_client(self) -> None:
        assert client_address("::ffff:192.0.2.9", [], PROXIES) == "192.0.2.9"

    @given(
        st.lists(st.text(max_size=20) | st.ip_addresses().map(str), max_size=6),
        st.sampled_from(["203.0.113.7", "2001:db8::7"]),
    )
    def test_what_a_client_writes_before_its_own_address_changes_nothing(self, lies: list[str], client: str) -> None:
        value = ", ".join([*lies, client, "10.0.0.2"])
        headers = [(b"x-forwarded-for", value.encode())]
        assert client_address("10.0.0.1", headers, PROXIES) == client

    @given(st.binary(max_size=60))
    def test_whatever_comes_the_answer_is_an_address(self, value: bytes) -> None:
        ip_address(client_address("10.0.0.1", [(b"x-forwarded-for", value)], PROXIES))


SPELLINGS = [
    b"x-auth-user-id",
    b"X-Auth-User-Id",
    b"x_auth_user_id",
    b"X.Auth.User.Id",
    b"x-auth_user.id",
    b"x~auth|user-whatever",
    b"x-auth-user-" + b"a" * 5000,
]


class TestManaged:
    @pytest.mark.parametrize("name", SPELLINGS, ids=lambda name: name[:20].decode())
    def test_every_spelling_is_ours_alone(self, name: bytes) -> None:
        assert managed(name, NOTHING)
        assert without_managed([(name, b"root"), (b"host", b"h")]) == [(b"host", b"h")]
        assert (name, b"root") not in upstream([(name, b"root")])

    @pytest.mark.parametrize("name", [b"x-auth-users", b"x-auth", b"authorization", b"x-user-id"])
    def test_what_is_not_ours_stays(self, name: bytes) -> None:
        assert not managed(name, NOTHING)
        assert without_managed([(name, b"v")]) == [(name, b"v")]

    @pytest.mark.parametrize("name", [b"x-user-id", b"X_USER_ID", b"x.user.id"])
    def test_what_a_route_sets_itself_is_ours_too(self, name: bytes) -> None:
        assert managed(name, frozenset({b"x-user-id"}))
        assert (name, b"root") not in upstream([(name, b"root")], extra=frozenset({b"x-user-id"}))

    def test_many_made_up_names_change_no_answer(self) -> None:
        for n in range(5000):
            without_managed([(b"x-made-up-%d" % n, b"")])
        assert without_managed([(b"x_auth_user_id", b""), (b"accept", b"*/*")]) == [(b"accept", b"*/*")]


def upstream(
    headers: list[tuple[bytes, bytes]],
    *,
    peer: str = "192.0.2.9",
    trusted: bool = False,
    extra: frozenset[bytes] = NOTHING,
    identity: tuple[tuple[bytes, bytes], ...] = (),
) -> list[tuple[bytes, bytes]]:
    return upstream_headers(
        headers,
        peer=peer,
        trusted=trusted,
        scheme="http",
        host=b"gate.test",
        extra=extra,
        identity=list(identity),
    )


def values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for other, value in headers if other.lower() == name]


TOLD = [
    (b"forwarded", b"for=203.0.113.7"),
    (b"x-forwarded-for", b"203.0.113.7"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"shop.example.com"),
    (b"x-forwarded-prefix", b"/shop"),
    (b"x-original-uri", b"/admin"),
    (b"x-original-url", b"/admin"),
    (b"x-rewrite-url", b"/admin"),
    (b"x-real-ip", b"203.0.113.7"),
    (b"x-client-ip", b"203.0.113.7"),
]


class TestUpstreamHeaders:
    def test_end_to_end_headers_pass_in_order_as_they_came(self) -> None:
        sent = [(b"host", b"gate.test"), (b"accept", b"a"), (b"x-one", b"1"), (b"accept", b"b")]
        assert upstream(sent)[:4] == sent

    @pytest.mark.parametrize("name", sorted(HOP_BY_HOP), ids=bytes.decode)
    def test_a_hop_by_hop_header_ends_here(self, name: bytes) -> None:
        for spelling in (name, name.title(), name.replace(b"-", b"_")):
            if spelling.islower() or b"_" not in spelling:
                assert spelling not in dict(upstream([(spelling, b"close"), (b"host", b"h")], trusted=True))

    def test_what_connection_names_ends_here(self) -> None:
        sent = [(b"x-hop", b"1"), (b"connection", b"close, X-Hop ,x-other"), (b"x-other", b"2"), (b"x-stays", b"3")]
        assert upstream(sent)[:1] == [(b"x-stays", b"3")]

    @pytest.mark.parametrize(
        "name",
        [
            b"authorization",
            b"cookie",
            b"host",
            b"content-length",
            b"content-type",
            b"origin",
            b"x-api-key",
            b"x-request-id",
            b"sec-fetch-site",
            b"x-user-id",
        ],
        ids=bytes.decode,
    )
    def test_connection_cannot_name_away_what_guards_somebody(self, name: bytes) -> None:
        """CVE-2022-1388, CVE-2022-31813: the absence of a header must not be for the client to arrange."""
        extra = frozenset({b"x-user-id"})
        ours = ((b"X-User-Id", b"alice"),)
        got = upstream([(b"connection", b"keep-alive, " + name), (name, b"v")], extra=extra, identity=ours)
        assert values(got, name) == ([b"alice"] if name == b"x-user-id" else [b"v"])

    def test_connection_cannot_name_away_what_the_gate_adds(self) -> None:
        named = b"x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-auth-user-id"
        got = upstream([(b"connection", named)], identity=((b"X-Auth-User-Id", b"alice"),))
        assert [name for name, _ in got] == [
            b"X-Forwarded-For",
            b"X-Forwarded-Proto",
            b"X-Forwarded-Host",
            b"X-Auth-User-Id",
        ]

    def test_a_stranger_tells_nothing_of_the_client(self) -> None:
        assert upstream(TOLD) == [
            (b"X-Forwarded-For", b"192.0.2.9"),
            (b"X-Forwarded-Proto", b"http"),
            (b"X-Forwarded-Host", b"gate.test"),
        ]

    def test_a_trusted_proxy_is_handed_on_with_itself_added(self) -> None:
        got = upstream(TOLD, peer="10.0.0.1", trusted=True)
        assert values(got, b"x-forwarded-for") == [b"203.0.113.7, 10.0.0.1"]
        assert values(got, b"x-forwarded-proto") == [b"https"]
        assert values(got, b"x-forwarded-host") == [b"shop.example.com"]
        assert values(got, b"x-original-uri") == [b"/admin"]
        assert values(got, b"forwarded") == []

    @pytest.mark.parametrize("name", [b"x_forwarded_for", b"x.forwarded.proto", b"x_original_uri", b"x_real_ip"])
    def test_other_spellings_are_the_clients_even_through_a_trusted_proxy(self, name: bytes) -> None:
        assert values(upstream([(name, b"lie")], peer="10.0.0.1", trusted=True), name) == []

    @pytest.mark.parametrize("name", [b"content_length", b"transfer_encoding", b"content.length"])
    def test_a_second_framing_in_another_spelling_does_not_pass(self, name: bytes) -> None:
        assert values(upstream([(name, b"0")]), name) == []

    def test_nobody_sets_the_proxy_of_a_cgi_program(self) -> None:
        """CVE-2016-5385: `Proxy` arrives there as `HTTP_PROXY`."""
        assert values(upstream([(b"proxy", b"http://evil.test")], trusted=True), b"proxy") == []

    def test_of_several_words_on_scheme_and_host_the_last_counts(self) -> None:
        told = [
            (b"x-forwarded-proto", b"http"),
            (b"x-forwarded-proto", b"ftp, HTTPS"),
            (b"x-forwarded-host", b"evil.example, shop.example.com"),
        ]
        got = upstream(told, peer="10.0.0.1", trusted=True)
        assert values(got, b"x-forwarded-proto") == [b"https"]
        assert values(got, b"x-forwarded-host") == [b"shop.example.com"]

    def test_a_scheme_that_is_none_is_not_handed_on(self) -> None:
        told = [(b"x-forwarded-proto", b"javascript")]
        assert values(upstream(told, peer="10.0.0.1", trusted=True), b"x-forwarded-proto") == [b"http"]

    def test_chains_of_several_fields_become_one(self) -> None:
        got = upstream(forwarded_for("203.0.113.7", "10.0.0.2"), peer="10.0.0.1", trusted=True)
        assert values(got, b"x-forwarded-for") == [b"203.0.113.7, 10.0.0.2, 10.0.0.1"]

    def test_cookies_of_several_fields_become_one(self) -> None:
        sent = [(b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d; e=f")]
        assert upstream(sent)[:2] == [(b"cookie", b"a=b; c=d; e=f"), (b"x", b"y")]

    @pytest.mark.parametrize(
        ("sent", "joined"),
        [
            ([b"", b"a=b"], [b"a=b"]),
            ([b"a=b", b"", b" ; ", b"c=d"], [b"a=b; c=d"]),
            ([b"a=b;", b"c=d"], [b"a=b; c=d"]),
            ([b"; a=b; c=d ;\t;", b";e=f"], [b"a=b; c=d; e=f"]),
            ([b'a="b;"', b'"c"=d;'], [b'a="b;"; "c"=d']),
            ([b"", b" ;"], []),
        ],
    )
    def test_nothing_stands_between_joined_cookies_that_a_strict_reader_would_stop_at(
        self, sent: list[bytes], joined: list[bytes]
    ) -> None:
        """RFC 6265, 4.2.1: pairs, and one `; ` between each two of them."""
        assert values(upstream([(b"cookie", value) for value in sent]), b"cookie") == joined

    @pytest.mark.parametrize("value", [b"", b"a=b;", b"; a=b", b"a=b;;c=d"])
    def test_a_cookie_field_that_came_once_goes_on_as_it_came(self, value: bytes) -> None:
        sent = [(b"cookie", value), (b"x", b"y"), (b"x", b"z")]
        assert upstream(sent)[:3] == sent

    def test_authorization_that_came_twice_ends_here(self) -> None:
        """nginx, Node.js and gunicorn make three things of it; who it is, the upstream hears from the gate."""
        once = [(b"authorization", b"Bearer a"), (b"x", b"y"), (b"x", b"z")]
        assert values(upstream(once), b"authorization") == [b"Bearer a"]
        assert values(upstream([*once, (b"authorization", b"Bearer a")]), b"authorization") == []

    def test_a_peer_without_an_address_adds_none(self) -> None:
        assert values(upstream(TOLD, peer=""), b"x-forwarded-for") == []
        assert values(upstream(TOLD, peer="", trusted=True), b"x-forwarded-for") == [b"203.0.113.7"]

    def test_a_route_that_sets_a_forwarded_header_has_the_word(self) -> None:
        ours = ((b"X-Forwarded-Host", b"shop.internal"),)
        got = upstream(TOLD, trusted=True, extra=frozenset({b"x-forwarded-host"}), identity=ours)
        assert values(got, b"x-forwarded-host") == [b"shop.internal"]

    @given(
        sent=st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.binary(max_size=10)), max_size=8),
        trusted=st.booleans(),
    )
    def test_identity_comes_once_and_is_ours_whatever_was_sent(
        self, sent: list[tuple[bytes, bytes]], *, trusted: bool
    ) -> None:
        got = upstream(sent, trusted=trusted, identity=((b"X-Auth-User-Id", b"alice"),))
        assert [value for name, value in got if managed(name, NOTHING)] == [b"alice"]
