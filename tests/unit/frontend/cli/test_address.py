"""Addresses of the service: from the settings, or as the user names them."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from frontend.cli.address import health_url, websocket_url
from shared.config import CONFIG_PATH_VARIABLE, load_settings


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

    assert websocket_url(None) == f"ws://{reached}:9765"
    assert health_url(None) == f"http://{reached}:9005"


def test_addresses_that_are_named_need_no_settings(config: Path) -> None:
    config.write_text("nonsense: 1")

    assert websocket_url("wss://pod.example/ws") == "wss://pod.example/ws"
    assert health_url("https://pod.example/health/") == "https://pod.example/health"


@pytest.mark.parametrize("url", ["localhost:8765", "http://localhost:8765", "ws://", ""])
def test_websocket_url_refuses_other_addresses(url: str) -> None:
    with pytest.raises(click.BadParameter, match="ws://host:port"):
        websocket_url(url)
