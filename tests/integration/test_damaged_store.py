"""Whether a server can load its append-only file, by what a server writes to its log."""

from pathlib import Path

import pytest

from shared.bus.append_only_file import APPEND_ONLY, LOADED, damage
from shared.config.sections import RedisSettings

BEGIN = "1:M 01 Jan 2027 10:00:00.000 * Server initialized"
BAD = "1:M 01 Jan 2027 10:00:00.001 # Bad file format reading the append only file: make a backup of your AOF file"


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        ([BEGIN, f"1:M 01 Jan 2027 10:00:00.001 * {LOADED} unix"], 0, None),
        ([BEGIN], 0, None),
        ([BEGIN, BAD], 1, "Bad file format reading the append only file"),
        ([BEGIN, BAD, "1:M 01 Jan 2027 10:00:00.002 * Bye"], 1, "Bad file format reading the append only file"),
        ([BEGIN], 1, "Server initialized"),
        (["Segmentation fault"], 1, "the server does not say why"),
    ],
)
def test_damage_is_read_from_the_log(tmp_path: Path, lines: list[str], status: int, reason: str | None) -> None:
    (tmp_path / APPEND_ONLY).mkdir()
    binary = tmp_path / "server"
    binary.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines) + f"exit {status}\n")
    binary.chmod(0o700)
    found = damage(RedisSettings(data_dir=tmp_path), binary)
    expected = f"The append-only file in {tmp_path} (redis.data_dir) cannot be loaded ({reason})."
    assert found == (None if reason is None else expected)
