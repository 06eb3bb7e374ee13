"""What the Compose file opens, and what it hands to the processes."""

from typing import Any

import pytest
import yaml

from shared.config import load_settings
from tests.stack import PROJECT

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "compose/docker-compose.yml").read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if name != "redis"}


def test_ports_are_open_to_this_machine_until_somebody_says_otherwise() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 5
    for port in ports:
        assert port.startswith("${PUBLISH_ON:-127.0.0.1}:")


@pytest.mark.parametrize("name", OURS)
def test_keys_and_hosts_reach_every_process(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = OURS[name]["environment"]
    assert environment["VOXTRAL_ACCESS__KEYS"] is None, "Compose passes the caller's on, and leaves it out otherwise"
    variable, _, default = environment["VOXTRAL_SERVER__HOSTS"].removeprefix("${").removesuffix("}").partition(":-")
    monkeypatch.setenv(variable, default)
    monkeypatch.setenv("VOXTRAL_SERVER__HOST", "0.0.0.0")
    assert load_settings().server.hosts == ("localhost",)
