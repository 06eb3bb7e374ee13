"""A service whose ports speak TLS: every frontend, the clients, and a certificate that changes."""

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from websockets.sync.client import connect

from compose.readiness import why_not_ready
from frontend.cli.certificates import trusted
from frontend.cli.checks.machine import check_model
from frontend.cli.checks.service import check_ports
from frontend.cli.status import ServiceError, show_status
from frontend.client import Done, TranscriptionClient, UnreachableError
from frontend.servers.tls import probe_context
from tests.certificates import Certificate
from tests.command import run
from tests.integration.native_clients import base64_of, tone, wav
from tests.limits import limit_s
from tests.stack import Stack, wait_until

PORTS = ("websocket", "tcp", "web", "health")


def port_of(stack: Stack, name: str) -> int:
    server = stack.settings.server
    return dict(zip(PORTS, (*server.tcp_ports, server.http_port, server.health_port), strict=True))[name]


def opened(stack: Stack, name: str, trust: ssl.SSLContext) -> ssl.SSLSocket:
    bare = socket.create_connection(("127.0.0.1", port_of(stack, name)), timeout=limit_s(10))
    return trust.wrap_socket(bare, server_hostname="localhost")


@contextlib.contextmanager
def asked(stack: Stack, name: str, path: str, trust: ssl.SSLContext | None) -> Iterator[http.client.HTTPResponse]:
    """The answer to a GET; without `trust` over plain HTTP."""
    port = port_of(stack, name)
    if trust is None:
        connection = http.client.HTTPConnection("localhost", port, timeout=limit_s(10))
    else:
        connection = http.client.HTTPSConnection("localhost", port, context=trust, timeout=limit_s(10))
    with contextlib.closing(connection):
        connection.request("GET", path)
        with connection.getresponse() as response:
            yield response


def send(connection: ssl.SSLSocket, **message: Any) -> None:
    content = json.dumps(message).encode()
    connection.sendall(struct.pack("!I", len(content)) + content)


def received(connection: ssl.SSLSocket) -> dict[str, Any]:
    with connection.makefile("rb") as answers:
        (length,) = struct.unpack("!I", answers.read(4))
        message: dict[str, Any] = json.loads(answers.read(length))
        return message


def test_http_ports_answer_over_tls_and_not_without(tls_stack: Stack, certificate: Certificate) -> None:
    with asked(tls_stack, "web", "/config.json", certificate.trust) as response:
        assert response.status == 200
    with asked(tls_stack, "health", "/status", certificate.trust) as response:
        assert json.load(response)["status"] == "ready"
    for name in ("web", "health"):
        with pytest.raises((http.client.BadStatusLine, ConnectionError)), asked(tls_stack, name, "/", None):
            pass


async def test_python_client_speaks_to_both_websocket_ports(tls_stack: Stack, certificate: Certificate) -> None:
    for path in (f"{port_of(tls_stack, 'websocket')}", f"{port_of(tls_stack, 'web')}/ws"):
        async with TranscriptionClient(f"wss://localhost:{path}", tls=certificate.trust) as client:
            assert (await client.transcribe(wav(1))).text == "1 seconds"
            async with client.live() as session:
                await session.send(tone(1))
                await session.stop()
                assert [event.duration_s async for event in session if isinstance(event, Done)] == [1.0]


async def test_python_client_says_why_it_accepts_no_certificate(tls_stack: Stack) -> None:
    async with TranscriptionClient(f"wss://localhost:{port_of(tls_stack, 'websocket')}") as client:
        with pytest.raises(UnreachableError, match="its certificate is not accepted: self-signed certificate"):
            await client.ping()


def test_tcp_clients_are_answered_and_hear_the_reason_of_a_close(tls_stack: Stack, certificate: Certificate) -> None:
    with opened(tls_stack, "tcp", certificate.trust) as client:
        send(client, type="audio", audio_data=base64_of(wav(1)))
        assert received(client)["text"] == "1 seconds"
        client.sendall(struct.pack("!I", 0xFFFFFFFF) + bytes(300_000))
        assert received(client)["code"] == "message_too_large"
        assert client.recv(1) == b""


def test_tcp_client_that_closes_its_connection_has_left(tls_stack: Stack, certificate: Certificate) -> None:
    """As without TLS: its session ends at once and is not kept for 30 s, and what was said is kept."""
    with opened(tls_stack, "tcp", certificate.trust) as client:
        send(client, type="start")
        ready = received(client)
        client.sendall(struct.pack("!I", 32_000) + tone(1))
        with contextlib.suppress(OSError):
            client.unwrap()
    path = f"/v1/sessions/{ready['session_id']}/transcript.txt?token={ready['viewer_token']}"

    def is_whole() -> bool:
        with asked(tls_stack, "web", path, certificate.trust) as response:
            return response.getheader("Transcript-Complete") == "true"

    wait_until(is_whole, "the session has ended")


def test_viewers_read_events_that_are_written_past_asgi(tls_stack: Stack, certificate: Certificate) -> None:
    with connect(f"wss://localhost:{port_of(tls_stack, 'websocket')}", ssl=certificate.trust) as speaker:
        speaker.send('{"type": "start", "partials": false}')
        ready = json.loads(speaker.recv(timeout=limit_s(10)))
        path = f"/v1/sessions/{ready['session_id']}/events?token={ready['viewer_token']}"
        with (
            asked(tls_stack, "web", path, certificate.trust) as events,
            connect(f"wss://localhost:{port_of(tls_stack, 'web')}{path}", ssl=certificate.trust) as on_socket,
        ):
            speaker.send(tone(1))
            speaker.send('{"type": "stop"}')
            seen = [json.loads(message)["type"] for message in on_socket]
            lines = events.read().decode().splitlines()
    assert seen[-2:] == ["final", "done"]
    assert [json.loads(line[6:])["type"] for line in lines if line.startswith("data: ")][-2:] == ["final", "done"]


def test_commands_know_the_certificate_of_their_own_service(tls_stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(1))
    done = run(tls_stack, "transcribe", tmp_path / "a.wav")
    assert (done.returncode, done.stdout) == (0, "1 seconds\n")


def test_commands_accept_certificates_of_a_file(tls_stack: Stack, certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(1))
    url = f"wss://localhost:{port_of(tls_stack, 'websocket')}"
    done = run(tls_stack, "transcribe", tmp_path / "a.wav", "--url", url, VOXTRAL_CA_FILE=str(certificate.path))
    assert (done.returncode, done.stdout) == (0, "1 seconds\n")
    health_url = f"https://localhost:{port_of(tls_stack, 'health')}"
    assert show_status(health_url, as_json=True, tls=certificate.trust)
    with pytest.raises(ServiceError, match="is not accepted: self-signed certificate"):
        show_status(health_url, as_json=True)
    with pytest.raises(click.BadParameter, match=r"a\.wav cannot be used: it contains no certificate in PEM format"):
        trusted(url, str(tmp_path / "a.wav"))


@pytest.mark.parametrize("command", ["status", "models"])
def test_commands_say_which_scheme_or_certificate_is_missing(tls_stack: Stack, command: str) -> None:
    url = f"://localhost:{port_of(tls_stack, 'web')}"
    done = run(tls_stack, command, "--url", f"http{url}")
    assert (done.returncode, "the address begins with https:// or wss://" in done.stderr) == (3, True)
    done = run(tls_stack, command, "--url", f"https{url}")
    assert (done.returncode, "--ca-file names certificates to trust" in done.stderr) == (3, True)
    assert "voxtral serve" not in done.stderr


async def test_launcher_and_doctor_find_the_ports(tls_stack: Stack) -> None:
    assert await why_not_ready(tls_stack.settings, probe_context(tls_stack.settings)) is None
    checks = await asyncio.to_thread(lambda: list(check_ports(tls_stack.settings)))
    assert [check.detail.endswith("is served by this service") for check in checks[:4]] == [True] * 4


def test_doctor_does_not_load_the_model_of_a_running_service(tls_stack: Stack) -> None:
    [check] = check_model(tls_stack.settings)
    assert ", runs on " in check.detail


def test_handshakes_that_fail_are_no_errors_of_ours(tls_stack: Stack) -> None:
    for name in PORTS:
        with socket.create_connection(("127.0.0.1", port_of(tls_stack, name)), timeout=limit_s(10)) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(1000):
                pass
        assert "Traceback" not in tls_stack.output(name)


def test_servers_stop_although_clients_do_not_confirm_the_end(tls_stack: Stack, certificate: Certificate) -> None:
    with opened(tls_stack, "health", certificate.trust):
        assert tls_stack.stop("health") == 0
    assert "timeout graceful shutdown exceeded" not in tls_stack.output("health")
    tls_stack.spawn("health")
    wait_until(tls_stack.is_ready, "the health server is back", 30)


def test_changed_certificate_is_shown_at_every_port(tls_stack: Stack, certificate: Certificate) -> None:
    certificate.renew()
    for name in PORTS:

        def is_new(name: str = name) -> bool:
            try:
                with opened(tls_stack, name, certificate.trust) as client:
                    return client.getpeercert(binary_form=True) == certificate.der
            except ssl.SSLCertVerificationError:
                return False

        wait_until(is_new, f"{name} shows the new certificate")
