"""Opens a file with the demuxer for its kind, so that nothing else can be opened through it."""

import errno
import io
from typing import BinaryIO, Final, NoReturn

import av
from av.container import InputContainer

from shared.audio.containers import ADVICE, CONVERT, NAMES
from shared.audio.extent import big_endian_wav, end_of_audio
from shared.audio.ffmpeg_build import audio_decoders, guessable_demuxers, has_demuxer
from shared.audio.frames import MAX_FILE_CHANNELS
from shared.errors import InvalidAudioError, UnsupportedAudioError

_DEMUXERS: Final = {
    "webm": "matroska",
    "nist": "nistsphere",
}
"""Demuxers whose name differs from that of the kind."""
_BIG_ENDIAN: Final = {
    (1, 8): "u8",
    (1, 16): "s16be",
    (1, 24): "s24be",
    (1, 32): "s32be",
    (3, 32): "f32be",
    (3, 64): "f64be",
    (6, 8): "alaw",
    (7, 8): "mulaw",
}
"""Demuxers of raw samples, by WAV's format tag and bits."""
_MAX_STREAMS: Final = 32


def opened(source: BinaryIO, start_bytes: int, kind: str | None) -> InputContainer:
    """Open the file from `start_bytes` on. If its kind is not known, ffmpeg may guess among harmless demuxers.

    Raises `UnsupportedAudioError` and `InvalidAudioError`.
    """
    demuxer = None if kind is None else _DEMUXERS.get(kind, kind)
    if kind is not None and demuxer is not None and not has_demuxer(demuxer):
        raise UnsupportedAudioError(f"This build has no demuxer for {NAMES[kind]} files; {CONVERT}.")
    options = {
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(sorted(audio_decoders())),
        "max_streams": str(_MAX_STREAMS),
    }
    if demuxer is None:
        options["format_whitelist"] = guessable_demuxers()
    raw = big_endian_wav(source, start_bytes) if kind == "wav" else None
    if raw is None:
        part = Part(source, start_bytes, end_of_audio(source, kind))
    else:
        demuxer = _BIG_ENDIAN.get((raw.tag, raw.bits))
        if demuxer is None or not 1 <= raw.channels <= MAX_FILE_CHANNELS:
            raise UnsupportedAudioError(f"The WAV file holds big-endian samples of an unknown kind; {CONVERT}.")
        options |= {"sample_rate": str(raw.rate_hz), "ch_layout": f"{raw.channels}C"}
        part = Part(source, raw.begin, raw.end)
    try:
        return av.open(
            part,
            "r",
            format=demuxer,
            container_options=options,
            metadata_errors="replace",
            io_open=refuse_open,
        )
    except (av.FFmpegError, ValueError) as error:
        if kind is None:
            raise UnsupportedAudioError(f"The file is of an unknown kind; {ADVICE}.") from error
        raise InvalidAudioError(
            f"The {NAMES[kind]} file cannot be read: its headers are damaged or missing."
        ) from error


def refuse_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """Called if a file refers to another one."""
    raise PermissionError(url, flags, options)


class Part:
    """A part of a binary file, with the part of the interface that a demuxer uses."""

    def __init__(self, source: BinaryIO, start_bytes: int, end_bytes: int | None = None) -> None:
        """`end_bytes` is None for the end of the file."""
        self._source = source
        self._end_bytes = end_bytes
        self._start_bytes = source.seek(start_bytes)

    def read(self, size: int = -1) -> bytes:
        if self._end_bytes is not None:
            left_bytes = max(0, self._end_bytes - self._source.tell())
            size = left_bytes if size < 0 else min(size, left_bytes)
        return self._source.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Raises ValueError for an impossible position, for which files raise OSError or OverflowError."""
        if whence == io.SEEK_SET:
            offset += self._start_bytes
        if whence == io.SEEK_END and self._end_bytes is not None:
            offset, whence = offset + self._end_bytes, io.SEEK_SET
        try:
            return self._source.seek(offset, whence) - self._start_bytes
        except (OSError, OverflowError) as error:
            if isinstance(error, OverflowError) or error.errno in (errno.EINVAL, errno.EOVERFLOW):
                raise ValueError(f"No place {offset}") from error
            raise

    def tell(self) -> int:
        return self._source.tell() - self._start_bytes
