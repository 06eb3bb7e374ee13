"""One recording in one process: enter the sandbox, decode, send the audio, and end.

Runs in a fork of the server, which has imported everything that it needs: in the sandbox nothing can be opened.
"""

import contextlib
import os
import resource
import traceback
from collections.abc import Callable
from typing import BinaryIO, Final

from shared.audio.damage import AudioWarning
from shared.audio.files import decode_file
from shared.audio.live_container import LiveDecoding
from shared.audio.tracks import Separation
from shared.decoder.sandbox import MEMORY_BYTES, Sandbox, enter
from shared.decoder.wire import MESSAGE_HEAD, Kind, Order, error_content, frame, warning_content
from shared.errors import InvalidAudioError, VoxtralError

FAULT_CHARS: Final = 400
MAX_DESCRIPTORS: Final = 1 << 20
"""The server has only a few; if there is no limit, closing all possible ones would take long."""
_NO_MEMORY: Final = InvalidAudioError(f"The file needs more than {MEMORY_BYTES >> 20} MB of memory to decode.")


def run(order: Order, file: int, pipe: int, sandbox: Sandbox, idle_bytes: int) -> None:
    """Decode the open `file` into the open `pipe`. Returns when the last frame is written, or the reader is gone."""
    with open(file, "rb", closefd=False) as source:
        _close_all_but(file, pipe)
        enter(sandbox, idle_bytes, order.cpu_s)
        with contextlib.suppress(BrokenPipeError):  # its client is gone
            decode = _decode_live if order.live else _decode_file
            _send(pipe, _last_frame(lambda: decode(source, pipe, order)))


def _decode_file(source: BinaryIO, pipe: int, order: Order) -> None:
    def warn(warning: AudioWarning) -> None:
        _warn(pipe, warning)

    separation = None if order.tracks is None else Separation(order.tracks)
    blocks = decode_file(
        source, max_duration_s=order.max_duration_s, strict=order.strict, warn=warn, separation=separation
    )
    is_first = separation is not None
    for block in blocks:
        if is_first and separation is not None:
            _send(pipe, frame(Kind.TRACKS, str(separation.found).encode()))
            is_first = False
        _send(pipe, frame(Kind.AUDIO, block, source.tell()))


def _decode_live(source: BinaryIO, pipe: int, order: Order) -> None:
    def next_message() -> bytes:
        head = source.read(MESSAGE_HEAD.size)
        return source.read(MESSAGE_HEAD.unpack(head)[0]) if len(head) == MESSAGE_HEAD.size else b""

    def send(pcm: bytes, received_bytes: int) -> None:
        _send(pipe, frame(Kind.AUDIO if pcm else Kind.WAITING, pcm, received_bytes))

    LiveDecoding(next_message, send, lambda warning: _warn(pipe, warning), order.tracks).run()


def _warn(pipe: int, warning: AudioWarning) -> None:
    _send(pipe, frame(Kind.WARNING, warning_content(warning)))


def _last_frame(decode: Callable[[], None]) -> bytes:
    try:
        decode()
    except BrokenPipeError:
        raise
    except VoxtralError as error:
        return frame(Kind.ERROR, error_content(error))
    except MemoryError:
        return frame(Kind.ERROR, error_content(_NO_MEMORY))
    except Exception as error:  # noqa: BLE001 -- untrusted bytes: any fault affects only this recording
        return frame(Kind.FAULT, _fault(error).encode(errors="replace"))
    return frame(Kind.DONE)


def _fault(error: Exception) -> str:
    """The error and its line; source text cannot be read here."""
    *_, (code, line) = traceback.walk_tb(error.__traceback__)
    return f"{type(error).__name__}: {error}"[:FAULT_CHARS] + f" ({code.f_code.co_filename}:{line})"


def _send(pipe: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(pipe, view) :]


def _close_all_but(file: int, pipe: int) -> None:
    """Close the other descriptors of the server. Messages of libraries are discarded."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    kept = sorted({file, pipe})
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MAX_DESCRIPTORS)
    for low, high in zip([3, *(one + 1 for one in kept)], [*kept, most], strict=True):
        os.closerange(low, high)
