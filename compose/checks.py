"""Checks that run before anything is started. Each failure is one sentence that says what to change."""

import errno
import shutil
from pathlib import Path

from shared.errors import StartupError
from shared.ports import Listener, clash, listening

FREE_DISK_BYTES = 1_000_000_000
"""Enough for the joined model, the append-only file and the logs."""


def check_ports(wanted: list[Listener]) -> None:
    """Raises `StartupError` if a port is configured twice, or with a sentence for each that cannot be opened."""
    if clashing := clash(wanted):
        raise StartupError(clashing)
    faults = dict.fromkeys(sentence for listener in wanted if (sentence := _fault(listener)))
    if faults:
        raise StartupError("\n".join(faults))


def check_disk(directory: Path, needed_bytes: int = FREE_DISK_BYTES) -> None:
    """Raises `StartupError` if the disk of this directory (or of its nearest existing parent) is nearly full."""
    directory = directory.absolute()
    while not directory.exists():
        directory = directory.parent
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < needed_bytes:
        free, needed = f"{free_bytes / 1e6:.0f} MB", f"{needed_bytes / 1e6:.0f} MB"
        raise StartupError(f"The disk of {directory} has {free} free; at least {needed} are needed.")


def _fault(listener: Listener) -> str | None:
    """Why this cannot be opened, in a sentence that is the same for all ports of a bad address; None if it can."""
    try:
        listening(listener.host, listener.port).close()
    except OSError as error:
        return _sentence(listener, error)
    return None


def _sentence(listener: Listener, error: OSError) -> str:
    variable = f"VOXTRAL_{listener.setting.replace('.', '__').upper()}"
    port = f"Port {listener.port} for {listener.what}"
    if error.errno == errno.EADDRINUSE:
        return f"{port} is in use; stop the program that uses it, or change {listener.setting} ({variable})."
    if error.errno == errno.EACCES:
        return f"{port} cannot be opened by this user; change {listener.setting} ({variable})."
    return f"The address {listener.host} cannot be used: {error.strerror}."
