import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import StartupError
from worker.engines.whisper.weights import MARKER, PinnedFile, joined, model_directory


@pytest.fixture
def model(tmp_path: Path) -> PinnedFile:
    first, second = tmp_path / "part1", tmp_path / "part2"
    first.write_bytes(b"a" * 3_000_000)
    second.write_bytes(b"b" * 1_000_000)
    digest = hashlib.sha256(first.read_bytes() + second.read_bytes()).hexdigest()
    return PinnedFile("model.bin", digest, (first, second))


def test_joined_writes_the_parts_in_order(model: PinnedFile, tmp_path: Path) -> None:
    directory = joined([model], tmp_path / "cache")
    assert (directory / "model.bin").read_bytes() == b"a" * 3_000_000 + b"b" * 1_000_000
    assert sorted(path.name for path in directory.iterdir()) == ["model.bin", MARKER]


def test_joined_names_a_damaged_file_and_leaves_nothing(model: PinnedFile, tmp_path: Path) -> None:
    model.parts[1].write_bytes(b"c" * 1_000_000)
    with pytest.raises(StartupError, match=r"model\.bin is damaged"):
        joined([model], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_joined_names_a_missing_part(model: PinnedFile, tmp_path: Path) -> None:
    model.parts[0].unlink()
    with pytest.raises(StartupError, match="part1 is missing"):
        joined([model], tmp_path / "cache")


def test_joined_repairs_a_changed_copy(model: PinnedFile, tmp_path: Path) -> None:
    target = joined([model], tmp_path / "cache") / "model.bin"
    target.write_bytes(b"x" * 4_000_000)
    joined([model], tmp_path / "cache")
    assert target.read_bytes().startswith(b"aaa")


def test_joined_trusts_an_unchanged_copy(model: PinnedFile, tmp_path: Path) -> None:
    joined([model], tmp_path / "cache")
    for part in model.parts:
        part.unlink()
    joined([model], tmp_path / "cache")


def test_joined_survives_a_broken_marker(model: PinnedFile, tmp_path: Path) -> None:
    directory = joined([model], tmp_path / "cache")
    (directory / MARKER).write_text("{")
    joined([model], directory)
    assert (directory / MARKER).read_text() != "{"


def test_joined_by_several_at_once_gives_one_whole_copy(model: PinnedFile, tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        directories = set(pool.map(lambda _: joined([model], tmp_path / "cache"), range(6)))
    [directory] = directories
    assert hashlib.sha256((directory / "model.bin").read_bytes()).hexdigest() == model.sha256
    assert sorted(path.name for path in directory.iterdir()) == ["model.bin", MARKER]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_joined_reports_a_full_disk(model: PinnedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(prefix: str, dir: Path) -> tuple[int, str]:  # noqa: A002
        return os.open("/dev/full", os.O_WRONLY), str(tmp_path / "unfinished")

    monkeypatch.setattr("worker.engines.whisper.weights.tempfile.mkstemp", full)
    with pytest.raises(StartupError, match="No space left on device"):
        joined([model], tmp_path / "cache")


def test_model_directory_takes_a_directory_as_it_is(tmp_path: Path) -> None:
    assert model_directory(str(tmp_path)) == tmp_path


def test_model_directory_rejects_a_missing_path() -> None:
    with pytest.raises(StartupError, match="not a directory"):
        model_directory("/nowhere/model")
