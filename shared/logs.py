"""Logging: the destinations of a process's lines.

Every process calls `configure_logging` once (`shared.entry` does it); all other code logs with
`structlog.get_logger(__name__)`. Lines go to the rotated JSON file that all processes share and, in readable form, to
stderr. Lines of the standard library's loggers are handled in the same way. Celery needs
`worker_hijack_root_logger=False` and uvicorn `log_config=None`, or they would replace this configuration.
"""

import json
import logging
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import structlog
from concurrent_log_handler import ConcurrentRotatingFileHandler
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.config.sections import LogSettings
from shared.config.settings import Settings
from shared.errors import StartupError
from shared.log_lines import RateLimiter, clean

FILE_NAME = "voxtral_streaming.log"
CHATTY_LOGGERS = (
    *("aiohttp", "amqp", "asyncio", "celery", "faster_whisper", "filelock", "huggingface_hub", "kombu"),
    *("redis", "tornado", "transformers", "urllib3", "uvicorn", "uvicorn.access", "websockets"),
)
"""Libraries that log every request at INFO; only their warnings and errors are kept."""
LIMITED_LEVELS = (logging.INFO, logging.WARNING, logging.ERROR)


def configure_logging(settings: Settings, process: str) -> None:
    """Set up logging for the process of this name. A later call replaces the former configuration.

    Raises `StartupError` if the log file cannot be written. Later write errors cost lines, never the process.
    """
    file = _FileHandler(_created(log_path(settings.logs)), settings.logs)
    file.setFormatter(_file_formatter(process))
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_console_formatter())
    root = logging.getLogger()
    for previous in [handler for handler in root.handlers if isinstance(handler, _Sinks)]:
        root.removeHandler(previous)
        previous.close()
    root.addHandler(_Sinks(file, console))
    root.setLevel(settings.logs.level)
    for name in CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def bind_session(session_id: str) -> None:
    """Add the session's id to every line that this task or thread logs from now on."""
    structlog.contextvars.bind_contextvars(session_id=session_id)


def log_path(logs: LogSettings) -> Path:
    """The log file, which need not exist yet."""
    directory = logs.dir or (Path("/workspace/logs") if Path("/workspace").is_dir() else Path("logs"))
    return directory / FILE_NAME


def _created(path: Path) -> Path:
    """The same file, in a directory that exists. Raises `StartupError` if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            return path
    except OSError as error:
        raise StartupError(f"The log file {path} (logs.dir) cannot be written: {error.strerror}.") from None


class _Sinks(logging.Handler):
    """The one handler of the root logger: limits the rate, then writes a line to the file and to the console.

    Errors are limited too, since a client that has found a fault can cause it at will. CRITICAL lines are not: each
    of them means that a process or a thread has ended.
    """

    def __init__(self, *sinks: logging.Handler) -> None:
        super().__init__()
        self._sinks = sinks
        self._limiter = RateLimiter()

    def emit(self, record: logging.LogRecord) -> None:
        self._report(time.monotonic())
        if record.levelno not in LIMITED_LEVELS or self._limiter.admits(_kind(record)):
            self._write(record)

    def close(self) -> None:
        self._report(now_s=float("inf"))
        for sink in self._sinks:
            sink.close()
        super().close()

    def _report(self, now_s: float) -> None:
        for kind, lines in self._limiter.turn_window(now_s).items():
            self._write(_suppressed(kind, lines))

    def _write(self, record: logging.LogRecord) -> None:
        for sink in self._sinks:
            sink.handle(record)


class _FileHandler(ConcurrentRotatingFileHandler):
    """The rotated file. If it cannot be written (a full disk), the service reports it once on stderr and continues."""

    def __init__(self, path: Path, logs: LogSettings) -> None:
        super().__init__(path, maxBytes=logs.max_file_bytes, backupCount=logs.files, encoding="utf-8")
        self._failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 -- logging's names
        if not self._failed:
            self._failed = True
            print(f"The log file {self.baseFilename} cannot be written: {sys.exc_info()[1]}.", file=sys.stderr)

    def close(self) -> None:
        try:
            super().close()
        except OSError:  # unwritten lines could not be flushed either; the file itself is closed now
            super().close()


def _kind(record: logging.LogRecord) -> tuple[str, ...]:
    """Event, level, session and cause.

    One noisy session is limited without limiting the others. Errors have a cause and no session: one client may have
    many sessions, and a frequent fault must not hide another one.
    """
    fields = record.msg if isinstance(record.msg, dict) else {"event": record.msg}
    event = str(fields.get("event"))[:200]
    if record.levelno == logging.ERROR:
        return event, record.levelname, "", _cause(fields.get("exc_info") or record.exc_info)
    return event, record.levelname, str(fields.get("session_id") or ""), ""


def _cause(exc_info: object) -> str:
    """Class of an exception and where it was raised; empty if there is none."""
    error = sys.exc_info()[1] if exc_info is True else exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if not isinstance(error, BaseException):
        return ""
    *_, last = [None, *traceback.walk_tb(error.__traceback__)]
    return type(error).__name__ + (f" at {last[0].f_code.co_filename}:{last[1]}" if last else "")


def _suppressed(kind: tuple[str, ...], lines: int) -> logging.LogRecord:
    event, _, session_id, cause = kind if len(kind) == 4 else (kind[0], "", "", "")
    text = f"{lines} lines suppressed: {event}" + (f" ({cause})" if cause else "")
    record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, "%s", (text,), None)
    record.session_id = session_id or None
    return record


def _file_formatter(process: str) -> ProcessorFormatter:
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)

    def identify(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        who = {"level": line.pop("level"), "process": process, "pid": os.getpid(), "logger": line["_record"].name}
        who["event"] = line.pop("event")
        return {**stamp(logger, method, {}), **who, **line}

    return _formatter(identify, structlog.processors.JSONRenderer(serializer=_to_json))


def _console_formatter() -> ProcessorFormatter:
    """No process name: the console shows one process, or the launcher or honcho puts the name before the line."""
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    colours = ("FORCE_COLOR" in os.environ or sys.stderr.isatty()) and "NO_COLOR" not in os.environ
    renderer = structlog.dev.ConsoleRenderer(
        colors=colours, force_colors=colours, exception_formatter=structlog.dev.plain_traceback
    )
    return _formatter(stamp, renderer)


def _formatter(identify: Processor, renderer: Processor) -> ProcessorFormatter:
    return ProcessorFormatter(
        processors=[
            structlog.contextvars.merge_contextvars,
            _restore_session,
            structlog.stdlib.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            clean,
            identify,
            ProcessorFormatter.remove_processors_meta,
            renderer,
        ]
    )


def _restore_session(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """A line about suppressed lines belongs to their session, not to the session of the next line."""
    record = line["_record"]
    if hasattr(record, "session_id"):
        line.pop("session_id", None)
        if record.session_id:
            line["session_id"] = record.session_id
    return line


def _to_json(line: EventDict, **_options: Any) -> str:
    return json.dumps(line, default=repr)
