"""The commands that listen to a microphone and look at the service, as users run them."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import counted_s, run, running
from tests.limits import limit_s
from tests.stack import Stack, free_ports

MICROPHONE = """
import threading, time

class PortAudioError(Exception):
    pass

class RawInputStream:
    def __init__(self, *, samplerate, channels, dtype, blocksize, device, callback):
        if device == "broken":
            raise PortAudioError("no such device")
        self._args = (blocksize / samplerate, bytes(2 * blocksize), callback)

    def __enter__(self):
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._speak)
        self._thread.start()

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _speak(self):
        pace_s, block, callback = self._args
        while not self._ended.wait(pace_s):
            callback(block, len(block) // 2, None, None)
"""
"""The part of sounddevice that is used, with a microphone in a silent room."""


def with_sounddevice(folder: Path, source: str, stack: Stack) -> dict[str, str]:
    """The variables of an environment in which this is the sounddevice library."""
    (folder / "sounddevice.py").write_text(source)
    return {"PYTHONPATH": f"{folder}:{stack.env['PYTHONPATH']}"}


def test_listen_transcribes_until_it_is_interrupted(stack: Stack, tmp_path: Path) -> None:
    variables = with_sounddevice(tmp_path, MICROPHONE, stack)
    earlier = stack.received_s()
    with running(stack, "listen", "--model", "echo", "--captions", "--url", stack.web_url, **variables) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"Listening. Press Ctrl-C to stop.\n"
        assert process.stderr.readline().startswith(f"Captions: {stack.web_url}/captions?session=".encode())
        stack.receives(0.3, earlier)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=limit_s(10))

    assert (process.returncode, errors) == (0, b"")
    assert counted_s(output.decode()) > 0.2


@pytest.mark.parametrize(
    ("library", "arguments", "advice"),
    [
        ("raise ImportError", [], "pip install"),
        ("raise OSError('PortAudio library not found')", [], "libportaudio2"),
        (MICROPHONE, ["--device", "broken"], "no such device"),
    ],
)
def test_listen_without_a_microphone_says_what_to_do(
    stack: Stack, tmp_path: Path, library: str, arguments: list[str], advice: str
) -> None:
    done = run(stack, "listen", *arguments, **with_sounddevice(tmp_path, library, stack))

    assert done.returncode == 1
    assert advice in done.stderr
    assert done.stderr.count("\n") == 1


def test_status_shows_the_service(stack: Stack) -> None:
    done = run(stack, "status")

    assert (done.returncode, done.stderr) == (0, "")
    for expected in ("ready", "echo on cpu", "slots free", "websocket ", "worker "):
        assert expected in done.stdout


def test_old_name_of_a_setting_is_one_sentence(stack: Stack) -> None:
    done = run(stack, "models", VOXTRAL_SESSION__RESUME_WINDOW_S="7")

    assert done.returncode == 0
    assert done.stderr == (
        "Warning: Setting session.resume_window_s (in the environment) is now called session.rehear_s; rename it.\n"
    )


@pytest.mark.parametrize("command", ["status", "models", "doctor"])
def test_reader_that_is_gone_is_no_fault(stack: Stack, command: str) -> None:
    with running(stack, command) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()

        assert (process.wait(limit_s(60)), errors) == (141, b"")


def test_status_prints_json(stack: Stack) -> None:
    answer = json.loads(run(stack, "status", "--json", "--url", stack.health_url).stdout)

    assert (answer["status"], [model["model"] for model in answer["models"]]) == ("ready", ["echo"])


def test_status_without_a_service_says_how_to_start_it(stack: Stack) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"

    done = run(stack, "status", "--url", url)

    assert done.returncode == 3
    assert url in done.stderr
    assert "voxtral serve" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["status", "models"])
def test_port_without_tls_is_not_said_to_be_off(stack: Stack, command: str) -> None:
    done = run(stack, command, "--url", stack.web_url.replace("http:", "https:"))

    assert done.returncode == 3
    assert "the port does not use TLS; without TLS, the address begins with http:// or ws://" in done.stderr
    assert "voxtral serve" not in done.stderr


def test_health_port_is_not_said_to_be_off(stack: Stack) -> None:
    done = run(stack, "models", "--url", stack.health_url)

    assert done.returncode == 3
    assert "HTTP 403" in done.stderr
    assert done.stderr.endswith("). --url names the page of the service (port 8000) or its WebSocket port (8765).\n")


@pytest.mark.parametrize("command", ["status", "models"])
def test_proxy_that_was_used_is_named(stack: Stack, command: str) -> None:
    proxy = f"http://anna:secret@127.0.0.1:{free_ports(1)[0]}"
    done = run(stack, command, "--url", "http://voice.example:8000", http_proxy=proxy, no_proxy="")

    assert done.returncode == 3
    assert f"through the proxy {proxy.replace('anna:secret@', '')} (connection refused)" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["status"], ["models"], ["transcribe", "-", "--live", "--captions"]])
def test_password_of_the_address_is_not_shown(stack: Stack, command: list[str]) -> None:
    port = free_ports(1)[0]
    done = run(stack, *command, "--url", f"http://anna:secret@127.0.0.1:{port}")

    assert done.returncode == 3
    assert f"://127.0.0.1:{port}/" in done.stderr
    assert "secret" not in done.stderr


def test_status_at_the_health_port_is_the_full_report(stack: Stack) -> None:
    health, page = (run(stack, "status", "--url", url).stdout for url in (stack.health_url, stack.web_url))

    assert "Redis" in health
    assert "Redis" not in page
    assert page.startswith("Service  ready")


def test_help_imports_no_large_library(stack: Stack) -> None:
    program = "import sys, frontend.cli.start, frontend.cli.main; print(*sys.modules)"
    imported = subprocess.run(
        [sys.executable, "-c", program], env=stack.env, capture_output=True, text=True, check=True
    )
    large = {"numpy", "pydantic", "redis", "rich", "structlog", "voxtral_client", "websockets", "yaml"}

    assert not large & set(imported.stdout.split())


def test_doctor_finds_a_running_service_sound(stack: Stack) -> None:
    done = run(stack, "doctor")

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "✗" not in done.stdout
    for expected in ("✓ Redis", "served by this service", "✓ Model", "✓ Service"):
        assert expected in done.stdout


def test_doctor_warns_of_an_open_service_without_keys(stack: Stack) -> None:
    done = run(stack, "doctor", VOXTRAL_SERVER__HOST="0.0.0.0")

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "! Keys" in done.stdout
    assert done.stdout.endswith("All requirements are met; see the warnings (!) above.\n")


def test_doctor_prints_json(stack: Stack) -> None:
    done = run(stack, "doctor", "--json")

    checks = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert {"name", "state", "detail", "advice"} == set(checks[0])
    assert {check["state"] for check in checks} <= {"ok", "absent"}


def test_doctor_says_what_is_wrong_and_what_to_do(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        done = run(
            stack,
            "doctor",
            REDIS_URL=f"redis://127.0.0.1:{free_ports(1)[0]}/0",
            VOXTRAL_FLOWER__PORT=str(port),
            VOXTRAL_MODEL__NAME="no-such-model",
        )

    assert done.returncode == 1
    broken = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    assert [line.split()[1] for line in broken] == ["Redis", "Port", "Model"]
    assert "flower.port" in done.stdout


def test_doctor_names_a_bad_setting(stack: Stack) -> None:
    done = run(stack, "doctor", VOXTRAL_SERVER__HTTP_PORT="99999")

    assert done.returncode == 1
    assert "server.http_port" in done.stdout


def test_doctor_sees_a_service_that_is_off(tmp_path: Path) -> None:
    stopped = Stack(tmp_path)

    done = run(stopped, "doctor")

    assert done.returncode == 0, done.stdout
    assert "– Service" in done.stdout
    assert "– Redis" in done.stdout
