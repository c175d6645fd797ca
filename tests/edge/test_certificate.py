"""The pair of files that the listener presents: refused with the remedy, and read anew when it has changed."""

import logging
import os
import ssl
import subprocess
from pathlib import Path
from typing import Final, final

import pytest

from sluicegate.errors import CertificateFault
from sluicegate.server.connection.certificate import Certificate
from tests.servers.certificates import Authority
from tests.servers.certificates import Certificate as Files
from tests.servers.process import program

_MINUTE: Final = 60.0


@final
class Watched:
    """A certificate whose files a test replaces, and what was said about it."""

    def __init__(self, directory: Path, files: Files) -> None:
        self.cert_file = directory / "live.pem"
        self.key_file = directory / "live.key"
        self.said: list[tuple[int, str, dict[str, object]]] = []
        self.now = 0.0
        self.put(self.cert_file, files.cert_file)
        self.put(self.key_file, files.key_file)
        self.certificate = Certificate(self.cert_file, self.key_file, note=self._note)

    def _note(self, level: int, message: str, **fields: object) -> None:
        self.said.append((level, message, fields))

    def put(self, here: Path, source: Path) -> None:
        """Replace a file as whoever renews certificates does: written beside it, then renamed."""
        beside = here.with_suffix(".new")
        beside.write_bytes(source.read_bytes())
        beside.chmod(0o600)
        beside.rename(here)

    def after(self, seconds: float) -> Certificate:
        """Let time pass, with a look each second."""
        for _ in range(int(seconds)):
            self.now += 1
            self.certificate.look(self.now)
        return self.certificate


@pytest.fixture
def watched(authority: Authority, tmp_path: Path) -> Watched:
    return Watched(tmp_path, authority.server("first", hosts=("first.test",)))


def test_a_pair_that_is_replaced_serves_from_the_next_handshake_on(watched: Watched, authority: Authority) -> None:
    before = watched.certificate.context
    assert watched.after(10).context is before
    second = authority.server("second", hosts=("second.test",))
    watched.put(watched.cert_file, second.cert_file)
    watched.put(watched.key_file, second.key_file)
    assert watched.after(1).context is not before
    assert watched.certificate.leaf.names == ("second.test",)
    assert [level for level, _, _ in watched.said] == [logging.INFO]


def test_between_the_two_renames_the_old_pair_serves_and_nobody_is_alarmed(
    watched: Watched, authority: Authority
) -> None:
    before = watched.certificate.context
    second = authority.server("second")
    watched.put(watched.cert_file, second.cert_file)
    assert watched.after(4).context is before
    assert watched.said == []
    assert watched.certificate.is_well()
    watched.put(watched.key_file, second.key_file)
    assert watched.after(1).context is not before
    assert [level for level, _, _ in watched.said] == [logging.INFO]


@pytest.mark.parametrize("fault", ["other key", "garbage", "empty", "gone", "truncated"])
def test_a_pair_that_cannot_be_used_is_said_once_and_the_old_one_serves_on(
    watched: Watched, authority: Authority, fault: str
) -> None:
    before = watched.certificate.context
    match fault:
        case "other key":
            watched.put(watched.key_file, authority.server("other").key_file)
        case "garbage":
            watched.cert_file.write_bytes(b"\0garbage")
        case "empty":
            watched.cert_file.write_bytes(b"")
        case "gone":
            watched.key_file.unlink()
        case "truncated":
            watched.cert_file.write_bytes(watched.cert_file.read_bytes()[:200])
    assert watched.after(_MINUTE).context is before
    assert [level for level, _, _ in watched.said] == [logging.WARNING]
    assert not watched.certificate.is_well()
    said = watched.certificate.report()["fault"]
    assert isinstance(said, str)
    assert said == watched.said[0][2]["fault"]
    mended = authority.server("mended")
    watched.put(watched.key_file, mended.key_file)
    watched.put(watched.cert_file, mended.cert_file)
    assert watched.after(1).context is not before
    assert watched.certificate.is_well()
    assert watched.certificate.report()["fault"] is None


def test_a_link_that_points_elsewhere_is_another_file(authority: Authority, tmp_path: Path) -> None:
    first, second = (authority.server(name, hosts=(f"{name}.test",)) for name in ("linked", "relinked"))
    data = tmp_path / "data"
    for name, files in (("one", first), ("two", second)):
        (tmp_path / name).mkdir()
        os.link(files.cert_file, tmp_path / name / "tls.crt")
        os.link(files.key_file, tmp_path / name / "tls.key")
    data.symlink_to("one")
    certificate = Certificate(data / "tls.crt", data / "tls.key")
    assert certificate.leaf.names == ("linked.test",)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(data)
    certificate.look(1)
    assert certificate.leaf.names == ("relinked.test",)


def test_an_expiring_certificate_is_said_at_start_and_once_a_day(authority: Authority) -> None:
    files = authority.server("soon", days=3)
    ends = Certificate(files.cert_file, files.key_file).leaf.ends
    now = -2 * 86_400.0
    said: list[str] = []

    def note(level: int, message: str, **_: object) -> None:
        assert level == logging.WARNING
        said.append(message)

    certificate = Certificate(files.cert_file, files.key_file, note=note, clock=lambda: ends + now)
    assert certificate.warnings() == ("cert_file expires in 2.0 days; renew it",)
    assert certificate.is_well()
    now = 0.0
    assert certificate.warnings() == ("cert_file has expired, and no client will accept it; renew it",)
    assert not certificate.is_well()
    for step in range(5 * 24):
        now = -2 * 86_400 + 3600.0 * step
        certificate.look(10 * step)
    expired = "cert_file has expired, and no client will accept it; renew it"
    assert said == ["cert_file expires in 1.0 days; renew it", expired, expired, expired]


def test_a_certificate_of_tomorrow_and_one_for_nobody_are_said(authority: Authority) -> None:
    files = authority.server("nobody", hosts=())
    begins = Certificate(files.cert_file, files.key_file).leaf.begins
    found = Certificate(files.cert_file, files.key_file, clock=lambda: begins - 1).warnings()
    assert [warning.partition(";")[0] for warning in found] == [
        "cert_file is not valid yet",
        "cert_file names no host (subjectAltName), so browsers refuse it",
    ]


def test_a_key_that_everybody_may_read_is_said(authority: Authority) -> None:
    files = authority.server("open")
    files.key_file.chmod(0o644)
    warning = "key_file can be read by everybody on this machine; chmod 640 it"
    assert Certificate(files.cert_file, files.key_file).warnings() == (warning,)


def test_an_encrypted_key_is_refused_with_the_remedy_and_nothing_is_asked_for(
    authority: Authority, tmp_path: Path
) -> None:
    files = authority.server("secret")
    encrypted = tmp_path / "encrypted.key"
    command = [
        program("openssl"),
        "pkey",
        "-in",
        str(files.key_file),
        "-aes256",
        "-passout",
        "pass:x",
        "-out",
        str(encrypted),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(CertificateFault, match=r"encrypted.*openssl pkey") as fault:
        Certificate(files.cert_file, encrypted)
    assert fault.value.file == "key_file"


def test_each_fault_names_the_setting_that_is_wrong(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.server("one"), authority.server("two")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    for cert_file, key_file, file, words in (
        (one.cert_file, other.key_file, "key_file", "is not the key of the certificate"),
        (one.cert_file, tmp_path / "none", "key_file", "No such file"),
        (tmp_path / "none", one.key_file, "cert_file", "No such file"),
        (tmp_path, one.key_file, "cert_file", "Is a directory"),
        (one.cert_file, garbage, "key_file", "no private key that can be used"),
        (one.key_file, one.key_file, "cert_file", "holds no certificate"),
        (one.cert_file, one.cert_file, "key_file", "no private key that can be used"),
    ):
        with pytest.raises(CertificateFault, match=words) as fault:
            Certificate(cert_file, key_file)
        assert fault.value.file == file


def test_only_tls_with_forward_secrecy_is_spoken(watched: Watched) -> None:
    context = watched.certificate.context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert {cipher["kea"] for cipher in context.get_ciphers()} <= {"kx-ecdhe", "kx-any"}
    assert all(cipher["aead"] for cipher in context.get_ciphers())
