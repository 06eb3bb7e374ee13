"""The parent of all decoders of one frontend: imports the libraries once, and forks a process for each recording.

Orders arrive over a socket, with the file and the pipe as descriptors (SCM_RIGHTS). It reports over the socket that it
is ready, how each decoder ended, and which could not start. It reads no recording itself. It and all decoders end when
the socket's other end is closed.
"""

import array
import contextlib
import gc
import os
import selectors
import signal
import socket
import struct
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

import orjson

from shared.audio.ffmpeg_build import guessable_demuxers
from shared.audio.files import decode_file
from shared.decoder import job
from shared.decoder.sandbox import Sandbox, address_space_bytes, probe
from shared.decoder.wire import MAX_MESSAGE_BYTES, Order
from shared.process import end_with, rss_bytes

OOM_SCORE: Final = 900
"""If the machine runs out of memory, the kernel kills a decoder first."""
_DESCRIPTORS: Final = 2


def main(descriptor: int) -> None:
    """Serve until the other end of the control socket is closed."""
    with socket.socket(fileno=descriptor) as control:
        Server(control).run()


class Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = os.getpid()
        self._sandbox: Sandbox = probe()
        self._numbers: dict[int, int] = {}
        """The running decoders, by process id."""

    def run(self) -> None:
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
            score.write(str(OOM_SCORE))
        _warm_up()
        gc.collect()
        gc.freeze()
        self._idle_bytes = address_space_bytes()
        with _child_signals() as ended, selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(ended, selectors.EVENT_READ)
            self._tell({"ready": True, "rss_bytes": rss_bytes(), **asdict(self._sandbox)})
            while True:
                for key, _ in selector.select():
                    if key.fileobj is ended:
                        ended.recv(MAX_MESSAGE_BYTES)
                        self._reap()
                    elif not self._take():
                        return

    def _take(self) -> bool:
        """Execute one message; False at the end."""
        content, descriptors = _received(self._control)
        if not content:
            return False
        try:
            message = orjson.loads(content)
            if "kill" in message:
                self._kill(message["kill"])
            else:
                self._fork(Order.decoded(message), *descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _fork(self, order: Order, file: int, pipe: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:  # no more processes, or no memory: the running decoders continue
            self._tell({"not_started": order.number, "reason": str(error)})
            return
        if pid:
            self._numbers[pid] = order.number
            return
        status = 1
        try:
            end_with(self._pid)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            job.run(order, file, pipe, self._sandbox, self._idle_bytes)
            status = 0
        finally:
            os._exit(status)

    def _kill(self, number: int) -> None:
        for pid, of in self._numbers.items():
            if of == number:
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._numbers:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            number = self._numbers.pop(pid)
            exit_code = os.waitstatus_to_exitcode(status)
            self._tell({"ended": number, "exit_code": exit_code, "peak_bytes": usage.ru_maxrss * 1024})

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # closed: the next read reports it
            self._control.send(orjson.dumps(message))


def _warm_up() -> None:
    """Decode generated audio: libraries import some modules only on first use, and a decoder cannot import later."""
    rate_hz, samples = 44_100, bytes(4410)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    chunks = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
    for _ in decode_file(struct.pack("<4sI", b"RIFF", len(chunks)) + chunks):
        pass
    guessable_demuxers()


@contextlib.contextmanager
def _child_signals() -> Iterator[socket.socket]:
    """A socket that becomes readable when a child has ended."""
    readable, written = socket.socketpair()
    with readable, written:
        written.setblocking(False)
        signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        yield readable


def _received(control: socket.socket) -> tuple[bytes, list[int]]:
    """One message and its descriptors; nothing at the end."""
    descriptors = array.array("i")
    room = socket.CMSG_SPACE(_DESCRIPTORS * descriptors.itemsize)
    try:
        content, ancillary, _, _ = control.recvmsg(MAX_MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # closed at the other end before our last message was read
        return b"", []
    for level, kind, raw in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(raw[: len(raw) - len(raw) % descriptors.itemsize])
    return content, list(descriptors)
