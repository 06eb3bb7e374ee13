"""The directory of the append-only file: one server at a time, private, and moved aside as a whole."""

import os
from pathlib import Path

import pytest

from shared.bus.append_only_file import APPEND_ONLY, damage, lock, locked, move_aside
from shared.config.sections import RedisSettings
from shared.errors import StartupError


def test_directory_is_private_and_has_one_server(tmp_path: Path) -> None:
    directory = tmp_path / "redis"
    with locked(directory):
        assert directory.stat().st_mode & 0o777 == 0o700
        with pytest.raises(StartupError, match=r"\(redis\.data_dir\) is in use by a running server"):
            lock(directory)
    os.close(lock(directory))


def test_half_written_files_of_a_killed_server_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "temp-rewriteaof-7.aof").touch()
    (tmp_path / "other.aof").touch()
    with locked(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "other.aof"]


def test_directory_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"file/redis \(redis\.data_dir\) cannot be used: Not a directory"):
        lock(tmp_path / "file" / "redis")


def test_file_that_does_not_exist_is_not_damaged(tmp_path: Path) -> None:
    assert damage(RedisSettings(data_dir=tmp_path), Path("no-such-server")) is None


def test_file_is_moved_aside_with_all_its_parts(tmp_path: Path) -> None:
    (tmp_path / APPEND_ONLY).mkdir()
    (tmp_path / APPEND_ONLY / "part").write_text("commands")
    aside = move_aside(tmp_path)
    assert aside.parent == tmp_path
    assert aside.name.startswith(f"{APPEND_ONLY}.damaged-")
    assert (aside / "part").read_text() == "commands"
    assert not (tmp_path / APPEND_ONLY).exists()
