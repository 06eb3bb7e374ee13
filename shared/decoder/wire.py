"""The messages between a frontend and its decoder processes. Knows neither side, and no decoding library.

A decoder is not trusted: its messages are bounded and checked here, and hold only audio or one sentence.
"""

import struct
from dataclasses import asdict, dataclass
from enum import StrEnum, unique
from types import NoneType
from typing import Any, Final, Self

import orjson

from shared.audio.blocks import BLOCK_BYTES
from shared.audio.damage import CODES, AudioWarning
from shared.audio.stereo import WARNING_CODES
from shared.errors import AudioTooLongError, InvalidAudioError, UnsupportedAudioError, VoxtralError

MAX_MESSAGE_BYTES: Final = 4096
"""Limit of the control socket's messages, which are JSON objects."""
MAX_SENTENCE_CHARS: Final = 500
MESSAGE_HEAD: Final = struct.Struct("!I")
"""Header of a message to the decoder of a live stream: size of the content."""
HEAD: Final = struct.Struct("!cIQ")
"""Header of a frame on a decoder's pipe: kind, size of the content, bytes of the file read, or of the stream received,
so far."""


@unique
class Kind(StrEnum):
    """The kind of a frame."""

    AUDIO = "A"
    """s16le 16 kHz, at most one block: mono, or whole frames of all tracks."""
    WARNING = "W"
    """`{"code", "message", "start"}`: a fault of a recording that is still decoded."""
    ERROR = "E"
    """`{"code", "message"}`: why the recording cannot be decoded."""
    FAULT = "F"
    """Where a decoder failed, for the log."""
    DONE = "D"
    TRACKS = "T"
    """Before the audio of a recording whose channels are separated: the number of its tracks, as a digit."""
    WAITING = "L"
    """In a live stream: everything received is decoded as far as it can be, and the decoder waits for more."""


CONTENT_LIMIT_BYTES: Final = {
    Kind.AUDIO: BLOCK_BYTES,
    Kind.WARNING: 4096,
    Kind.ERROR: 4096,
    Kind.FAULT: 8192,
    Kind.DONE: 0,
    Kind.TRACKS: 1,
    Kind.WAITING: 0,
}


class WireError(Exception):
    """A decoder sent an invalid message."""


@dataclass(frozen=True, slots=True)
class Order:
    """One recording to decode. Its file and the pipe for its audio are sent with it, as descriptors."""

    number: int
    max_duration_s: float | None
    cpu_s: int | None
    """Limit of the processor time for decoding."""
    strict: bool = False
    """Whether damage is an error."""
    live: bool = False
    """Whether its file is a pipe with messages (see `message`) that arrive as they are recorded."""
    tracks: int | None = None
    """Separate the channels: the number of tracks if it is live, else the largest allowed number. None mixes them."""

    def encoded(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def decoded(cls, message: dict[str, Any]) -> Self:
        return cls(**message)


def message(content: bytes) -> bytes:
    """A piece of a live stream, as its client sent it."""
    return MESSAGE_HEAD.pack(len(content)) + content


def frame(kind: Kind, content: bytes = b"", position_bytes: int = 0) -> bytes:
    return HEAD.pack(kind.encode(), len(content), position_bytes) + content


def head_of(raw: bytes) -> tuple[Kind, int, int]:
    """Kind, size and position of a frame. Raises `WireError`."""
    letter, size_bytes, position_bytes = HEAD.unpack(raw)
    try:
        kind = Kind(letter.decode("ascii"))
    except ValueError:
        raise WireError(f"a frame of kind {letter!r}") from None
    if size_bytes > CONTENT_LIMIT_BYTES[kind]:
        raise WireError(f"a frame {kind.name} of {size_bytes} bytes")
    if kind is Kind.AUDIO and size_bytes % 2:
        raise WireError("half a sample")
    return kind, size_bytes, position_bytes


def tracks_from(content: bytes, most: int) -> int:
    """The number of tracks in a frame. Raises `WireError`."""
    if not content.isdigit() or not 1 <= int(content) <= most:
        raise WireError(f"{content!r} tracks")
    return int(content)


def check_frames(content: bytes, frame_bytes: int) -> None:
    """Raises `WireError` if audio does not consist of whole frames."""
    if len(content) % frame_bytes:
        raise WireError("an incomplete frame of the tracks")


def error_content(error: VoxtralError) -> bytes:
    return orjson.dumps({"code": error.code, "message": error.message[:MAX_SENTENCE_CHARS]})


def error_from(content: bytes, max_duration_s: float | None) -> VoxtralError:
    """The error in a frame. Raises `WireError` for one that a recording cannot cause."""
    try:
        told = orjson.loads(content)
        code, message = told["code"], told["message"]
    except (ValueError, TypeError, KeyError):
        raise WireError("an invalid error") from None
    if code == AudioTooLongError.code and max_duration_s is not None:
        return AudioTooLongError(max_duration_s)
    cause = next((one for one in (InvalidAudioError, UnsupportedAudioError) if one.code == code), None)
    if cause is None or not isinstance(message, str):
        raise WireError(f"an error of code {code!r}")
    return cause(_printable(message))


def warning_content(warning: AudioWarning) -> bytes:
    return orjson.dumps(warning.wire() | {"message": warning.message[:MAX_SENTENCE_CHARS]})


def warning_from(content: bytes) -> AudioWarning:
    """The warning in a frame. Raises `WireError` for one that a recording cannot cause."""
    try:
        told = orjson.loads(content)
        code, message, start_s = told["code"], told["message"], told.get("start")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WireError("an invalid warning") from None
    if (
        code not in (*CODES, *WARNING_CODES.values())
        or not isinstance(message, str)
        or not isinstance(start_s, (int, float, NoneType))
    ):
        raise WireError(f"a warning of code {code!r}")
    return AudioWarning(code, _printable(message), start_s)


def _printable(sentence: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in sentence[:MAX_SENTENCE_CHARS])
