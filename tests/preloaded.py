"""Processes of pytest-xdist that share one import of the large libraries and of the tests.

Each of them would take up to twenty seconds for it.

The process that distributes the tests starts a server. It imports what the service needs, forks a second server that
has no more than that, and imports the model libraries and the modules of the tests. Both fork for every requested
process. pytest-xdist starts a small client in place of its process (`python tests/preloaded.py FOLDER …`), which gives
the first server its streams, and waits. `tests.forking` requests the processes that start services of the second one.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LIBRARIES = (
    "av",
    "celery",
    "ctranslate2",
    "deepgram.listen.v2.socket_client",
    "fastapi",
    "faster_whisper",
    "hypothesis.stateful",
    "hypothesis.strategies",
    "jiwer",
    "jsonschema",
    "kombu.transport.redis",
    "mistral_common.tokens.tokenizers.mistral",
    "mistralai.client",
    "mistralai.extra.realtime.connection",
    "onnx",
    "openai.types.realtime",
    "openapi_spec_validator",
    "playwright.async_api",
    "prometheus_client",
    "pydantic_settings",
    "redis.asyncio",
    "soundfile",
    "soxr",
    "structlog",
    "torch",
    "transformers.models.voxtral.modeling_voxtral",
    "transformers.models.voxtral_realtime.feature_extraction_voxtral_realtime",
    "transformers.models.voxtral_realtime.modeling_voxtral_realtime",
    "uvicorn",
    "websockets.asyncio.client",
    "websockets.asyncio.server",
)
PROJECT = Path(__file__).parent.parent
SERVICE, TESTS = "service", "tests"
"""The servers: with what the service needs, and with everything."""
THREADED = "onnxruntime"
"""Its import starts a thread, which forked processes would lack: each imports it, and what needs it, by itself."""
VARIABLE = "TESTS_PRELOADED"
"""Holds the folder of the servers, for their processes."""
LOOK_INTERVAL_S = 0.5
MAX_REQUEST_BYTES = 1_000_000


class Preloaded:
    """The servers for the processes of one run of these tests: files, folders or tests, as for pytest."""

    def __init__(self, tests: Iterable[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="preloaded-")
        with contextlib.ExitStack() as held:
            listeners = []
            for name in (SERVICE, TESTS):
                listeners.append(held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)))
                listeners[-1].bind(str(Path(self._folder.name) / name))
                listeners[-1].listen(64)
            numbers = [listener.fileno() for listener in listeners]
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--serve", *map(str, [*numbers, os.getpid()]), *tests],
                pass_fds=numbers,
                stdin=subprocess.DEVNULL,
            )
        self.python = f"{sys.executable} -S -E {__file__} {self._folder.name}"
        """The command that starts a process instead of an interpreter."""

    def close(self) -> None:
        """Once the processes have ended."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


# --- the client -----------------------------------------------------------------------------------------------------


def forked(folder: str, server: str, command: str, streams: list[int]) -> socket.socket:
    """Run Python code in a process of the server, which has these standard streams. The socket ends with it."""
    process = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process.connect(f"{folder}/{server}")
    request = {"command": command, "folder": os.getcwd(), "env": {**os.environ, VARIABLE: folder}}
    socket.send_fds(process, [json.dumps(request).encode()], streams)
    return process


def _ask(folder: str, command: str) -> None:
    with forked(folder, TESTS, command, [0, 1, 2]) as process:
        for stream in (0, 1, 2):
            os.close(stream)
        process.recv(1)


# --- the server -----------------------------------------------------------------------------------------------------


def _serve(listener: socket.socket, parent: int) -> dict[str, Any] | None:
    """Returns in each forked process with its request, and in the server at the end with None."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the processes end with the one that requested them
    running: set[int] = set()
    listener.settimeout(LOOK_INTERVAL_S)
    while os.getppid() == parent and not (told and not running):
        while running and (pid := os.waitpid(-1, os.WNOHANG)[0]):
            running.discard(pid)
        try:
            client, _ = listener.accept()
        except TimeoutError:
            continue
        content, streams, _, _ = socket.recv_fds(client, MAX_REQUEST_BYTES, 3)
        pid = os.fork()
        if pid == 0:
            listener.close()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for standard, stream in enumerate(streams):
                os.dup2(stream, standard)
                os.close(stream)
            client.detach()  # open as long as this process lives
            wanted: dict[str, Any] = json.loads(content)
            return wanted
        running.add(pid)
        client.close()
        for stream in streams:
            os.close(stream)
    return None


def _become(command: str, folder: str, env: dict[str, str]) -> None:
    """Run the command as `python -c` does, but free no modules if it returns: that would first copy memory that is
    shared with the server."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["-c"]
    sys.path[0] = ""
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(command, main.__dict__)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _import_tests(tests: list[str]) -> None:
    """Import modules as pytest does, so with assertions that explain themselves, but make no tests of them."""
    import pytest

    class OnlyModules:
        @pytest.hookimpl(tryfirst=True)
        def pytest_pycollect_makeitem(self) -> list[pytest.Item]:
            return []

    arguments = ["--collect-only", "--quiet", "--tb=no", "-p", "no:xdist", "-p", "no:cacheprovider", *tests]
    sys.modules[THREADED] = None  # type: ignore[assignment]
    try:
        with _silent():  # each process imports what has failed here, and reports it
            pytest.main(arguments, plugins=[OnlyModules()])
    finally:
        del sys.modules[THREADED]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    kept = [(stream, os.dup(stream)) for stream in (1, 2)]
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream, _ in kept:
        os.dup2(nothing, stream)
    os.close(nothing)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, copy in kept:
            os.dup2(copy, stream)
            os.close(copy)


def _import(names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _freeze() -> None:
    """A collection in a process must not touch, and so copy, memory that it shares with the server."""
    gc.collect()
    gc.freeze()
    gc.enable()


def main() -> None:
    if sys.argv[1] != "--serve":
        _ask(sys.argv[1], sys.argv[-1])
        return
    service, everything = (socket.socket(fileno=int(number)) for number in sys.argv[2:4])
    parent, tests = int(sys.argv[4]), sys.argv[5:]
    gc.disable()  # what is imported stays
    sys.path[0] = str(PROJECT)
    from tests import forking

    _import(forking.LIBRARIES + forking.OURS)
    _freeze()
    if os.fork() == 0:
        everything.close()
        wanted = _serve(service, os.getppid())
    else:
        service.close()
        gc.disable()
        _import(LIBRARIES)
        _import_tests(tests)
        _freeze()
        wanted = _serve(everything, parent)
    if wanted is not None:
        _become(**wanted)


if __name__ == "__main__":
    main()
