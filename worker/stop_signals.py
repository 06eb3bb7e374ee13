"""SIGTERM and SIGINT, told to the runtime as they come.

Python runs the handler of a signal in the main thread, which in a stopping Celery waits for the sessions' threads. A
signal that comes just before that wait, or in another thread, is handled after it: too late for somebody in a hurry.
The wake-up descriptor gets its number at once, so a thread reads that.
"""

import signal
import socket
import threading
from typing import Final

from worker.runtime import WorkerRuntime

ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


def follow(runtime: WorkerRuntime) -> None:
    """Stop the runtime on signals: SIGTERM drains, as a rolling deploy wants it. Others (a person waits), and
    SIGTERM again, do not. To be called in the main thread."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_read, args=(reader, runtime), name="stop-signals", daemon=True).start()


def _read(reader: socket.socket, runtime: WorkerRuntime) -> None:
    asked = False
    while number := reader.recv(1):
        if number[0] in ENDING:
            runtime.stop(at_once=asked or number[0] != signal.SIGTERM)
            asked = True
