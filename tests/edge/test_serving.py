"""The program with a certificate: what it says at start, in `check` and in `/health`."""

import json
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.sluicegate import Config, configure, serving
from tests.servers.certificates import Authority, Certificate
from tests.wire import exchange, request

_OPEN = '[[route]]\npath = "/*"\nrespond = "hello"\nauth = "none"\n'


def configured(directory: Path, files: Certificate, text: str = _OPEN) -> Config:
    config = configure(directory, text)
    tls = f'[http]\ntls = {{ cert_file = "{files.cert_file}", key_file = "{files.key_file}" }}\n'
    config.path.write_text(config.path.read_text().replace("[http]\n", tls))
    return config


def test_it_serves_https_and_health_tells_of_the_certificate(authority: Authority, tmp_path: Path) -> None:
    files = authority.server("served")
    trusting = ssl.create_default_context(cafile=files.ca_file)
    with serving(configured(tmp_path, files)) as gateway:
        assert exchange(gateway.address, request("/"), tls=trusting).body == b"hello"
        told = json.loads(gateway.health().body)
        assert told["status"] == "ok"
        assert told["tls"]["names"] == ["localhost", "127.0.0.1"]
        assert told["tls"]["fault"] is None


def test_an_expired_certificate_starts_with_a_warning_and_is_degraded(authority: Authority, tmp_path: Path) -> None:
    config = configured(tmp_path, authority.server("expired", days=-1))
    warning = "cert_file has expired, and no client will accept it; renew it"
    assert warning in json.loads(config.run("check", "--json").out)["warnings"]
    with serving(config) as gateway:
        assert warning in gateway.process.output()
        assert json.loads(gateway.health().body)["status"] == "degraded"


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_pair_that_does_not_fit_is_a_fault_with_its_place(authority: Authority, tmp_path: Path, command: str) -> None:
    one, other = authority.server("one"), authority.server("other")
    config = configured(tmp_path, replace(one, key_file=other.key_file))
    done = config.run(command)
    assert done.code == 2
    assert ":3: [http] tls.key_file: is not the key of the certificate in cert_file; give" in done.err
