"""The Hub's client against a Hub of our own on loopback."""

import errno
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants, file_download

from shared.errors import StartupError
from tests.stack import free_ports, wait_until
from worker.engines.loading import huggingface as hub
from worker.engines.loading.huggingface import NotDownloadedError, cache_folder, cached_snapshot, downloaded_snapshot
from worker.progress import STARTING, Phase

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {name: name.encode() * 9 for name in ("config.json", "model.safetensors", "consolidated.safetensors", "a.md")}
REFUSALS = {"owner/unknown": (404, "RepoNotFound"), "owner/gated": (403, "GatedRepo"), "owner/broken": (400, "")}


class Hub(BaseHTTPRequestHandler):
    """Speaks as much of the Hub's protocol as a download needs, for the repository `owner/model`."""

    asked: list[str]
    slow: threading.Event | None = None
    """Until it is set, half of each file is sent."""

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
            half = len(body) // 2
            self.wfile.write(body[:half])
            if self.slow is not None and "/resolve/" in self.path:
                self.slow.wait()
            self.wfile.write(body[half:])

    def log_message(self, *args: object) -> None:
        """Tests read no access log."""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A running Hub and an empty cache; the paths that the Hub was asked for."""
    handler = type("Handler", (Hub,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    for name in hub.PLACING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hub, "WORKSPACE", tmp_path / "workspace")
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
        ("owner/unknown", "does not have or does not show without a token"),
        ("owner/gated", "accept them at .*/owner/gated and set HF_TOKEN"),
        ("owner/broken", "could not be downloaded from"),
        ("no name at all", "which is not a repository's name"),
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


def test_download_says_how_far_it_is(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of every file has come; what was there before is not counted."""
    downloaded_snapshot("owner/model", ["config.json"])
    released = threading.Event()
    weights = bytes(1_000_000)
    monkeypatch.setitem(FILES, "model.safetensors", weights)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    monkeypatch.setattr(Hub, "slow", released)
    download = threading.Thread(target=downloaded_snapshot, args=("owner/model",))
    download.start()

    def half_done() -> bool:
        progress = STARTING.progress
        return progress is not None and progress.phase is Phase.DOWNLOAD and progress.done >= len(weights) // 3

    try:
        wait_until(half_done, "a third has come")
        progress = STARTING.progress
        assert progress is not None
        assert (progress.model, progress.total) == ("owner/model", len(weights))
        assert progress.done <= len(weights) // 2
        assert str(progress).startswith("is downloading owner/model: 0.00 of 0.00 GB")
    finally:
        released.set()
        download.join()
    assert STARTING.progress is not None
    assert STARTING.progress.phase is Phase.LOAD


def test_disk_without_room_is_told_before_the_download(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda place: SimpleNamespace(free=100))
    with pytest.raises(StartupError, match=r"download of .* GB, but the disk of .* has 0\.00 GB free; free some"):
        downloaded_snapshot("owner/model")
    assert cached_snapshot("owner/model") is None


def test_cache_lies_on_the_workspace_unless_a_variable_places_it(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == tmp_path / "cache"
    hub.WORKSPACE.mkdir()
    assert cache_folder() == hub.WORKSPACE / ".cache/huggingface/hub"
    directory = downloaded_snapshot("owner/model")
    assert directory.is_relative_to(hub.WORKSPACE)
    assert cached_snapshot("owner/model") == directory
    monkeypatch.setenv("HF_HOME", "/elsewhere")
    assert cache_folder() == tmp_path / "cache"


def test_check_downloads_nothing(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.downloads, "forbidden", True)
    with pytest.raises(NotDownloadedError, match=r"owner/model is not downloaded yet; `make run` downloads it into "):
        downloaded_snapshot("owner/model")
    assert asked == []


def test_check_names_the_setting_and_knows_that_downloads_can_be_forbidden(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.downloads, "forbidden", True)
    with pytest.raises(NotDownloadedError, match=r"^Setting model\.path is 'a/b': a/b is not downloaded yet"):
        downloaded_snapshot("a/b", named="Setting model.path is 'a/b'")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StartupError, match=r"HF_HUB_OFFLINE forbids a download") as raised:
        downloaded_snapshot("owner/model")
    assert not isinstance(raised.value, NotDownloadedError)
    assert asked == []


@pytest.mark.parametrize("name", ["models/small/int8", "whisper-small", "two words/model"])
@pytest.mark.parametrize("way", ["check", "offline", "download"])
def test_invalid_repository_name_is_reported(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, name: str, way: str
) -> None:
    """Nothing can be downloaded under such a name: usually it is a directory that does not exist."""
    monkeypatch.setattr(hub.downloads, "forbidden", way == "check")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", way == "offline")
    with pytest.raises(StartupError, match=r", which is not a repository's name; allowed: owner/name") as raised:
        downloaded_snapshot(name, named=f"Setting model.path is {name!r}")
    assert not isinstance(raised.value, NotDownloadedError)
    assert asked == []


def test_model_without_connection_is_named_with_what_to_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository of a short name is nowhere else in the message."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    command = r"`hf download owner/model --local-dir DIRECTORY` makes on a machine with a connection\.$"
    with pytest.raises(
        StartupError, match=rf"set model\.path to a directory with a copy of owner/model, which {command}"
    ):
        downloaded_snapshot("owner/model", named="Setting model.name is 'whisper-small'")
