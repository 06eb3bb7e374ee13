"""Processes of pytest-xdist that share one import of the large libraries, which would take each of them ten seconds.

The process that distributes the tests starts a server, which imports the libraries once and forks for every requested
process. pytest-xdist starts a small client in its place (`python tests/preloaded.py PATH …`), which gives the server
its streams, and waits. Knows nothing about pytest.
"""

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
import types
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
VARIABLE = "TESTS_PRELOADED"
"""Holds the path of the server, for its processes."""
LOOK_INTERVAL_S = 0.5
MAX_REQUEST_BYTES = 1_000_000


class Preloaded:
    """A server for the processes of one run."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="preloaded-")
        path = Path(self._folder.name) / "server"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(path))
            listener.listen(64)
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--serve", str(listener.fileno()), str(os.getpid())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self.python = f"{sys.executable} -S -E {__file__} {path}"
        """The command that starts a process instead of an interpreter."""

    def close(self) -> None:
        """Once the processes have ended."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


# --- the client -----------------------------------------------------------------------------------------------------


def forked(path: str, command: str, streams: list[int]) -> socket.socket:
    """Run Python code in a process of the server, which has these standard streams. The socket ends with it."""
    process = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process.connect(path)
    request = {"command": command, "folder": os.getcwd(), "env": {**os.environ, VARIABLE: path}}
    socket.send_fds(process, [json.dumps(request).encode()], streams)
    return process


def _ask(path: str, command: str) -> None:
    with forked(path, command, [0, 1, 2]) as process:
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
    """Run the command as `python -c` does."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["-c"]
    sys.path[0] = ""
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(command, main.__dict__)


def main() -> None:
    if sys.argv[1] != "--serve":
        _ask(sys.argv[1], sys.argv[-1])
        return
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    gc.collect()
    gc.freeze()  # a collection in a process must not touch, and so copy, memory that it shares with the server
    with socket.socket(fileno=int(sys.argv[2])) as listener:
        wanted = _serve(listener, int(sys.argv[3]))
    if wanted is not None:
        _become(**wanted)


if __name__ == "__main__":
    main()
