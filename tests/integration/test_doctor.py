"""The doctor's single checks, on real sockets, files and processes."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from frontend.cli.checks import machine as machine_checks
from frontend.cli.checks.check import State
from frontend.cli.checks.machine import check_disk, check_gpu, check_log, check_model, check_python
from frontend.cli.checks.service import check_embedded_server, check_keys, check_ports, check_redis, check_webhooks
from shared.config.settings import Settings
from shared.webhooks.signing import encoded
from tests.keys import KeyList
from tests.stack import Stack, free_ports


@pytest.fixture
def stranger() -> Iterator[int]:
    """A port on which another program listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def on_free_ports(**overrides: dict) -> Settings:
    web, health, websocket, tcp, flower, redis = free_ports(6)
    sections = {
        "server": {"http_port": web, "health_port": health, "tcp_ports": (websocket, tcp)},
        "flower": {"port": flower},
        "redis": {"port": redis},
    }
    for section, values in overrides.items():
        sections.setdefault(section, {}).update(values)
    return Settings(**sections)


def test_check_python_is_content_with_the_python_of_the_tests() -> None:
    assert check_python().state is State.OK


def test_check_keys_counts_them(tmp_path: Path) -> None:
    keys = KeyList(tmp_path / "keys.yaml")
    settings = Settings(server={"host": "0.0.0.0"}, access={"keys_file": keys.path})
    keys.write("[]")
    assert (check_keys(settings).state, "no client is admitted" in check_keys(settings).detail) == (State.WARNING, True)
    for name, detail in (("anna", "on: 1 key"), ("bert", "on: 2 keys")):
        keys.add(name)
        keys.write()
        assert (check_keys(settings).state, check_keys(settings).detail) == (State.OK, detail)
    for named, state in (({}, State.WARNING), ({"twilio": "nobody"}, State.WARNING), ({"twilio": "anna"}, State.OK)):
        access = {"keys_file": keys.path, "protocol_keys": named}
        found = check_keys(Settings(server={"protocols": ["openai", "twilio"]}, access=access))
        assert (found.state, "all clients of twilio are rejected" in found.detail) == (state, state is State.WARNING)
    keys.write("- anna")
    assert check_keys(settings).state is State.BROKEN
    assert "line 3 is not a key" in check_keys(settings).detail


def test_check_webhooks_finds_what_would_stop_the_start(tmp_path: Path) -> None:
    assert check_webhooks(Settings()).state is State.ABSENT
    secret = {"enabled": True, "secret": encoded(bytes(32))}
    assert check_webhooks(Settings(webhooks=secret)).state is State.OK
    assert "There is no secret" in check_webhooks(Settings(webhooks={"enabled": True})).detail
    keys = KeyList(tmp_path / "keys.yaml")
    keys.add("anna", webhook="https://127.0.0.1/")
    keys.write()
    private = check_webhooks(Settings(webhooks=secret, access={"keys_file": str(keys.path)}))
    assert (private.state, "not public" in private.detail) == (State.BROKEN, True)


def test_check_keys_warns_where_the_service_is_open_without_any() -> None:
    assert check_keys(Settings()).state is State.ABSENT
    check = check_keys(Settings(server={"host": "0.0.0.0"}))
    assert check.state is State.WARNING
    assert "0.0.0.0" in check.detail
    assert "voxtral keys new" in check.advice


def test_check_ports_finds_free_ports() -> None:
    (wyoming,) = free_ports(1)
    checks = list(check_ports(on_free_ports(server={"protocols": ["wyoming"]}, wyoming={"port": wyoming})))

    assert len(checks) == 6
    assert all(check.state is State.OK and check.detail.endswith("is free") for check in checks)


@pytest.mark.parametrize("name", ["http_port", "health_port"])
def test_check_ports_names_the_setting_of_a_port_in_use(stranger: int, name: str, monkeypatch) -> None:
    monkeypatch.setattr("frontend.cli.checks.service.PROBE_TIMEOUT_S", 0.2)

    broken = [check for check in check_ports(on_free_ports(server={name: stranger})) if check.state is State.BROKEN]

    assert len(broken) == 1
    assert str(stranger) in broken[0].detail
    assert f"server.{name}" in broken[0].advice


@pytest.mark.parametrize(
    ("section", "name", "both"),
    [("server", "health_port", "server.health_port and flower.port"), ("redis", "port", "flower.port and redis.port")],
)
def test_check_ports_finds_a_port_that_two_settings_name(section: str, name: str, both: str) -> None:
    (port,) = free_ports(1)
    settings = on_free_ports(**{section: {name: port}} | {"flower": {"port": port}})

    broken = [check.detail for check in check_ports(settings) if check.state is State.BROKEN]

    assert broken == [f"Settings {both} both name port {port}"]


@pytest.mark.parametrize(
    ("host", "reason"),
    [("192.0.2.1", "Cannot assign requested address"), ("host.invalid", "Name or service not known")],
)
def test_check_ports_says_when_the_host_is_not_of_this_machine(host: str, reason: str) -> None:
    checks = list(check_ports(on_free_ports(server={"host": host})))

    broken = [check for check in checks if check.state is State.BROKEN]
    assert len(broken) == 4  # Flower stays on loopback without a password
    assert all(check.detail.endswith(f" cannot be opened on {host}: {reason}") for check in broken)
    assert {check.advice for check in broken} == {"Change server.host."}


def test_check_redis_takes_an_embedded_server_that_is_off_for_no_fault() -> None:
    check = check_redis(on_free_ports())

    assert check.state is State.ABSENT
    assert "voxtral serve" in check.advice


def test_check_redis_hides_the_password_of_a_server_that_is_not_there() -> None:
    (port,) = free_ports(1)

    check = check_redis(on_free_ports(redis={"url": f"redis://me:secret@127.0.0.1:{port}/0"}))

    assert check.state is State.BROKEN
    assert "secret" not in f"{check.detail}{check.advice}"
    assert str(port) in check.detail


def test_check_redis_compares_its_clock_with_that_of_this_machine(
    server: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_redis(server.settings).state is State.OK
    clock = time.time
    for ahead_s in (5.0, -5.0):
        monkeypatch.setattr(time, "time", lambda ahead_s=ahead_s: clock() + ahead_s)
        check = check_redis(server.settings)
        assert check.state is State.WARNING
        assert "s from that of this machine" in check.detail
        assert "NTP" in check.advice


def test_check_redis_sees_that_another_program_answers() -> None:
    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        web_server = threading.Thread(target=answer)
        web_server.start()
        check = check_redis(on_free_ports(redis={"url": f"redis://127.0.0.1:{server.getsockname()[1]}/0"}))
        web_server.join()

    assert check.state is State.BROKEN


def test_check_embedded_server_finds_the_packaged_binary() -> None:
    check = check_embedded_server(on_free_ports())

    assert check.state is State.OK
    assert Path(check.detail).is_file()


def test_check_embedded_server_names_a_setting_that_is_no_program(tmp_path: Path) -> None:
    check = check_embedded_server(on_free_ports(redis={"binary": tmp_path / "nothing"}))

    assert check.state is State.BROKEN
    assert "redis.binary" in check.detail


def test_check_embedded_server_is_not_needed_beside_a_named_one() -> None:
    check = check_embedded_server(on_free_ports(redis={"url": "redis://127.0.0.1/0"}))

    assert check.state is State.ABSENT


def test_check_gpu_is_needed_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert check_gpu(Settings()).state is State.ABSENT
    assert check_gpu(Settings(model={"device": "cuda"})).state is State.BROKEN


def test_check_gpu_shows_what_the_driver_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771 MiB, 570.1'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(machine_checks, "installed_torch", lambda: None)

    check = check_gpu(Settings())

    assert (check.state, check.detail) == (State.OK, "NVIDIA H200, 143771 MiB, 570.1")


def test_check_disk_looks_where_the_service_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(redis={"data_dir": tmp_path / "not" / "yet"})

    assert check_disk(settings).state is State.OK
    monkeypatch.setattr(machine_checks, "MIN_FREE_BYTES", 10**18)
    assert check_disk(settings).state is State.BROKEN


def test_check_log_names_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("")

    assert check_log(Settings(logs={"dir": tmp_path / "fine"})).state is State.OK
    assert not (tmp_path / "fine").exists(), "the service may run as another user"
    assert check_log(Settings(logs={"dir": tmp_path / "logs"})).state is State.BROKEN


@pytest.mark.parametrize(
    ("script", "states"),
    [
        ('echo \'{"check": "Model", "ok": true, "detail": "warm"}\'', [State.OK]),
        ('echo chatter; echo \'{"check": "Model", "ok": null, "detail": "not needed"}\'', [State.ABSENT]),
        ('echo \'{"check": "Model", "ok": false, "detail": "d", "advice": "a"}\'; exit 1', [State.BROKEN]),
        ("echo 'ImportError: no model library' >&2; exit 1", [State.BROKEN]),
        ("exit 0", [State.BROKEN]),
    ],
)
def test_check_model_reads_the_report_of_its_process(
    script: str, states: list[State], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))

    assert [check.state for check in check_model(on_free_ports())] == states


def test_check_model_names_the_exception_of_a_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CUDA's messages have further lines."""
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\ncat >&2 <<'END'\nTraceback (most recent call last):\n  File \"x.py\", line 1, in <module>\n"
        "    run()\n"
        "torch.AcceleratorError: CUDA error: no kernel image is available\nSearch for `cudaErrorNoKernelImage'.\n\n"
        "Compile with `TORCH_USE_CUDA_DSA`.\nEND\nexit 1\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))

    [check] = check_model(on_free_ports())

    assert check.detail == "cannot be checked: torch.AcceleratorError: CUDA error: no kernel image is available"
