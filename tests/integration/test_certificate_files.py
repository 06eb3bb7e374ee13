"""The frontends' certificate: what is no pair of files, and what happens when a pair changes."""

import contextlib
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from compose.launch import _urls, _warning
from frontend.cli.checks.check import State
from frontend.cli.checks.service import check_tls
from frontend.servers import tls
from frontend.servers.tls import own_context, server_context
from shared.config.settings import Settings
from shared.errors import StartupError
from tests.certificates import Certificate


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path)


def settings_of(certificate: Certificate, **changed: str) -> Settings:
    return Settings(server=certificate.settings | changed)


def shown_certificate(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes | None:
    """What a client sees in a handshake that takes no socket."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    served = server.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server, server_hostname="localhost" if client.check_hostname else None)
    for _ in range(4):
        for side in (asking, served):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return asking.getpeercert(binary_form=True)


def test_tls_is_off_without_a_certificate() -> None:
    assert server_context(Settings()) is None
    assert own_context(Settings()) is None
    assert check_tls(Settings()).state is State.ABSENT


@pytest.mark.parametrize(("given", "missing"), [("certificate", "key"), ("key", "certificate")])
def test_half_a_pair_stops_the_start(given: str, missing: str) -> None:
    settings = Settings(server={f"tls_{given}": "x.pem"})
    with pytest.raises(StartupError, match=rf"^Setting server\.tls_{given} is set and server\.tls_{missing} is not; "):
        server_context(settings)
    assert check_tls(settings).state is State.BROKEN


def test_unfitting_pairs_stop_the_start_by_the_name_of_the_setting(certificate: Certificate, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = Certificate(other)
    encrypted = tmp_path / "encrypted.pem"
    locked = ["openssl", "pkey", "-in", certificate.key_path, "-aes128", "-passout", "pass:x", "-out", encrypted]
    subprocess.run(locked, check=True)
    (tmp_path / "text.pem").write_text("no PEM")
    text = str(tmp_path / "text.pem")
    for changed, sentence in (
        ({"tls_key": str(stranger.key_path)}, "does not belong to the certificate"),
        ({"tls_key": str(encrypted)}, "(server.tls_key) is encrypted; allowed: a key without a password."),
        ({"tls_key": text}, "(server.tls_key) contains no private key in PEM format."),
        ({"tls_certificate": text}, "(server.tls_certificate) contains no certificate in PEM format."),
        ({"tls_key": "/none.pem"}, "The file /none.pem (server.tls_key) cannot be read: No such file or directory."),
        ({"tls_certificate": "/none.pem"}, "/none.pem (server.tls_certificate) cannot be read: No such file"),
    ):
        with pytest.raises(StartupError) as refused:
            server_context(settings_of(certificate, **changed))
        assert sentence in str(refused.value)


def test_changed_pair_is_used_when_it_is_one(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LOOK_INTERVAL_S", 0.0)
    server = server_context(settings_of(certificate))
    assert server is not None
    first = certificate.der
    assert shown_certificate(server, certificate.trust) == first
    first_trust, new_key = certificate.trust, certificate.key_path.with_name("new.key")
    certificate.renew()
    shutil.move(certificate.key_path, new_key)  # half of the new pair is there
    certificate.key_path.write_text("half of a key")
    assert shown_certificate(server, first_trust) == first
    shutil.move(new_key, certificate.key_path)
    assert shown_certificate(server, certificate.trust) == certificate.der != first


def test_programs_of_this_machine_accept_the_one_certificate(certificate: Certificate, tmp_path: Path) -> None:
    own = own_context(settings_of(certificate))
    server = server_context(settings_of(certificate))
    assert own is not None
    assert server is not None
    assert shown_certificate(server, own) == certificate.der
    certificate.renew()
    stranger = server_context(settings_of(certificate))
    assert stranger is not None
    with pytest.raises(ssl.SSLCertVerificationError):
        shown_certificate(stranger, own)


def test_keys_that_travel_in_clear_are_warned_of(certificate: Certificate, tmp_path: Path) -> None:
    keyed = {"access": {"keys": "[]"}, "flower": {"basic_auth": "me:sesame"}}
    exposed = Settings(server={"host": "0.0.0.0"}, **keyed)
    assert "keys are sent unencrypted to 0.0.0.0" in _warning(exposed)
    assert check_tls(exposed).state is State.WARNING
    secure = Settings(server={"host": "0.0.0.0", **certificate.settings}, **keyed)
    assert _warning(secure) == ""
    assert check_tls(secure).state is State.OK
    assert _warning(Settings(**keyed)) == ""


def test_printed_addresses_speak_tls(certificate: Certificate) -> None:
    lines = dict(line.split() for line in _urls(settings_of(certificate)).splitlines())
    assert lines == {
        "page": "https://127.0.0.1:8000/",
        "api": "https://127.0.0.1:8000/docs",
        "websocket": "wss://127.0.0.1:8765",
        "tcp": "tls://127.0.0.1:8766",
        "status": "https://127.0.0.1:8005/status",
        "flower": "http://127.0.0.1:5555/",
    }
    with_password = settings_of(certificate).model_copy(
        update={"flower": Settings(flower={"basic_auth": "a:b"}).flower}
    )
    assert "https://127.0.0.1:5555/" in _urls(with_password)


def test_printed_addresses_can_be_reached() -> None:
    settings = Settings(server={"host": "::", "protocols": ["wyoming"]}, wyoming={"host": "0.0.0.0"})
    lines = dict(line.split() for line in _urls(settings).splitlines())
    assert lines["page"] == "http://[::1]:8000/"
    assert lines["wyoming"] == f"tcp://127.0.0.1:{settings.wyoming.port}"
    assert lines["flower"] == "http://127.0.0.1:5555/"
