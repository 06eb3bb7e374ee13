"""Passes SIGTERM and SIGINT to the runtime as soon as they arrive.

Python runs signal handlers in the main thread, which waits for the sessions' threads while Celery stops. A
signal that arrives just before that wait, or in another thread, is handled after it, which is too late.
The number of a signal is written to the wake-up descriptor at once, so a thread reads that.
"""

import signal
import socket
import threading
from typing import Final

from worker.runtime import WorkerRuntime

ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


def follow(runtime: WorkerRuntime) -> None:
    """Stop the runtime on signals: SIGTERM drains, as a rolling deploy needs it. Other signals (a person waits), and
    a second SIGTERM, do not. Call it in the main thread."""
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
