"""Audio files of untrusted senders, decoded to s16le mono 16 kHz in constant memory.

The demuxer is the one that `sniff` names, never ffmpeg's own guess; only audio decoders of a short list run, on
one thread; nothing but the given bytes can be opened (no protocol, no reference to another file).

Only `shared.decoder` imports this, and runs it in processes of their own: a fault of the libraries costs one recording.
"""

import errno
import io
from collections.abc import Iterator
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from shared.audio.blocks import in_blocks
from shared.audio.containers import CONTAINERS, SNIFF_BYTES, check_complete, flac_total_samples, sniff, tags_bytes
from shared.audio.mp4_tables import check_tables
from shared.audio.pcm import Samples, mixed_to_mono, to_s16le
from shared.audio.resample import Resampler
from shared.errors import AudioTooLongError, InvalidAudioError, UnsupportedAudioError, shown
from shared.events import SAMPLE_RATE_HZ

MIN_FILE_RATE_HZ = 8_000
MAX_FILE_RATE_HZ = 192_000
MAX_FILE_CHANNELS = 8

_SLACK_S = 0.1
"""How far a file may be over the limit: codecs pad to whole frames, and resampling rounds."""

_DEMUXERS = {"wav": "wav", "flac": "flac", "mp3": "mp3", "ogg": "ogg", "webm": "matroska", "mp4": "mp4"}

_DECODER_LIST = (
    "aac,alac,flac,mp3,mp3float,opus,libopus,vorbis,adpcm_ima_wav,adpcm_ms,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s16le,"
    "pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be"
)
_DECODERS = frozenset(_DECODER_LIST.split(","))

_DEMUXER_OPTIONS = {
    "protocol_whitelist": "none",
    "codec_whitelist": _DECODER_LIST,
    "max_streams": "32",
}

_OFFSET_AND_SCALE = {"u8": (128, 2.0**-7), "s16": (0, 2.0**-15), "s32": (0, 2.0**-31), "flt": (0, 1), "dbl": (0, 1)}
"""How the sample formats of ffmpeg become ±1: subtract, then multiply."""
_TYPES: dict[str, Any] = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}


def decode_file(
    source: bytes | BinaryIO | str | PathLike[str], *, max_duration_s: float | None = None
) -> Iterator[bytes]:
    """A WAV, FLAC, MP3, Ogg, WebM or M4A file as s16le mono 16 kHz, in blocks of `BLOCK_BYTES` (the last is shorter).

    `source` is the file itself, a seekable binary file (left open) or a path. Its first audio track is taken,
    channels are mixed to their mean. Memory does not grow with the length.

    Raises, while iterating: `UnsupportedAudioError` for another kind of file, no audio track, another codec, more
    than 8 channels, a rate outside 8 to 192 kHz; `AudioTooLongError` as soon as more than `max_duration_s` came
    out; `InvalidAudioError` for damage, for no samples at all, and for a file that is shorter than it announces
    (`check_complete` says what each container announces; one that announces nothing is decoded to its end).
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield from _decode(io.BytesIO(source), max_duration_s)
    elif isinstance(source, (str, PathLike)):
        with Path(source).open("rb") as file:
            yield from _decode(file, max_duration_s)
    else:
        yield from _decode(source, max_duration_s)


def _decode(source: BinaryIO, max_duration_s: float | None) -> Iterator[bytes]:
    source.seek(0)
    head = source.read(SNIFF_BYTES)
    if not head:
        raise InvalidAudioError("The audio is empty.")
    kind = sniff(head)
    if kind is None:
        raise UnsupportedAudioError(f"The file begins with {_beginning(head)}; understood: {', '.join(CONTAINERS)}.")
    check_complete(source, kind)
    if kind == "mp4":
        check_tables(source)
    start_bytes = tags_bytes(source) if kind == "mp3" else 0
    expected_samples = flac_total_samples(head) if kind == "flac" else 0
    limit_bytes = None if max_duration_s is None else 2 * round((max_duration_s + _SLACK_S) * SAMPLE_RATE_HZ)
    sent_bytes = 0
    for block in in_blocks(_file_pieces(_Remainder(source, start_bytes), kind, expected_samples)):
        sent_bytes += len(block)
        if limit_bytes is not None and max_duration_s is not None and sent_bytes > limit_bytes:
            raise AudioTooLongError(max_duration_s)
        yield block
    if not sent_bytes:
        raise InvalidAudioError(f"The {kind} file holds no samples.")


def _file_pieces(source: "_Remainder", kind: str, expected_samples: int) -> Iterator[bytes]:
    """Decoded s16le bytes of any size. `expected_samples` (at the file's rate) is 0 when it is not known."""
    with closing(_opened(source, kind)) as container:
        stream = _audio_stream(container, kind)
        resampler: Resampler | None = None
        rate_hz = decoded_samples = 0
        for frame in _frames(container, stream, kind):
            if resampler is None:
                rate_hz = _checked_rate(frame.sample_rate)
                resampler = Resampler(rate_hz)
            if frame.sample_rate != rate_hz:
                raise UnsupportedAudioError(f"The rate changes from {rate_hz} to {frame.sample_rate} Hz; it may not.")
            decoded_samples += frame.samples
            yield to_s16le(resampler.feed(_mono(frame)))
        if resampler is not None:
            yield to_s16le(resampler.finish())
    if decoded_samples < expected_samples:
        raise InvalidAudioError(
            f"The {kind} file is cut short: it announces {expected_samples} samples, {decoded_samples} are there."
        )


def _opened(source: "_Remainder", kind: str) -> InputContainer:
    try:
        return av.open(
            source,
            "r",
            format=_DEMUXERS[kind],
            container_options=_DEMUXER_OPTIONS,
            metadata_errors="replace",
            io_open=_refuse_open,
        )
    except (av.FFmpegError, ValueError) as error:
        raise InvalidAudioError(f"The {kind} file cannot be read: its headers are damaged.") from error


def _refuse_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """Called when a file asks for another one."""
    raise PermissionError(url, flags, options)


def _audio_stream(container: InputContainer, kind: str) -> AudioStream:
    if not container.streams.audio:
        raise UnsupportedAudioError(f"The {kind} file has no audio track.")
    stream = container.streams.audio[0]
    codec = stream.codec_context
    if codec is None or codec.name not in _DECODERS:
        name = "unknown" if codec is None else codec.name
        raise UnsupportedAudioError(
            f"The {kind} file's audio codec is {name}; allowed: {', '.join(sorted(_DECODERS))}."
        )
    codec.thread_count = 1
    return stream


def _frames(container: InputContainer, stream: AudioStream, kind: str) -> Iterator[AudioFrame]:
    """All frames. A damaged packet ends it with `InvalidAudioError`, but in MP3, which has no framing besides the
    packets, junk between and behind the frames is common and is skipped."""
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.InvalidDataError:
                if kind != "mp3":
                    raise
    except (av.FFmpegError, ValueError) as error:
        raise InvalidAudioError(f"The {kind} file is damaged: it cannot be decoded to its end.") from error


def _checked_rate(rate_hz: int) -> int:
    if not MIN_FILE_RATE_HZ <= rate_hz <= MAX_FILE_RATE_HZ:
        allowed = f"{MIN_FILE_RATE_HZ} to {MAX_FILE_RATE_HZ} Hz"
        raise UnsupportedAudioError(f"The file's sample rate is {rate_hz} Hz; allowed: {allowed}.")
    return rate_hz


def _mono(frame: AudioFrame) -> Samples:
    channels = frame.layout.nb_channels
    if not 1 <= channels <= MAX_FILE_CHANNELS:
        raise UnsupportedAudioError(f"The file has {channels} channels; allowed: 1 to {MAX_FILE_CHANNELS}.")
    name = frame.format.name.removesuffix("p")
    if name not in _OFFSET_AND_SCALE:
        raise UnsupportedAudioError(f"The file's samples are {name}; allowed: {', '.join(_OFFSET_AND_SCALE)}.")
    offset, scale = _OFFSET_AND_SCALE[name]
    # Not `to_ndarray`: of 8 planar channels PyAV 18.1.0 counts 9 planes, and it reads memory that is not there.
    planes = frame.planes[: channels if frame.format.is_planar else 1]
    count = frame.samples * channels // len(planes)
    values = [np.frombuffer(memoryview(plane), _TYPES[name], count) for plane in planes]
    frames = np.stack(values, axis=1) if frame.format.is_planar else values[0].reshape(-1, channels)
    scaled: NDArray[np.float32] = ((frames.astype(np.float64) - offset) * scale).astype(np.float32)
    if not np.isfinite(scaled).all():
        raise InvalidAudioError("The file holds float samples that are not finite.")
    return mixed_to_mono(np.clip(scaled, -1.0, 1.0))


class _Remainder:
    """A binary file from some place on: as much of the interface as a demuxer uses."""

    def __init__(self, source: BinaryIO, start_bytes: int) -> None:
        self._source = source
        self._start_bytes = source.seek(start_bytes)

    def read(self, size: int = -1) -> bytes:
        return self._source.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Raises ValueError for a place that there cannot be, where files raise OSError or OverflowError."""
        if whence == io.SEEK_SET:
            offset += self._start_bytes
        try:
            return self._source.seek(offset, whence) - self._start_bytes
        except (OSError, OverflowError) as error:
            if isinstance(error, OverflowError) or error.errno in (errno.EINVAL, errno.EOVERFLOW):
                raise ValueError(f"No place {offset}") from error
            raise

    def tell(self) -> int:
        return self._source.tell() - self._start_bytes


def _beginning(head: bytes) -> str:
    """The first bytes for people: as text where they are some, else in hex."""
    first = head[:8]
    return shown(first.decode()) if first.isascii() and first.decode().isprintable() else first.hex(" ")
