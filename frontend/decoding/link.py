"""One decoder server: its process, the socket for its commands, and how its decoders end."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import structlog

from shared.decoder.wire import MAX_MESSAGE_BYTES, Order
from shared.process import children_without_interrupts

_ROOT: Final = Path(__file__).parent.parent.parent
_KEPT_VARIABLES: Final = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONWARNINGS")
"""Variables that Python may need to start. No others are passed on: decoders receive no key and no password."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a decoder ended."""

    exit_code: int
    """0, or as in subprocess: negative for a signal."""
    peak_bytes: int
    """Its highest memory use, including that of the idle server."""


@dataclass(frozen=True, slots=True)
class Ready:
    rss_bytes: int
    landlock: int
    seccomp: bool


class DecoderLink:
    """Starts the process, or raises OSError. Belongs to the running loop; `close` ends it and all its decoders."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[Ready | None] = asyncio.get_running_loop().create_future()
        """None if the process ends before it has started."""
        self.ended = asyncio.Event()
        """Set when the process has ended. Then all its decoders have ended too."""
        self._endings: dict[int, asyncio.Future[Ending | None]] = {}
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with children_without_interrupts():
                self._process = subprocess.Popen(  # noqa: S603 -- ours
                    [sys.executable, "-P", "-m", "shared.decoder", str(theirs.fileno())],
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                )
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()
        self._control.setblocking(False)
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._hear)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code of the server itself, after `close`."""
        return self._process.poll()

    def start(self, order: Order, file: int, pipe: int) -> "asyncio.Future[Ending | None]":
        """Start decoding a recording; both descriptors may be closed afterwards.

        The result is how its decoder ended, None if it could not start or if the server itself was lost.
        """
        ending: asyncio.Future[Ending | None] = asyncio.get_running_loop().create_future()
        self._endings[order.number] = ending
        if not self._tell(order.encoded(), file, pipe):
            self._lose()
        return ending

    def kill(self, number: int) -> None:
        """End a decoder, if it has not ended yet."""
        if number in self._endings:
            self._tell(orjson.dumps({"kill": number}))

    def close(self) -> None:
        self._lose()
        self._process.kill()
        self._process.wait()  # for a killed process: milliseconds

    def _tell(self, message: bytes, *descriptors: int) -> bool:
        try:
            socket.send_fds(self._control, [message], descriptors)
        except OSError:  # it has ended, or its socket is so full that it is of no use
            return False
        return True

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while content := self._received():
                self._take(content)
            self._lose()

    def _received(self) -> bytes:
        try:
            return self._control.recv(MAX_MESSAGE_BYTES)
        except ConnectionResetError:
            return b""

    def _take(self, content: bytes) -> None:
        message = orjson.loads(content)
        if message.pop("ready", False):
            if not self.ready.done():
                self.ready.set_result(Ready(**message))
            return
        if "not_started" in message:
            log.warning("decoder_not_started", reason=message["reason"])
            number, ended = message["not_started"], None
        else:
            number, ended = message["ended"], Ending(message["exit_code"], message["peak_bytes"])
        ending = self._endings.pop(number, None)
        if ending is not None and not ending.done():
            ending.set_result(ended)

    def _lose(self) -> None:
        """The server can no longer be used. Also called for a recording that is started after that."""
        if not self.ended.is_set():
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self.ended.set()
        if not self.ready.done():
            self.ready.set_result(None)
        endings, self._endings = self._endings, {}
        for ending in endings.values():
            if not ending.done():
                ending.set_result(None)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    # One thread: a fork has only the thread that forks, and every decoder uses at most one processor.
    return kept | {"PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
