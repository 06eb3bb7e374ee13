"""Clients that are broken or hostile, and frontends that are stopped: others notice nothing, and nothing is left."""

import asyncio
import contextlib
import random
import signal
import socket
import struct
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from frontend.connections.timeouts import SEND_STALL_S
from frontend.process import FrontendProcess
from tests.forking import captured
from tests.integration.native_clients import (
    FRONTENDS,
    ask,
    base64_of,
    open_client,
    raw_frame,
    raw_socket,
    reset,
    tell,
    tone,
    until,
)
from tests.limits import limit_s
from tests.stack import COMMANDS, PROJECT, Stack, serving, wait_until

GARBAGE_MESSAGES = 8000
SETTINGS_OF_PORTS = {"websocket": "server.tcp_ports[0]", "tcp": "server.tcp_ports[1]", "web": "server.http_port"}


@pytest.fixture(params=FRONTENDS)
def frontend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rss_bytes(stack: Stack, frontend: str) -> int:
    status = Path(f"/proc/{stack.processes[frontend].pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def log_bytes(stack: Stack) -> int:
    return sum(file.stat().st_size for file in (stack.folder / "logs").iterdir())


def works(stack: Stack, frontend: str) -> bool:
    with contextlib.closing(open_client(stack, frontend)) as client:
        return ask(client, type="audio", audio_data=base64_of(tone(0.5)))["text"] == "0.5 seconds"


def test_garbage_costs_bounded_memory_and_log(stack: Stack, frontend: str) -> None:
    generator = random.Random(7)
    with contextlib.closing(open_client(stack, frontend)) as client:
        ask(client, type="ping")
        before, logged = rss_bytes(stack, frontend), log_bytes(stack)
        for number in range(GARBAGE_MESSAGES):
            kind = number % 4
            if kind == 0:
                client.send_text("{" + "".join(generator.choices('{}[]":,a1', k=200)))
            elif kind == 1:
                tell(client, type="".join(generator.choices("abc", k=20)))
            elif kind == 2:
                tell(client, type="audio", audio_data="?" * 2000)
            else:  # unexpected audio is refused once
                client.send_audio(b"\x00" + generator.randbytes(500))
                if number != kind:
                    continue
            assert (client.receive() or {})["type"] == "error"
        assert rss_bytes(stack, frontend) - before < 6 * 1024 * 1024
    assert log_bytes(stack) - logged < 64 * 1024


def test_any_bytes_on_the_wire_leave_the_service_well(stack: Stack, frontend: str) -> None:
    generator = random.Random(11)
    logged, earlier = log_bytes(stack), len(stack.log())
    for number in range(150):
        with raw_socket(stack, frontend) as bare, contextlib.suppress(ConnectionError):
            content = generator.randbytes(generator.randrange(1, 400))
            if number % 3 == 0:
                bare.sendall(content)
            elif number % 3 == 1:
                bare.sendall(raw_frame(frontend, b'{"type": "start"}') + content)
            else:
                bare.sendall(raw_frame(frontend, content, text=number % 2 == 0))
            if number % 5 == 0:
                bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert works(stack, frontend)
    assert not [line for line in stack.log()[earlier:] if line["level"] == "error"]
    assert log_bytes(stack) - logged < 128 * 1024


def test_no_handshake_at_all_is_not_logged_at_length(stack: Stack) -> None:
    logged = log_bytes(stack)
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", stack.settings.websocket_port)) as bare:
            bare.sendall(b"GET / HTTP/1.1\r\n\r\n")
            bare.recv(100)
    assert log_bytes(stack) - logged < 16 * 1024


def flood(stack: Stack, frontend: str) -> socket.socket:
    """A client that asks and asks, and never reads."""
    bare = raw_socket(stack, frontend, receive_buffer_bytes=4096)
    bare.settimeout(0.5)
    questions = raw_frame(frontend, b'{"type": "status"}') * 500
    with contextlib.suppress(TimeoutError):
        while True:
            bare.sendall(questions)
    return bare


def wait_until_alone(stack: Stack, frontend: str, timeout_s: float = 10.0) -> None:
    """Wait until a frontend has dropped all other clients, those of earlier tests too."""
    with contextlib.closing(open_client(stack, frontend)) as client:
        wait_until(
            lambda: ask(client, type="status")["connected_clients"] == 1,
            f"the {frontend} server has dropped all other clients",
            timeout_s,
        )


def test_clients_that_never_read_hold_nobody_and_are_dropped(stack: Stack) -> None:
    for frontend in FRONTENDS:
        wait_until_alone(stack, frontend)
    before = {frontend: rss_bytes(stack, frontend) for frontend in FRONTENDS}
    floods = {frontend: flood(stack, frontend) for frontend in FRONTENDS}
    for frontend in FRONTENDS:
        with contextlib.closing(open_client(stack, frontend)) as client:
            asked_at = time.monotonic()
            status = ask(client, type="status")
            assert time.monotonic() - asked_at < limit_s(1)
            assert status["connected_clients"] == 2
            assert rss_bytes(stack, frontend) - before[frontend] < 16 * 1024 * 1024
    for frontend, bare in floods.items():
        wait_until_alone(stack, frontend, SEND_STALL_S + 8)
        bare.close()


@pytest.mark.parametrize("pinged", ["websocket", "web"])
def test_a_client_that_pings_and_never_reads_is_cut_off(stack: Stack, pinged: str) -> None:
    before = rss_bytes(stack, pinged)
    pings = (b"\x89\xfd" + bytes(4) + bytes(125)) * 500
    with raw_socket(stack, pinged, receive_buffer_bytes=4096) as bare, contextlib.suppress(ConnectionError):
        while True:  # until the connection is reset; a server that stopped reading would make this time out
            bare.sendall(pings)
    assert rss_bytes(stack, pinged) - before < 16 * 1024 * 1024
    assert works(stack, pinged)


def test_a_connection_that_breaks_off_within_a_one_shot_costs_its_session(stack: Stack, frontend: str) -> None:
    with contextlib.closing(open_client(stack, frontend)) as watcher:
        for _ in range(5):
            leaving = open_client(stack, frontend)
            tell(leaving, type="audio", audio_data=base64_of(tone(10) * 20), stream=True)
            until(leaving, "partial")
            reset(leaving)
        wait_until(lambda: ask(watcher, type="status")["sessions"] == 0, "no session is left")
    assert works(stack, frontend)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service whose frontends are stopped by the tests."""
    with serving(Stack(tmp_path_factory.mktemp("mortal"))) as service:
        yield service


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_frontend_stops_cleanly_with_its_clients_attached(
    mortal: Stack, frontend: str, signal_number: signal.Signals
) -> None:
    live, idle = open_client(mortal, frontend), open_client(mortal, frontend)
    ready = ask(live, type="start")
    live.send_audio(tone(1))
    until(live, "partial")
    ask(idle, type="ping")
    deaf = flood(mortal, frontend)

    stopped_at = time.monotonic()
    assert mortal.stop(frontend, signal_number) == 0
    assert time.monotonic() - stopped_at < limit_s(3)

    assert idle.receive() is None
    while live.receive() is not None:
        pass
    if frontend != "tcp":
        assert {idle.close_code, live.close_code} <= {1001, 1012}
    for client in (live, idle, deaf):
        client.close()
    assert "Traceback" not in mortal.output(frontend)

    mortal.start(frontend)
    with contextlib.closing(open_client(mortal, frontend)) as again:
        token = {"session_id": ready["session_id"], "resume_token": ready["resume_token"]}
        assert ask(again, type="resume", seq=1, **token)["audio_received_samples"] == 16_000
        tell(again, type="stop")
        assert until(again, "done")[-1]["duration"] == 1.0


def test_a_port_in_use_is_one_sentence(stack: Stack, frontend: str) -> None:
    second = captured(COMMANDS[frontend], folder=PROJECT, env=stack.env)
    assert second.returncode == 78
    errors = second.stderr.decode()
    sentence = errors.strip().splitlines()[-1]
    assert SETTINGS_OF_PORTS[frontend] in sentence
    assert "Address already in use" in sentence
    assert "Traceback" not in errors


class FaultyProcess(FrontendProcess):
    def _loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        return super()._loops() | {"faulty": _fault()}


async def _fault() -> None:
    raise ZeroDivisionError


async def test_process_without_one_of_its_loops_does_not_serve_on(stack: Stack) -> None:
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(limit_s(10)), FaultyProcess.running(stack.settings, "test"):
            await asyncio.Event().wait()
