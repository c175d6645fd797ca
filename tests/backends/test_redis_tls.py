"""TLS to a real server, with every key of the table, and against servers that are not the right one."""

import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.backends.redis.address import Address, Tls
from sluicegate.backends.redis.store import RedisStore
from sluicegate.core.revocation import Entry
from sluicegate.errors import SettingsError, StateUnavailable
from tests.backends.redis_askers import KINDS, Opener, opener
from tests.servers.certificates import Authority, Certificate
from tests.servers.redis import Redis, redis_server

PATIENT = 20.0
KEY = "BLACKLIST:key:4f1c"


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.server("redis", hosts=("localhost", "127.0.0.1", "redis.internal"))


@pytest.fixture(scope="module")
def server(certificate: Certificate) -> Iterator[Redis]:
    with redis_server(tls=certificate) as running:
        running.cli("SET", KEY, "cancelled")
        yield running


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest) -> Iterator[Opener]:
    with opener(request.param) as open_one:
        yield open_one


def at(server: Redis, tls: Tls, *, host: str = "", server_name: str = "") -> Address:
    return Address(host=host or server.host, port=server.port, tls=tls.context(), server_name=server_name)


def refusal(opened: Opener, address: Address) -> str:
    with pytest.raises(StateUnavailable) as failure:
        opened(address, timeout=PATIENT).ask(KEY)
    return str(failure.value)


def test_the_authority_that_was_named_vouches(opened: Opener, server: Redis, certificate: Certificate) -> None:
    asker = opened(at(server, Tls(ca_file=certificate.ca_file)), timeout=PATIENT)
    assert asker.ask(KEY) == {KEY: "cancelled"}
    answers = asker.ask_many(*[(KEY,), ("BLACKLIST:key:other",)] * 30)
    assert answers == [{KEY: "cancelled"}, {}] * 30


def test_a_host_name_is_what_the_certificate_must_name(opened: Opener, server: Redis, certificate: Certificate) -> None:
    address = at(server, Tls(ca_file=certificate.ca_file), host="localhost")
    assert opened(address, timeout=PATIENT).ask(KEY) == {KEY: "cancelled"}


def test_another_authority_does_not_vouch(opened: Opener, server: Redis, tmp_path: Path) -> None:
    other = Authority(tmp_path, name="Another authority")
    assert "showed a certificate that is not accepted" in refusal(opened, at(server, Tls(ca_file=other.ca_file)))


def test_the_systems_authorities_do_not_vouch_for_a_private_one(opened: Opener, server: Redis) -> None:
    assert "showed a certificate that is not accepted" in refusal(opened, at(server, Tls()))


def test_a_certificate_for_another_name_is_not_accepted(opened: Opener, authority: Authority) -> None:
    certificate = authority.server("elsewhere", hosts=("elsewhere.example",))
    with redis_server(tls=certificate) as server:
        server.cli("--insecure", "SET", KEY, "cancelled")
        tls = Tls(ca_file=certificate.ca_file)
        assert "not valid for '127.0.0.1'" in refusal(opened, at(server, tls))
        assert "mismatch" in refusal(opened, at(server, tls, server_name="other.example"))
        named = opened(at(server, tls, server_name="elsewhere.example"), timeout=PATIENT)
        assert named.ask(KEY) == {KEY: "cancelled"}


def test_the_server_name_replaces_the_host(opened: Opener, server: Redis, certificate: Certificate) -> None:
    tls = Tls(ca_file=certificate.ca_file)
    assert opened(at(server, tls, server_name="redis.internal"), timeout=PATIENT).ask(KEY) == {KEY: "cancelled"}
    assert "mismatch" in refusal(opened, at(server, tls, server_name="redis.example"))


def test_insecure_skip_verify_takes_any_certificate_and_says_so(opened: Opener, server: Redis) -> None:
    asker = opened(at(server, Tls(insecure_skip_verify=True)), timeout=PATIENT)
    assert asker.ask(KEY) == {KEY: "cancelled"}
    assert any("insecure_skip_verify" in warning for warning in asker.inspect().warnings)


def test_a_client_certificate_is_shown_where_one_is_asked_for(
    opened: Opener, certificate: Certificate, authority: Authority, tmp_path: Path
) -> None:
    ours = authority.client("gate")
    stranger = Authority(tmp_path, name="Another authority").client("stranger")
    with redis_server(tls=certificate, client=ours) as server:
        server.cli("SET", KEY, "cancelled")
        ca_file = certificate.ca_file
        shown = Tls(ca_file=ca_file, cert_file=ours.cert_file, key_file=ours.key_file)
        assert opened(at(server, shown), timeout=PATIENT).ask(KEY) == {KEY: "cancelled"}
        unknown = Tls(ca_file=ca_file, cert_file=stranger.cert_file, key_file=stranger.key_file)
        for tls in (Tls(ca_file=ca_file), unknown):
            message = refusal(opened, at(server, tls))
            assert re.search(r"could not agree on TLS|cannot be reached|closed the connection", message)


def test_min_version_is_the_oldest_that_is_spoken(opened: Opener, certificate: Certificate) -> None:
    with redis_server(tls=certificate, arguments=("--tls-protocols", "TLSv1.2")) as old:
        old.cli("SET", KEY, "cancelled")
        assert opened(at(old, Tls(ca_file=certificate.ca_file)), timeout=PATIENT).ask(KEY) == {KEY: "cancelled"}
        newer = Tls(ca_file=certificate.ca_file, min_version="1.3")
        assert "could not agree on TLS" in refusal(opened, at(old, newer))
    with redis_server(tls=certificate, arguments=("--tls-protocols", "TLSv1.3")) as new:
        new.cli("SET", KEY, "cancelled")
        newer = Tls(ca_file=certificate.ca_file, min_version="1.3")
        assert opened(at(new, newer), timeout=PATIENT).ask(KEY) == {KEY: "cancelled"}


def test_nothing_older_than_1_2_is_spoken() -> None:
    assert Tls().context().minimum_version is ssl.TLSVersion.TLSv1_2
    assert Tls(min_version="1.3").context().minimum_version is ssl.TLSVersion.TLSv1_3


def test_a_server_without_tls_is_not_spoken_to_in_the_clear(opened: Opener, certificate: Certificate) -> None:
    with redis_server() as plain:
        tls = Tls(ca_file=certificate.ca_file).context()
        address = Address(host=plain.host, port=plain.port, password="s3cret", tls=tls)
        with pytest.raises(StateUnavailable):
            opened(address, timeout=0.2).ask(KEY)
        assert "cmdstat_auth" not in plain.cli("INFO", "commandstats")


def test_the_clear_is_no_way_to_a_server_with_tls(opened: Opener, server: Redis) -> None:
    refusal(opened, Address(host=server.host, port=server.port))


def test_a_frozen_server_is_bounded_by_the_deadline_in_the_handshake_too(
    opened: Opener, certificate: Certificate
) -> None:
    with redis_server(tls=certificate) as server:
        address = at(server, Tls(ca_file=certificate.ca_file))
        asker = opened(address, timeout=0.2)
        server.freeze()
        for _ in range(3):
            with pytest.raises(StateUnavailable):
                asker.ask(KEY)
        server.thaw()
        while True:
            try:
                assert asker.ask(KEY) == {}
                break
            except StateUnavailable:
                continue


def test_writing_goes_through_tls_too(server: Redis, certificate: Certificate) -> None:
    store = RedisStore(at(server, Tls(ca_file=certificate.ca_file)), timeout=PATIENT)
    store.put("BLACKLIST:key:tls", Entry("abuse"))
    assert dict(store.entries("BLACKLIST:key:t")) == {"BLACKLIST:key:tls": Entry("abuse")}
    assert store.remove("BLACKLIST:key:tls")
    store.close()


def test_every_file_that_cannot_be_used_is_named_at_once(certificate: Certificate, tmp_path: Path) -> None:
    empty, missing = tmp_path / "empty.pem", tmp_path / "missing.pem"
    empty.write_text("")
    for tls, keys in {
        Tls(ca_file=missing, cert_file=missing, key_file=missing): ["tls.ca_file", "tls.cert_file"],
        Tls(ca_file=empty, cert_file=empty, key_file=empty): ["tls.ca_file", "tls.cert_file"],
        Tls(cert_file=certificate.cert_file): ["tls.key_file"],
        Tls(key_file=certificate.key_file): ["tls.cert_file"],
        Tls(cert_file=certificate.ca_file, key_file=certificate.key_file): ["tls.cert_file"],
    }.items():
        with pytest.raises(SettingsError) as refused:
            tls.context()
        assert [fault.key for fault in refused.value.faults] == keys


def test_an_encrypted_private_key_is_refused_and_nobody_is_asked_for_its_password(
    certificate: Certificate, tmp_path: Path
) -> None:
    encrypted = tmp_path / "encrypted.key"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", certificate.key_file, "-out", encrypted, "-passout", "pass:secret"],
        check=True,
        capture_output=True,
    )
    with pytest.raises(SettingsError, match="unencrypted"):
        Tls(cert_file=certificate.cert_file, key_file=encrypted).context()


@pytest.mark.parametrize("host", ["a..b", "." * 3, "x" * 64 + ".example", "a\0b", ".example.com"])
def test_what_is_no_host_name_does_not_start(host: str) -> None:
    with pytest.raises(SettingsError, match="no host name"):
        Address(host=host)
    with pytest.raises(SettingsError, match=r"tls\.server_name"):
        Address(host="redis", server_name=host)


def test_an_address_is_a_host_or_a_socket() -> None:
    for host, path in (("", ""), ("redis", "/run/redis.sock")):
        with pytest.raises(ValueError, match="a host, or the path of a socket"):
            Address(host=host, path=path)
    with pytest.raises(ValueError, match="no TLS"):
        Address(path="/run/redis.sock", tls=Tls().context())
