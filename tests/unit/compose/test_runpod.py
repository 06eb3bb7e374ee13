"""The template for pods of RunPod: the fields of its API, and settings that exist."""

import importlib.util
import json
from pathlib import PurePosixPath
from typing import Any, Final

import jsonschema
import pytest

from frontend.access.key_list import parse_keys
from shared.config.settings import load_settings
from shared.errors import StartupError
from tests.image.build import configuration
from tests.stack import PROJECT

TEMPLATE: Final[dict[str, Any]] = json.loads((PROJECT / "compose/runpod.json").read_text())
SECRET: Final = "{{ RUNPOD_SECRET_voxtral_keys }}"
"""RunPod puts the value of its secret there."""
TEXTS: Final = {"type": "array", "items": {"type": "string"}}
REQUEST: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "imageName"],
    "properties": {
        **{name: {"type": "string"} for name in ("name", "imageName", "containerRegistryAuthId", "readme")},
        **{name: {"type": "integer", "minimum": 0} for name in ("containerDiskInGb", "volumeInGb")},
        **{name: {"type": "boolean"} for name in ("isPublic", "isServerless")},
        **dict.fromkeys(("dockerEntrypoint", "dockerStartCmd"), TEXTS),
        "category": {"enum": ["AMD", "CPU", "NVIDIA"]},
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "ports": {"type": "array", "items": {"type": "string", "pattern": r"^\d+/(http|tcp)$"}},
        "volumeMountPath": {"type": "string", "pattern": "^/"},
    },
}
"""The body of `POST /v1/templates`, by RunPod's reference."""


def test_fields_are_those_of_the_api() -> None:
    jsonschema.validate(TEMPLATE, REQUEST)


def test_command_is_the_one_of_the_image() -> None:
    assert TEMPLATE["dockerStartCmd"] == configuration("cuda").command
    assert importlib.util.find_spec(TEMPLATE["dockerStartCmd"][2]) is not None


def test_settings_are_valid_and_the_ports_are_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (configuration("cuda").env | TEMPLATE["env"]).items():
        if name.startswith("VOXTRAL_"):
            monkeypatch.setenv(name, value)
    settings = load_settings()
    http, tcp = settings.server.http_port, settings.server.tcp_ports
    assert TEMPLATE["ports"] == [f"{http}/http", *(f"{port}/tcp" for port in tcp)]
    assert settings.server.host == "0.0.0.0"
    assert settings.access.needs_key, "the ports are open to the internet"
    assert settings.access.keys is not None
    assert settings.access.keys.get_secret_value() == SECRET
    assert not settings.redis.data_dir.is_relative_to("/workspace"), "a network volume is slow to sync"


def test_a_pod_without_the_secret_does_not_start() -> None:
    with pytest.raises(StartupError, match="is not a list"):
        parse_keys(SECRET, "The setting access.keys")


def test_models_are_on_the_volume() -> None:
    volume = TEMPLATE["volumeMountPath"]
    image = configuration("cuda").env
    for name in ("HF_HOME", "XDG_CACHE_HOME", "TRITON_CACHE_DIR"):
        assert name in image, "the image sets it, too"
        assert PurePosixPath(TEMPLATE["env"][name]).is_relative_to(volume)
