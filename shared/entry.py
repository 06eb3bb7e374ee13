"""The entry point of each process: settings, logging, one function, an exit status.

If a setting or the machine does not allow a start, the process prints one sentence to stderr and exits with status 78,
which tells the supervisor that a retry is pointless. Every other uncaught exception is our bug: status 1.
"""

import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable

import structlog

from shared.bus.credentials import check_credentials
from shared.config.renames import RenamedSettingWarning
from shared.config.settings import Settings, load_settings
from shared.errors import StartupError
from shared.logs import configure_logging

CANNOT_START = os.EX_CONFIG
"""Exit status of a process that cannot start (EX_CONFIG in sysexits.h)."""


def run_process(main: Callable[[Settings], int | None], process: str) -> int:
    """Run `main` and return the exit status: `sys.exit(run_process(main, "websocket"))`.

    `process` is the name in every log line. `main` returns None or 0 after a clean stop, and raises
    `StartupError` (also from inside a task group) if it cannot start.
    """
    try:
        with warnings.catch_warnings(record=True) as renamed:
            warnings.simplefilter("always", RenamedSettingWarning)
            settings = load_settings()
        configure_logging(settings, process)
        for warning in renamed:
            structlog.get_logger(__name__).warning("setting_renamed", reason=str(warning.message))
        threading.excepthook = _log_thread_failure
        _freeze_modules()
        if not settings.redis_is_embedded:
            check_credentials(settings)
        return main(settings) or 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 -- last frame: a StartupError becomes a sentence, the rest is logged
        refusal = _startup_error(error)
        if refusal is None:
            structlog.get_logger(__name__).critical("process_failed", exc_info=True)
            return 1
        print(refusal, file=sys.stderr)
        return CANNOT_START


def stand_by(reason: str, **fields: object) -> None:
    """Log why this program has nothing to do, and wait for SIGTERM or SIGINT.

    For programs of the Procfile that this configuration does not need: a process manager stops all when one ends.
    """
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    structlog.get_logger(__name__).info(reason, **fields)
    signal.sigwait(stops)


def _freeze_modules() -> None:
    """Keep the garbage collector from scanning all modules repeatedly: a full collection takes 50 ms and more, during
    which no audio is processed."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _startup_error(error: BaseException) -> StartupError | None:
    if isinstance(error, StartupError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for found in map(_startup_error, error.exceptions) if found), None)
    return None


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is None or isinstance(failure.exc_value, SystemExit):
        return
    name = failure.thread.name if failure.thread else "unknown"
    structlog.get_logger(__name__).critical("thread_failed", thread=name, exc_info=failure.exc_value)
