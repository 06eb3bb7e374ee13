"""The Compose files as Docker's own Compose resolves them; it needs no daemon for that."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from compose.redis import _options
from frontend.access.hosts import Hosts
from shared.config.sections import RedisSettings, ServerSettings
from shared.config.settings import Settings, load_settings
from tests.image.build import read_stages
from tests.stack import PROJECT

PROGRAM: Final = Path(sys.executable).parent / "docker-compose"
FOLDER: Final = PROJECT / "compose"
OURS: Final = {"websocket", "tcp", "web", "health", "worker", "webhooks", "flower"}
KEYS: Final = "VOXTRAL_ACCESS__KEYS_FILE"


def run(*files: str, folder: Path = FOLDER, **variables: str) -> "subprocess.CompletedProcess[str]":
    options = [part for file in files for part in ("--file", str(folder / file))]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    command = [PROGRAM, *options, "--profile", "flower", "--profile", "webhooks", "config", "--format", "json"]
    return subprocess.run(command, env=environment, capture_output=True, check=False, text=True)


def resolved(*overrides: str, folder: Path = FOLDER, **variables: str) -> dict[str, Any]:
    """The services of the file with overrides. A warning of Compose is a failure."""
    files = ("docker-compose.yml", *(f"docker-compose.{name}.yml" for name in overrides))
    done = run(*files, folder=folder, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    assert services.keys() == OURS | {"redis"}
    return services


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return resolved()


@pytest.mark.parametrize("overrides", [(), ("cuda",), ("keys",), ("cuda", "keys")], ids="+".join)
def test_every_combination_is_valid_and_has_least_privilege(overrides: tuple[str, ...]) -> None:
    services = resolved(*overrides)
    for name in OURS:
        service = services[name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["depends_on"]["redis"]["condition"] == "service_healthy"
        assert service["init"]
        assert service["build"]["target"] in read_stages()


def test_an_unknown_key_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("services: {worker: {restrat: always}}\n")
    done = run("docker-compose.yml", str(tmp_path / "bad.yml"))
    assert done.returncode != 0
    assert "restrat" in done.stderr


def test_ports_are_the_settings_and_open_to_this_machine_only(services: dict[str, Any]) -> None:
    settings = Settings()
    expected = {
        "websocket": settings.websocket_port,
        "tcp": settings.tcp_port,
        "web": settings.server.http_port,
        "health": settings.server.health_port,
        "flower": settings.flower.port,
    }
    for name, port in expected.items():
        [published] = services[name]["ports"]
        assert (published["host_ip"], published["published"], published["target"]) == ("127.0.0.1", str(port), port)
    assert {name for name, service in services.items() if "ports" in service} == expected.keys()
    opened = resolved(PUBLISH_ON="0.0.0.0")
    assert {opened[name]["ports"][0]["host_ip"] for name in expected} == {"0.0.0.0"}


@pytest.mark.parametrize("name", sorted(OURS - {"health"}))
def test_health_checks_tell_whether_the_process_works(services: dict[str, Any], name: str) -> None:
    test = services[name]["healthcheck"]["test"]
    if "ports" not in services[name]:
        assert test == ["CMD", "python", "-m", "compose.healthcheck", name]
        return
    assert test[:3] == ["CMD", "python", "-c"]
    assert test[4:] == [str(services[name]["ports"][0]["target"])]
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, *test[2:4], str(server.getsockname()[1])]
        assert subprocess.run(command, check=False).returncode == 0
    failed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert failed.returncode != 0
    assert "Connection refused" in failed.stderr.splitlines()[-1]


def test_the_health_check_of_the_health_process_is_that_of_the_image(services: dict[str, Any]) -> None:
    assert "healthcheck" not in services["health"], "it asks /ready"


def test_variables_are_settings(services: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXTRAL_SERVER__HOST", "0.0.0.0")
    for name in sorted(OURS - {"health"}):
        environment = services[name]["environment"]
        assert environment["VOXTRAL_ACCESS__KEYS"] is None, "without it no key is required"
        for variable, value in environment.items():
            if value:  # an empty one is unset
                monkeypatch.setenv(variable, value)
    settings = load_settings()
    assert settings.server.hosts == ("localhost",)
    assert settings.redis_address == "redis://redis:6379/0"


def test_any_setting_can_be_in_the_file_of_variables(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "docker-compose.yml", tmp_path)
    lines = ('VOXTRAL_SERVER__HOSTS=["voice.example", "health"]', "VOXTRAL_MODEL__NAME=whisper-small", "HF_TOKEN=hf_")
    (tmp_path / ".env").write_text("\n".join((*lines, "PUBLISH_ON=0.0.0.0")))
    services = resolved(folder=tmp_path)
    for name in OURS:
        environment = services[name]["environment"]
        assert environment.items() >= dict(line.split("=") for line in lines).items()
        assert environment["REDIS_URL"] == "redis://redis:6379/0"
    assert services["web"]["ports"][0]["host_ip"] == "0.0.0.0"


def test_prometheus_may_ask_the_health_process_by_its_name(services: dict[str, Any]) -> None:
    names = json.loads(services["health"]["environment"]["VOXTRAL_SERVER__HOSTS"])
    Hosts(Settings(server=ServerSettings(host="0.0.0.0", hosts=names))).check(["health:8005", "localhost:8005"])
    documented = re.findall(r"^VOXTRAL_SERVER__HOSTS=(.*)$", (PROJECT / "docs" / "deployment.md").read_text(), re.M)
    assert ["health" in json.loads(names) for names in documented] == [True]


def test_keys_are_a_secret_of_the_processes_that_read_them(tmp_path: Path) -> None:
    services = resolved("keys", KEYS_FILE=str(tmp_path / "list.yaml"))
    for name in ("websocket", "tcp", "web", "health"):
        assert services[name]["environment"][KEYS] == "/run/secrets/keys"
        assert [secret["source"] for secret in services[name]["secrets"]] == ["keys"]
    for name in ("worker", "webhooks", "flower", "redis"):
        assert "secrets" not in services[name]
        assert KEYS not in services[name].get("environment", {})


def test_only_the_worker_gets_a_gpu() -> None:
    services = resolved("cuda")
    with_gpu = {
        name for name, one in services.items() if one.get("deploy", {}).get("resources", {}).get("reservations")
    }
    assert with_gpu == {"worker"}
    assert services["worker"]["build"]["target"] == "cuda"
    assert services["worker"]["image"] != services["web"]["image"]


def test_compiled_code_is_kept_on_a_volume() -> None:
    worker = resolved("cuda")["worker"]
    folders = [volume["target"] for volume in worker["volumes"] if volume["type"] == "volume"]
    for variable in ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
        cache = Path(worker["environment"][variable])
        assert any(cache.is_relative_to(folder) for folder in folders), "Docker mounts tmpfs noexec"


def test_the_worker_may_drain_and_keeps_its_models(services: dict[str, Any]) -> None:
    worker = services["worker"]
    assert float(worker["stop_grace_period"].removesuffix("s")) > Settings().session.drain_timeout_s
    [volume] = worker["volumes"]
    assert (volume["source"], volume["target"]) == ("models", "/data/models")


def test_recordings_of_clients_are_on_disk(services: dict[str, Any]) -> None:
    assert [(volume["type"], volume["target"]) for volume in services["web"]["volumes"]] == [("volume", "/tmp")]
    for name in OURS:
        folders = {folder.partition(":")[0] for folder in services[name]["tmpfs"]}
        folders |= {volume["target"] for volume in services[name].get("volumes", ())}
        assert folders >= {"/tmp", "/data"}, "all else is read-only"
    assert "/tmp" not in services["web"]["tmpfs"]


def test_redis_has_the_options_of_the_embedded_server() -> None:
    lines = (FOLDER / "redis.conf").read_text().splitlines()
    written = [line.partition(" ")[::2] for line in lines if not line.startswith("#")]
    embedded = _options(RedisSettings())
    own = dict(zip(embedded[::2], embedded[1::2], strict=True))
    there = {f"--{name}": value.strip('"') for name, value in written}
    ours = {"--bind", "--dir", "--port", "--protected-mode", "--loglevel", "--logfile"}
    assert {name: there.get(name) for name in own.keys() - ours} == {name: own[name] for name in own.keys() - ours}
    assert there.keys() - ours <= own.keys()
