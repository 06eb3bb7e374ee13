"""The example configurations of nginx and Caddy, run by the real programs in front of a service."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Certificate
from tests.integration.native_clients import WebSocketClient, ask, until
from tests.integration.viewers import SECOND, Speaker, SseViewer, speaking
from tests.limits import limit_s
from tests.stack import PROJECT, Stack, free_ports, listens, wait_until

PROXY = PROJECT / "compose/proxy"


@contextlib.contextmanager
def nginx(stack: Stack, certificate: Certificate, folder: Path, port: int) -> Iterator[None]:
    configuration = (PROXY / "nginx.conf").read_text()
    changes = {
        "127.0.0.1:8000": f"127.0.0.1:{stack.settings.server.http_port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "server_name voice.example": "server_name localhost",
        "/etc/ssl/voice.example.pem": str(certificate.path),
        "/etc/ssl/voice.example.key": str(certificate.key_path),
    }
    places = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"daemon off; pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; {places}\n"
    (folder / "nginx.conf").write_text(f"{whole}{_changed(configuration, changes)}}}\n")
    with _running(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, port):
        yield


@contextlib.contextmanager
def caddy(stack: Stack, certificate: Certificate, folder: Path, port: int) -> Iterator[None]:
    configuration = (PROXY / "Caddyfile").read_text()
    site = f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate.path} {certificate.key_path}"
    changes = {
        "voice.example {": site,
        "reverse_proxy 127.0.0.1:8000": f"reverse_proxy 127.0.0.1:{stack.settings.server.http_port}",
    }
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(options + _changed(configuration, changes))
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    with _running(command, folder, port):
        yield


def _changed(configuration: str, changes: dict[str, str]) -> str:
    for example, actual in changes.items():
        assert example in configuration
        configuration = configuration.replace(example, actual)
    return configuration


@contextlib.contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    with (folder / "output").open("wb") as output:
        environment = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/bin", "HOME": str(folder)}
        proxy = subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    def check() -> None:
        assert proxy.poll() is None, (folder / "output").read_text()

    try:
        wait_until(lambda: listens(port), f"{command[0]} listens", 20, check)
        yield
    finally:
        proxy.terminate()
        proxy.wait(limit_s(10))


@pytest.mark.parametrize("proxy", [nginx, caddy], ids=["nginx", "caddy"])
def test_sessions_and_events_pass_a_proxy(proxy, stack: Stack, certificate: Certificate, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    if not shutil.which(proxy.__name__, path="/usr/local/bin:/usr/sbin:/usr/bin:/bin"):
        pytest.skip(f"{proxy.__name__} is not installed (Debian and Ubuntu: apt install {proxy.__name__})")
    (port,) = free_ports(1)
    with proxy(stack, certificate, tmp_path, port):
        _transcribes(f"wss://localhost:{port}/ws", certificate)
        with speaking(stack) as speaker:
            _streams_events(f"https://localhost:{port}", speaker, certificate)


def _transcribes(url: str, certificate: Certificate) -> None:
    client = WebSocketClient(url, ssl=certificate.trust)
    assert ask(client, type="start")["type"] == "ready"
    client.send_audio(SECOND)
    client.send_text('{"type": "stop"}')
    assert "final" in [event["type"] for event in until(client, "done")]
    client.close()


def _streams_events(url: str, speaker: Speaker, certificate: Certificate) -> None:
    """A final reaches the viewer while the stream, and with it the response, is open."""
    viewer = SseViewer(url, f"{speaker.path}/events", speaker.token, tls=certificate.trust)
    assert viewer.status == 200
    final = speaker.say()
    while (event := viewer.next()) is not None:
        if event["type"] == "final":
            assert event["text"] == final["text"]
            break
    else:
        pytest.fail("The stream ended without the final.")
    viewer.close()
