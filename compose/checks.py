"""Checks that run before anything is started. Each failure is one sentence that says what to change."""

import errno
import os
import shutil
import socket
from pathlib import Path

from shared.errors import StartupError
from shared.ports import Listener

FREE_DISK_BYTES = 1_000_000_000
"""Enough for the joined model, the append-only file and the logs."""


def check_ports(wanted: list[Listener]) -> None:
    """Raises `StartupError` for the first port that is configured twice or cannot be opened."""
    seen: dict[int, Listener] = {}
    for listener in wanted:
        other = seen.setdefault(listener.port, listener)
        if other is not listener:
            raise StartupError(f"Settings {other.setting} and {listener.setting} both name port {listener.port}.")
        _check_port(listener)


def check_disk(directory: Path, needed_bytes: int = FREE_DISK_BYTES) -> None:
    """Raises `StartupError` if the disk of this directory (or of its nearest existing parent) is nearly full."""
    directory = directory.absolute()
    while not directory.exists():
        directory = directory.parent
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < needed_bytes:
        free, needed = f"{free_bytes / 1e6:.0f} MB", f"{needed_bytes / 1e6:.0f} MB"
        raise StartupError(f"The disk of {directory} has {free} free; at least {needed} are needed.")


def _check_port(listener: Listener) -> None:
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.host, listener.port))
            probe.listen(1)
        except OSError as error:
            raise StartupError(_sentence(listener, error)) from None


def _sentence(listener: Listener, error: OSError) -> str:
    variable = f"VOXTRAL_{listener.setting.replace('.', '__').upper()}"
    port = f"Port {listener.port} for {listener.what}"
    if error.errno == errno.EADDRINUSE:
        return f"{port} is in use; stop the program that uses it, or change {listener.setting} ({variable})."
    if error.errno == errno.EACCES:
        return f"{port} cannot be opened by this user; change {listener.setting} ({variable})."
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return f"The address {listener.host} port {listener.port} for {listener.what} cannot be opened: {reason}."
