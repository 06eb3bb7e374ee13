"""The Hub's client against a Hub of our own on loopback."""

import errno
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download

from shared.errors import StartupError
from tests.stack import free_ports
from worker.engines.hub import cached_snapshot, downloaded_snapshot

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {name: name.encode() * 9 for name in ("config.json", "model.safetensors", "consolidated.safetensors", "a.md")}
REFUSALS = {"owner/unknown": (404, "RepoNotFound"), "owner/gated": (403, "GatedRepo"), "owner/broken": (400, "")}


class Hub(BaseHTTPRequestHandler):
    """Speaks as much of the Hub's protocol as a download needs, for the repository `owner/model`."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        for repository, (status, code) in REFUSALS.items():
            if f"/{repository}/" in self.path:
                self._answer(status, b"{}", {"X-Error-Code": code})
                return
        if "/revision/" in self.path:
            self._answer(200, json.dumps({"id": "owner/model", "sha": COMMIT}).encode())
        elif "/tree/" in self.path:
            entries = [
                {"type": "file", "path": name, "size": len(text), "oid": f"{index:040x}"}
                for index, (name, text) in enumerate(FILES.items())
            ]
            self._answer(200, json.dumps(entries).encode())
        else:
            name = self.path.rpartition("/")[2]
            self._answer(200, FILES[name], {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Tests read no access log."""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A running Hub and an empty cache; the paths that the Hub was asked for."""
    handler = type("Handler", (Hub,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield handler.asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_snapshot_holds_what_is_needed(asked: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cached_snapshot("owner/model") is None
    assert asked == []
    directory = downloaded_snapshot("owner/model")
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "model.safetensors"]
    assert (directory / "config.json").read_bytes() == FILES["config.json"]
    count = len(asked)
    assert cached_snapshot("owner/model") == directory
    assert len(asked) == count
    assert "it/s" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("repository", "words"),
    [
        ("owner/unknown", "does not have or shows only to its members"),
        ("owner/gated", "accept the terms at .*/owner/gated and set HF_TOKEN"),
        ("owner/broken", "could not be downloaded from"),
        ("no name at all", "which is no name of a repository"),
    ],
)
def test_refusal_is_one_sentence(repository: str, words: str, asked: list[str]) -> None:
    with pytest.raises(StartupError, match=words) as caught:
        downloaded_snapshot(repository)
    assert str(caught.value).startswith(f"Setting model.name is '{repository}'")
    assert "\n" not in str(caught.value)


def test_unreachable_hub_is_told(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(StartupError, match=r"could not be downloaded from http.*check the connection.*model\.path"):
        downloaded_snapshot("owner/model")


def test_offline_mode_is_respected(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StartupError, match="HF_HUB_OFFLINE forbids a download"):
        downloaded_snapshot("owner/model")
    assert asked == []


def test_full_disk_is_told(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_download, "http_get", full)
    with pytest.raises(StartupError, match=r"cache .* is full; free some space, set HF_HOME"):
        downloaded_snapshot("owner/model")
