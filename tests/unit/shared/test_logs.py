"""The log: what is on a line, what never is, and that it stays small and harmless."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from shared.config.settings import Settings, load_settings
from shared.entry import CANNOT_START, run_process
from shared.errors import StartupError
from shared.log_lines import LINES_PER_WINDOW, RateLimiter
from shared.logs import FILE_NAME, bind_session, configure_logging

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Lines]:
    """Logging as a process has it; gives what the file holds."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, structlog.get_config())
    configure_logging(Settings(logs={"dir": tmp_path}), "tester")
    yield lambda: [json.loads(line) for line in (tmp_path / FILE_NAME).read_text().splitlines()]
    structlog.contextvars.clear_contextvars()
    for handler in [handler for handler in root.handlers if handler not in before[0]]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(before[1])
    structlog.configure(**before[2])
    logging.captureWarnings(False)


def test_line_names_process_session_and_event(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    bind_session("s-1")
    structlog.get_logger("unit").info("session_opened", mode="transcribe")
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("pid") > 0
    assert line == {
        **{"level": "info", "process": "tester", "logger": "unit", "event": "session_opened"},
        **{"mode": "transcribe", "session_id": "s-1"},
    }


def test_console_line_is_readable_and_plain_where_there_is_no_terminal(
    lines: Lines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    configure_logging(Settings(logs={"dir": tmp_path}), "tester")
    structlog.get_logger().warning("model_slow", took_s=2)
    assert "[warning  ] model_slow                     took_s=2\n" in capsys.readouterr().err


def test_libraries_go_the_same_way_and_are_quiet(lines: Lines) -> None:
    logging.getLogger("uvicorn.error").warning("port %d closed", 7)
    logging.getLogger("celery.worker").info("chatter")
    assert [(line["event"], line["logger"]) for line in lines()] == [("port 7 closed", "uvicorn.error")]


def test_secrets_are_masked(lines: Lines) -> None:
    structlog.get_logger().info(
        "connecting to redis://me:sesame@host/0",
        **{"api_key": "sesame", "basic_auth": "sesame", "options": {"Token": "sesame", "urls": ["x://:1@sesame@y"]}},
        tokens=12,
    )
    (line,) = lines()
    assert "sesame" not in json.dumps(line)
    assert (line["event"], line["tokens"]) == ("connecting to redis://********@host/0", 12)


def test_secrets_are_masked_in_tracebacks(lines: Lines) -> None:
    try:
        raise ValueError("redis://:sesame@host")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines()
    assert "sesame" not in json.dumps(line)
    assert line["exception"].endswith("ValueError: redis://********@host")


def test_long_deep_and_hostile_values_are_cut(lines: Lines) -> None:
    deep: dict[str, Any] = {}
    deep["again"] = deep
    structlog.get_logger().info(
        "got", text="x" * 10**6, many=list(range(10**5)), raw=b"\0" * 10**6, deep=deep, odd="\ud800\x1b[2J\n"
    )
    (line,) = lines()
    assert len(json.dumps(line)) < 3000
    assert line["odd"] == "\ud800\\x1b[2J\\n"


def test_noisy_session_is_held_back_alone(lines: Lines, tmp_path: Path) -> None:
    log = structlog.get_logger()
    for _ in range(1000):
        log.warning("bad_frame", session_id="noisy")
    log.warning("bad_frame", session_id="calm")
    log.error("our_fault", session_id="noisy")
    configure_logging(
        Settings(logs={"dir": tmp_path}), "tester"
    )  # closes the previous handlers, as a process's end does
    written = [(line["event"], line["session_id"]) for line in lines()]
    assert written.count(("bad_frame", "noisy")) == LINES_PER_WINDOW
    assert written[-3:] == [
        *(("bad_frame", "calm"), ("our_fault", "noisy")),
        (f"{1000 - LINES_PER_WINDOW} lines suppressed: bad_frame", "noisy"),
    ]


def test_errors_are_suppressed_by_their_cause_and_for_all_sessions(lines: Lines, tmp_path: Path) -> None:
    log = structlog.get_logger()
    for number in range(LINES_PER_WINDOW + 5):
        try:
            raise ValueError(number)
        except ValueError as error:
            log.error("internal_error", session_id=f"s-{number}", incident=number, exc_info=error)
    log.error("internal_error", exc_info=KeyError("another fault"))
    log.error("disk_full")
    for _ in range(LINES_PER_WINDOW + 5):
        log.critical("thread_failed")
    configure_logging(Settings(logs={"dir": tmp_path}), "tester")  # the window ends, and tells
    events = [line["event"] for line in lines()]
    assert events.count("internal_error") == LINES_PER_WINDOW + 1
    assert events.count("disk_full") == 1
    assert events.count("thread_failed") == LINES_PER_WINDOW + 5
    (told,) = (line for line in lines() if "suppressed" in line["event"])
    assert told["event"].startswith("5 lines suppressed: internal_error (ValueError at ")
    assert "session_id" not in told


def test_errors_of_libraries_are_suppressed(lines: Lines) -> None:
    for number in range(LINES_PER_WINDOW + 5):
        logging.getLogger("uvicorn.error").error("Exception in ASGI application %d", number)
    assert len(lines()) == LINES_PER_WINDOW


def test_rate_limiter_tells_once_per_window_what_it_held_back() -> None:
    limiter = RateLimiter(lines=2, window_s=10)
    assert limiter.turn_window(0) == {}
    assert [limiter.admits(("a",)) for _ in range(5)] == [True, True, False, False, False]
    assert limiter.admits(("b",))
    assert limiter.turn_window(9.9) == {}
    assert limiter.turn_window(10) == {("a",): 3}
    assert limiter.admits(("a",))
    assert limiter.turn_window(20) == {}


def test_rate_limiter_keeps_a_bounded_number_of_kinds() -> None:
    limiter = RateLimiter(lines=1)
    assert sum(limiter.admits((str(number),)) for number in range(20_000)) < 6000


def test_file_is_rotated(tmp_path: Path, lines: Lines) -> None:
    configure_logging(Settings(logs={"dir": tmp_path, "max_file_bytes": 65536, "files": 2}), "tester")
    log = structlog.get_logger()
    for number in range(600):
        log.critical("line", number=number, text="x" * 480)
    kept = sorted(path.name for path in tmp_path.glob(f"{FILE_NAME}*"))
    assert kept == [FILE_NAME, f"{FILE_NAME}.1", f"{FILE_NAME}.2"]
    assert all((tmp_path / name).stat().st_size <= 65536 + 1000 for name in kept)


def test_log_directory_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"^The log file .* \(logs\.dir\) cannot be written: Not a directory\.$"):
        configure_logging(Settings(logs={"dir": tmp_path / "file" / "logs"}), "tester")


def test_full_disk_costs_lines_and_is_said_once(
    tmp_path: Path, lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).symlink_to("/dev/full")
    configure_logging(Settings(logs={"dir": tmp_path}), "tester")
    for number in range(3):
        structlog.get_logger().info("alive", number=number)
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1
    assert said.count("alive") == 3


@pytest.fixture
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines) -> None:
    monkeypatch.setattr("shared.entry.load_settings", lambda: Settings(logs={"dir": tmp_path}))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)


@pytest.mark.usefixtures("_settings")
def test_run_process_turns_a_refusal_into_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(settings: Settings) -> None:
        raise ExceptionGroup("tasks", [StartupError("Port 1 is in use.")])

    assert run_process(refuse, "tester") == CANNOT_START
    assert capsys.readouterr().err == "Port 1 is in use.\n"


@pytest.mark.usefixtures("_settings")
def test_run_process_logs_what_escapes(lines: Lines) -> None:
    def fail(settings: Settings) -> None:
        raise KeyError("bug")

    assert run_process(fail, "tester") == 1
    assert lines()[-1]["event"] == "process_failed"
    assert run_process(lambda settings: None, "tester") == 0


@pytest.mark.usefixtures("_settings")
def test_run_process_logs_a_thread_that_dies(lines: Lines) -> None:
    def start_failing_thread(settings: Settings) -> None:
        thread = threading.Thread(target=lambda: 1 / 0, name="engine")
        thread.start()
        thread.join()

    assert run_process(start_failing_thread, "tester") == 0
    assert (lines()[-1]["event"], lines()[-1]["thread"]) == ("thread_failed", "engine")


def test_run_process_logs_the_old_name_of_a_setting_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    config = tmp_path / "old.yaml"
    config.write_text(f"session: {{resume_window_s: 7}}\nlogs: {{dir: {tmp_path}}}")
    monkeypatch.setenv("VOXTRAL_CONFIG", str(config))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    load_settings.cache_clear()
    try:
        assert run_process(lambda settings: round(settings.session.rehear_s), "tester") == 7
    finally:
        load_settings.cache_clear()
    reasons = [line["reason"] for line in lines() if line["event"] == "setting_renamed"]
    assert reasons == [f"Setting session.resume_window_s (in {config}) is now called session.rehear_s; rename it."]
