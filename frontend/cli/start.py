"""The entry point of `voxtral`: Ctrl-C ends the process without a word, unless a command handles it.

Imports nothing else at first, so that this holds while the rest is imported.
"""

import signal


def _end_quietly() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # otherwise the caller ignores it
        signal.signal(signal.SIGINT, signal.SIG_DFL)


_end_quietly()


def main() -> None:
    from frontend.cli.main import cli  # noqa: PLC0415 -- see above

    try:
        cli(prog_name="voxtral", obj=_silence_logs)
    finally:
        _end_quietly()


def _silence_logs() -> None:
    """Commands report errors themselves; log lines are for services. Called before a command runs."""
    import logging  # noqa: PLC0415
    import sys  # noqa: PLC0415
    import warnings  # noqa: PLC0415

    import structlog  # noqa: PLC0415 -- takes longer than a help text may take

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if "--debug" in sys.argv:
        return
    warnings.showwarning = lambda message, *_, **__: print(f"Warning: {message}", file=sys.stderr)
    sys.unraisablehook = lambda _: None  # a second Ctrl-C may end a coroutine anywhere
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
