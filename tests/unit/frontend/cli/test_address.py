"""Addresses of the service: from the settings, or as the user names them."""

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from frontend.cli.address import base_url, own_health_url, websocket_url
from frontend.cli.http_get import request_of
from shared.config.settings import CONFIG_PATH_VARIABLE, load_settings


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "config.yaml"
    monkeypatch.setenv(CONFIG_PATH_VARIABLE, str(path))
    load_settings.cache_clear()
    yield path
    load_settings.cache_clear()


@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("10.1.2.3", "10.1.2.3")],
)
def test_addresses_come_from_the_settings(config: Path, host: str, reached: str) -> None:
    config.write_text(f'server: {{host: "{host}", health_port: 9005, tcp_ports: [9765, 9766]}}')

    assert websocket_url(None) == f"ws://{reached}:9765/ws"
    assert base_url(None) == f"http://{reached}:8000"
    assert own_health_url(load_settings()) == f"http://{reached}:9005"


def test_addresses_that_are_named_need_no_settings(config: Path) -> None:
    config.write_text("nonsense: 1")

    assert websocket_url("wss://pod.example/ws") == "wss://pod.example/ws"
    assert base_url("https://pod.example/ws") == "https://pod.example"


@pytest.mark.parametrize("url", ["localhost", "ftp://localhost:8765", "ws://", ""])
def test_other_texts_are_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(click.BadParameter, match="allowed: http://host:port"):
        websocket_url(url)


@pytest.mark.parametrize(
    ("user", "credentials"), [("anna", b"anna:"), ("anna:", b"anna:"), ("anna:s%40:t", b"anna:s@:t"), ("", b":")]
)
def test_user_of_an_address_is_sent_with_a_colon_even_without_a_password(user: str, credentials: bytes) -> None:
    request = request_of(f"http://{user}@voice.example/status")

    assert request.full_url == "http://voice.example/status"
    assert b64decode(str(request.get_header("Authorization")).removeprefix("Basic ")) == credentials
