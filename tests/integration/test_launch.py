"""`make run` with real processes: starts, restarts, failures to start, and that no process is left."""

import asyncio
import errno
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from websockets.sync.client import connect

from compose.checks import check_disk, check_ports
from compose.procfile import Program
from compose.supervisor import Supervisor
from shared.entry import CANNOT_START
from shared.errors import StartupError
from shared.ports import Listener
from shared.version import VERSION
from tests.integration.disk import is_on_disk
from tests.integration.launcher import Launcher, alive, command_line, is_alive, launcher_in
from tests.limits import limit_s
from tests.stack import PROJECT, http_status, listens, wait_until

STOP_LIMIT_S = 5.0
ENDS = ("kill -KILL $$", "exit 0", f"exit {CANNOT_START}", "exit 1")
REDIS_LINE = "redis: python -m compose.redis"


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    with launcher_in(tmp_path) as launcher:
        yield launcher


def stop(launcher: Launcher, number: int) -> float:
    """Stops the launcher by this signal, sees that nothing is left, and returns how long it took."""
    pids = list(launcher.children())
    started_s = time.monotonic()
    launcher.signal_group(number)
    assert launcher.end() == 0, launcher.err
    took_s = time.monotonic() - started_s
    assert [pid for pid in pids if is_alive(pid)] == []
    return took_s


def test_whole_service_starts_survives_a_dead_worker_and_stops(launcher: Launcher) -> None:
    """A live session does not hold the stop up: there is no worker to take it over, since all workers are stopping."""
    stack = launcher.stack
    procfile = (PROJECT / "Procfile").read_text()
    launcher.start(*procfile.splitlines(), listeners=False, workers=2)
    launcher.wait_until_ready()
    assert launcher.out.startswith(f"Starting Voxtral {VERSION}. ")
    urls = [line.split()[1] for line in launcher.out.splitlines() if line.startswith("  ")]
    assert urls == [
        *(f"{stack.web_url}/", f"{stack.web_url}/docs", stack.ws_url, f"tcp://127.0.0.1:{stack.settings.tcp_port}"),
        *(f"{stack.health_url}/status", f"http://127.0.0.1:{stack.settings.flower.port}/"),
    ]
    wait_until(lambda: len(launcher.children()) == 8, "two workers and six other processes run")
    wait_until(lambda: launcher.err.count("model_warm") == 2, "both workers are warm", 30, launcher.check_alive)
    worker, others = launcher.pid_of("-m worker"), set(launcher.children()) - {launcher.pid_of("-m worker")}
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(set(launcher.children()) - others) == 1 and not is_alive(worker), "the worker is replaced")
    assert others <= set(launcher.children())
    wait_until(lambda: http_status(f"{stack.health_url}/ready") == 200, "the service is ready")
    assert re.search(r"worker\.[12] .*\| .*model_warm", launcher.err)
    wait_until(lambda: launcher.err.count("model_warm") == 3, "the new worker is warm", 30, launcher.check_alive)
    wait_until(lambda: len(launcher.stack.status()["workers"]) == 2, "both workers are reported", 30)
    with connect(launcher.stack.ws_url) as client:
        client.send('{"type": "start"}')
        assert json.loads(client.recv(10))["type"] == "ready"
        client.send(b"\1\0" * 16_000)
        assert stop(launcher, signal.SIGINT) < limit_s(STOP_LIMIT_S)
    assert launcher.err.count("worker_drained") == 2, "none was killed"


def test_stop_leaves_nothing_on_disk_that_memory_has_forgotten(launcher: Launcher) -> None:
    launcher.start(REDIS_LINE)
    launcher.wait_until_ready()
    settings = launcher.stack.settings
    wait_until(lambda: listens(settings.redis.port), "the server listens")
    with redis.Redis.from_url(launcher.stack.redis_url) as client:
        client.config_set("rdbcompression", "no")
        client.xadd("audio", {"a": "voice-of-the-speaker"})
        client.set("kept", "still-in-memory")
        client.delete("audio")
    assert is_on_disk(settings.redis.data_dir, b"voice-of-the-speaker")
    assert stop(launcher, signal.SIGINT) < STOP_LIMIT_S
    assert not is_on_disk(settings.redis.data_dir, b"voice-of-the-speaker")
    assert is_on_disk(settings.redis.data_dir, b"still-in-memory")


def test_embedded_server_keeps_its_data_over_a_kill_and_a_restart(launcher: Launcher) -> None:
    launcher.start(REDIS_LINE)
    launcher.wait_until_ready()
    wait_until(lambda: listens(launcher.stack.settings.redis.port), "the server listens")
    server = next(pid for pid, command in launcher.children().items() if "-server" in command)
    with redis.Redis.from_url(launcher.stack.redis_url) as client:
        client.set("kept", "yes")
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not is_alive(server) and listens(launcher.stack.settings.redis.port), "the server is back")
    stop(launcher, signal.SIGTERM)
    launcher.start(REDIS_LINE)
    wait_until(lambda: listens(launcher.stack.settings.redis.port), "the next server listens", 10, launcher.check_alive)
    with redis.Redis.from_url(launcher.stack.redis_url) as client:
        assert client.get("kept") == b"yes"
    assert (launcher.folder / "redis").stat().st_mode & 0o777 == 0o700


async def test_only_failures_of_a_program_itself_are_explained(tmp_path: Path) -> None:
    ends = "; ".join(f"[ -e {number} ] || {{ touch {number}; {end}; }}" for number, end in enumerate(ENDS))
    program = Program("redis", ("/bin/sh", "-c", f"cd {tmp_path}; {ends}; touch serving; exec sleep 600"))
    explained: list[str] = []
    supervisor = Supervisor([program], os.environ, lambda *_: None, explain=explained.append)
    supervisor.has_been_ready = True
    running = asyncio.create_task(supervisor.run())
    await asyncio.to_thread(wait_until, (tmp_path / "serving").exists, "it has been restarted after each end", 20)
    await supervisor.stop()
    await running
    assert explained == ["redis"], "status 1 only"


def test_redis_url_starts_no_server(launcher: Launcher) -> None:
    launcher.start(REDIS_LINE, REDIS_URL="redis://:sesame@127.0.0.1:1/0")
    launcher.wait_until_ready()
    assert len(launcher.children()) == len(launcher.listeners)
    assert not listens(launcher.stack.settings.redis.port)
    assert "sesame" not in launcher.out + launcher.err


def test_refusal_at_start_stops_everything_with_its_sentence(launcher: Launcher) -> None:
    web = f"web: python listen.py {launcher.listeners['web']}"
    launcher.start(web, "worker: python refuse.py Procfile", listeners=False)
    wait_until(lambda: len(launcher.children()) == 2, "both programs run")
    pids = list(launcher.children())
    assert launcher.end() == CANNOT_START
    assert launcher.err.splitlines()[-1] == "Setting model.name is 'gpt'; allowed: auto."
    assert [pid for pid in pids if is_alive(pid)] == []


def test_refusal_after_the_service_was_ready_is_retried(launcher: Launcher) -> None:
    launcher.start("worker: python refuse.py flag")
    launcher.wait_until_ready()
    wait_until(lambda: "serving" in launcher.err, "the worker serves")
    (launcher.folder / "flag").touch()
    os.kill(launcher.pid_of("refuse.py flag"), signal.SIGKILL)
    wait_until(lambda: launcher.err.count("status 78") >= 2, "the worker was restarted and refused twice")
    (launcher.folder / "flag").unlink()
    wait_until(lambda: launcher.err.count("serving") == 2, "the worker serves again")


def test_program_that_always_fails_ends_the_start(launcher: Launcher) -> None:
    launcher.start("worker: python -c 'raise SystemExit(3)'", listeners=False)
    assert launcher.end() == CANNOT_START
    assert launcher.err.splitlines()[-1] == "worker failed 5 times at start (status 3); see above."


def test_program_that_does_not_exist_is_named(launcher: Launcher) -> None:
    launcher.start("worker: ./nothing", listeners=False)
    assert launcher.end() == CANNOT_START
    assert launcher.err.splitlines()[-1] == "./nothing cannot be run: No such file or directory."


def test_killed_launcher_leaves_no_process(launcher: Launcher) -> None:
    launcher.start(REDIS_LINE)
    launcher.wait_until_ready()
    pids = list(launcher.children())
    assert len(pids) == 5
    assert launcher.process is not None
    launcher.process.kill()
    wait_until(lambda: not any(map(is_alive, pids)), "every process is gone", 5)


def test_launcher_stops_everything_in_order_when_make_is_killed(launcher: Launcher) -> None:
    launcher.start(REDIS_LINE, through_make=True)
    launcher.wait_until_ready()
    (started,) = launcher.children()
    pids = launcher.children(started)
    assert len(pids) == 5
    assert launcher.process is not None
    launcher.process.kill()
    wait_until(lambda: not any(map(is_alive, [started, *pids])), "every process is gone")
    assert "Stopping." in launcher.out


def test_program_that_ignores_the_request_is_killed_with_all_it_started(launcher: Launcher, tmp_path: Path) -> None:
    launcher.start("worker: python stubborn.py")
    launcher.wait_until_ready()
    wait_until(lambda: launcher.err.count("will not stop") == 2, "the program and its own child run")
    grandchild = next(pid for pid in alive() if command_line(pid).endswith(f"{tmp_path}/stubborn.py grandchild"))
    assert stop(launcher, signal.SIGINT) < limit_s(STOP_LIMIT_S)
    assert not is_alive(grandchild)


def test_lines_of_programs_are_never_mixed(launcher: Launcher) -> None:
    launcher.start(*(f"{letter}: python talk.py {letter}" for letter in "xyz"), listeners=False)
    wait_until(lambda: launcher.err.count("\n") >= 900, "all lines are shown")
    lines = launcher.err.splitlines()
    assert [line for line in lines if not re.fullmatch(r"([xyz]) \| \1{200}", line)] == []
    assert stop(launcher, signal.SIGTERM) < limit_s(STOP_LIMIT_S)


def test_ports_in_use_are_named_in_one_sentence_each(launcher: Launcher) -> None:
    settings = launcher.stack.settings
    with (
        socket.create_server(("127.0.0.1", settings.tcp_port)),
        socket.create_server(("127.0.0.1", settings.server.http_port)),
    ):
        launcher.start("worker: python refuse.py x")
        assert launcher.end() == CANNOT_START
    assert launcher.err == (
        f"Port {settings.server.http_port} for page is in use; "
        "stop the program that uses it, or change server.http_port (VOXTRAL_SERVER__HTTP_PORT).\n"
        f"Port {settings.tcp_port} for tcp is in use; "
        "stop the program that uses it, or change server.tcp_ports (VOXTRAL_SERVER__TCP_PORTS).\n"
    )


def test_a_machine_without_ipv6_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr("shared.ports.socket.socket", missing)
    with pytest.raises(
        StartupError, match=r"^The address :: cannot be used: Address family not supported by protocol\.$"
    ):
        check_ports([Listener("page", "::", 8000, "server.http_port"), Listener("tcp", "::", 8766, "server.tcp_ports")])


def test_a_host_that_has_no_address_is_one_sentence() -> None:
    page = Listener("page", "host.invalid", 8000, "server.http_port")
    tcp = Listener("tcp", "host.invalid", 8766, "server.tcp_ports")
    with pytest.raises(StartupError, match=r"^The address host\.invalid cannot be used: [A-Z][^()\[\]\n]*\.$"):
        check_ports([page, tcp])


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "VOXTRAL_FLOWER__PORT",
            "{http_port}",
            "Settings server.http_port and flower.port both name port {http_port}.",
        ),
        (
            "VOXTRAL_SERVER__HOST",
            "192.0.2.1",
            "The address 192.0.2.1 cannot be used: Cannot ",
        ),
        (
            "VOXTRAL_MODEL__DEVICE",
            "tpu",
            "Setting model.device (in VOXTRAL_MODEL__DEVICE) is 'tpu'; allowed: auto, cpu, cuda, cuda:0, cuda:1, ….",
        ),
    ],
)
def test_setting_that_does_not_allow_a_start_is_one_sentence(
    launcher: Launcher, variable: str, value: str, sentence: str
) -> None:
    port = launcher.stack.settings.server.http_port
    launcher.start("worker: python refuse.py x", **{variable: value.format(http_port=port)})
    assert launcher.end() == CANNOT_START
    assert launcher.err.startswith(sentence.format(http_port=port))
    assert launcher.err.count("\n") == 1


def test_full_disk_is_one_sentence(tmp_path: Path) -> None:
    check_disk(tmp_path / "not" / "there" / "yet", needed_bytes=1)
    with pytest.raises(StartupError, match=r"^The disk of .* has \d+ MB free; at least 1000000000000 MB are needed\.$"):
        check_disk(tmp_path, needed_bytes=10**18)
