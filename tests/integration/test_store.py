"""A damaged append-only file of the embedded server: what is said of it, and how it is moved aside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from frontend.cli.checks.check import State
from frontend.cli.checks.service import check_store
from frontend.cli.doctor import repair_store
from shared.bus.append_only_file import APPEND_ONLY, locked
from shared.config.settings import Settings
from shared.entry import CANNOT_START
from shared.errors import StartupError
from tests.integration.launcher import Launcher, launcher_in
from tests.stack import listens, wait_until

REDIS_LINE = "redis: python -m compose.redis"
COMMANDS = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n" + 9 * b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"
DAMAGED = COMMANDS + b"\xff" * 200 + COMMANDS
MANIFEST = "file appendonly.aof.1.incr.aof seq 1 type i\n"


def keep(data_dir: Path, commands: bytes, manifest: str = MANIFEST) -> Settings:
    """An append-only file, as a server has left it."""
    (data_dir / APPEND_ONLY).mkdir(parents=True, exist_ok=True)
    (data_dir / APPEND_ONLY / "appendonly.aof.manifest").write_text(manifest)
    (data_dir / APPEND_ONLY / "appendonly.aof.1.incr.aof").write_bytes(commands)
    return Settings(redis={"data_dir": data_dir})


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    with launcher_in(tmp_path) as launcher:
        yield launcher


@pytest.fixture
def data_dir(launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOXTRAL_CONFIG", str(launcher.stack.config))
    return launcher.stack.settings.redis.data_dir


def test_damaged_file_is_one_sentence_and_the_service_starts_once_it_is_moved_aside(
    launcher: Launcher, data_dir: Path
) -> None:
    keep(data_dir, DAMAGED)
    launcher.start(REDIS_LINE, listeners=False)
    assert launcher.end(60) == CANNOT_START
    sentence = launcher.err.splitlines()[-1]
    assert sentence.startswith(f"The append-only file in {data_dir} (redis.data_dir) cannot be loaded (Bad file format")
    assert "`voxtral doctor --repair-store` moves it aside" in sentence
    assert "restart_in_s" not in launcher.err

    assert f"Moved the damaged append-only file to {data_dir}/{APPEND_ONLY}.damaged-" in repair_store()
    (aside,) = data_dir.glob(f"{APPEND_ONLY}.damaged-*")
    assert (aside / "appendonly.aof.1.incr.aof").read_bytes() == DAMAGED
    launcher.start(REDIS_LINE, listeners=False)
    wait_until(lambda: listens(launcher.stack.settings.redis.port), "the server listens", 40, launcher.check_alive)
    with pytest.raises(StartupError, match="in use by a running server"):
        repair_store()


@pytest.mark.parametrize(
    ("commands", "manifest", "state", "detail"),
    [
        (COMMANDS, MANIFEST, State.OK, "can be loaded"),
        (COMMANDS[:-5], MANIFEST, State.OK, "can be loaded"),
        (DAMAGED, MANIFEST, State.BROKEN, "Bad file format reading the append only file"),
        (COMMANDS, "nonsense\n", State.BROKEN, "Invalid AOF manifest file format"),
        (COMMANDS, MANIFEST.replace(".1.", ".2."), State.BROKEN, "Unable to obtain the AOF file"),
    ],
    ids=["whole", "cut off", "damaged", "manifest damaged", "lost"],
)
def test_doctor_says_whether_the_file_can_be_loaded(
    data_dir: Path, commands: bytes, manifest: str, state: State, detail: str
) -> None:
    check = check_store(keep(data_dir, commands, manifest))
    assert check.state is state
    assert detail in check.detail
    assert ("--repair-store" in check.advice) == (state is State.BROKEN)


def test_whole_file_stays_and_one_in_use_is_left_alone(data_dir: Path) -> None:
    assert check_store(Settings(redis={"data_dir": data_dir})).state is State.ABSENT
    settings = keep(data_dir, COMMANDS)
    assert "nothing was moved" in repair_store()
    with locked(data_dir):
        assert (check_store(settings).state, "in use" in check_store(settings).detail) == (State.ABSENT, True)
        with pytest.raises(StartupError, match="in use"):
            repair_store()


def test_server_elsewhere_is_repaired_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(StartupError, match="an external server"):
        repair_store()
