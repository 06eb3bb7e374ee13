"""Decodes audio in a container that is still being recorded, as it arrives, to s16le mono 16 kHz.

It supports what a recorder in a browser sends (WebM or Ogg with Opus, fragmented MP4), MP3, AAC, FLAC and WAV. It
never seeks, and returns all audio that can be decoded before it waits for more bytes. Damaged packets are skipped.

Only `shared.decoder` imports this, and runs it in separate processes: see `shared.audio.files`.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from shared.audio.blocks import BLOCK_BYTES
from shared.audio.containers import SNIFF_BYTES, id3_bytes, kind_of_file, without_audio
from shared.audio.damage import AudioWarning
from shared.audio.frames import MAX_FILE_CHANNELS, channels_of
from shared.audio.opening import refuse_open
from shared.audio.pcm import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, mixed_to_mono, to_s16le
from shared.audio.recognition import CONTAINERS, NAMES, start_of
from shared.audio.resample import Resampler
from shared.audio.stereo import StereoMix
from shared.audio.tracks import TRACKS_BLOCK_BYTES, SeparateTracks, check_channels
from shared.errors import InvalidAudioError, UnsupportedAudioError

MAX_BAD_PACKETS: Final = 100
"""Damaged packets in a row: about five seconds."""
_MAX_TAG_BYTES: Final = 64 << 20
_DEMUXERS: Final = {kind: {"webm": "matroska"}.get(kind, kind) for kind in CONTAINERS}
_CODECS: Final = (
    "aac,alac,flac,mp3,mp3float,opus,libopus,vorbis,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,"
    "pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be"
)
_OPTIONS: Final = {
    "protocol_whitelist": "none",
    "codec_whitelist": _CODECS,
    "max_streams": "32",
    # Measured: without these two, a second or more is read before the first sample is decoded.
    "probesize": "32",
    "analyzeduration": "0",
}


class LiveSource:
    """The messages of a client as one stream of bytes, with the part of a file's interface that a demuxer uses."""

    def __init__(self, next_message: Callable[[], bytes], before_waiting: Callable[[], None]) -> None:
        """`next_message` waits for one, and returns none at the end; `before_waiting` is called before it waits."""
        self._next_message = next_message
        self._before_waiting = before_waiting
        self._waiting = b""
        self._ended = False
        self._divided = False
        """Whether another container begins with the waiting bytes."""
        self.received_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, at least one; none at the end of a container."""
        if not self._waiting and not self._ended:
            self._more()
            self._divided = bool(self._waiting) and start_of(self._waiting, is_all=True).kind in ("webm", "mp4", "ogg")
        if self._divided:
            return b""
        count = len(self._waiting) if size < 0 else size
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def begin(self) -> tuple[str | None, bool]:
        """The kind of what begins here (see `start_of`), and whether anything does."""
        self._divided = False
        while (start := start_of(self._waiting)).wants_more and not self._ended:
            self._more()
        if start.wants_more:
            start = start_of(self._waiting, is_all=True)
        if start.kind == "mp3" and self._waiting[:3] == b"ID3":
            self._skip_tag()
        return start.kind, bool(self._waiting)

    @property
    def beginning(self) -> bytes:
        """Its first bytes, before any were taken."""
        return self._waiting[:SNIFF_BYTES]

    def _skip_tag(self) -> None:
        """No decoder gets a tag, since its frames may be compressed and expand to gigabytes."""
        left = id3_bytes(self._waiting)
        if left > _MAX_TAG_BYTES:
            raise InvalidAudioError(f"The MP3 audio begins with a tag of {left} bytes.")
        while left:
            if not self._waiting:
                self._more()
            if self._ended:
                return
            skipped, self._waiting = self._waiting[:left], self._waiting[left:]
            left -= len(skipped)

    def _more(self) -> None:
        self._before_waiting()
        message = self._next_message()
        self._waiting += message
        self.received_bytes += len(message)
        self._ended = not message


class LiveDecoding:
    """Decodes the messages of one client. `run` returns at their end."""

    def __init__(
        self,
        next_message: Callable[[], bytes],
        send: Callable[[bytes, int], None],
        warn: Callable[[AudioWarning], None] = lambda _: None,
        tracks: int | None = None,
    ) -> None:
        """`send` takes at most one block of audio, and how many bytes have been received.

        It is called without audio whenever all that can be decoded of them has been sent. `warn` takes each warning
        once. With `tracks`, each channel becomes a track; a stream with more channels is rejected.
        """
        self._send = send
        self._tracks = tracks
        self._block_bytes = BLOCK_BYTES if tracks is None else TRACKS_BLOCK_BYTES
        self._source = LiveSource(next_message, self._report_waiting)
        self._pending = bytearray()
        self._warn = warn
        self._warned: set[str] = set()

    def run(self) -> None:
        """Raises UnsupportedAudioError and InvalidAudioError."""
        kind, has_begun = self._source.begin()
        while has_begun:
            if kind not in _DEMUXERS:
                raise UnsupportedAudioError(_explained(kind, self._source.beginning))
            for pcm in _decoded(self._source, kind, self._tell, self._tracks):
                self._take(pcm)
            kind, has_begun = self._source.begin()
        self._flush()

    def _take(self, pcm: bytes) -> None:
        self._pending += pcm
        while len(self._pending) >= self._block_bytes:
            self._send(bytes(self._pending[: self._block_bytes]), self._source.received_bytes)
            del self._pending[: self._block_bytes]

    def _tell(self, code: str, message: str) -> None:
        if code not in self._warned:
            self._warned.add(code)
            self._warn(AudioWarning(code, message))

    def _flush(self) -> None:
        if self._pending:
            self._send(bytes(self._pending), self._source.received_bytes)
            self._pending.clear()

    def _report_waiting(self) -> None:
        self._flush()
        self._send(b"", self._source.received_bytes)


def _decoded(source: LiveSource, kind: str, tell: Callable[[str, str], None], tracks: int | None) -> Iterator[bytes]:
    name = NAMES[kind]
    with closing(_opened(source, kind)) as container:
        stream = _audio_stream(container, name)
        sound: _Sound | None = None
        for frame in _frames(container, stream, name):
            if sound is None or not sound.suits(frame):
                if sound is not None:
                    yield sound.finish()
                sound = _Sound(frame, name, tracks)
            yield sound.feed(frame)
            if sound.warning is not None:
                tell(*sound.warning)
        if sound is not None:
            yield sound.finish()


def _opened(source: LiveSource, kind: str) -> InputContainer:
    try:
        return av.open(
            source,
            "r",
            format=_DEMUXERS[kind],
            container_options=_OPTIONS,
            metadata_errors="replace",
            io_open=refuse_open,
        )
    except (av.FFmpegError, ValueError) as error:
        raise InvalidAudioError(f"The {NAMES[kind]} audio cannot be read: its headers are damaged.") from error


def _audio_stream(container: InputContainer, name: str) -> AudioStream:
    if not container.streams.audio:
        raise UnsupportedAudioError(f"The {name} stream has no audio track.")
    stream = container.streams.audio[0]
    codec = stream.codec_context
    if codec is None or codec.name not in _CODECS.split(","):
        what = "unknown" if codec is None else codec.name
        raise UnsupportedAudioError(f"The audio codec of the {name} stream is {what}; allowed: {_CODECS}.")
    codec.thread_count = 1
    return stream


def _frames(container: InputContainer, stream: AudioStream, name: str) -> Iterator[AudioFrame]:
    bad_packets, has_frames = 0, False
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                bad_packets += 1
                if bad_packets == MAX_BAD_PACKETS:
                    raise
                continue
            bad_packets = 0
            has_frames = has_frames or bool(frames)
            yield from frames
    except (av.FFmpegError, ValueError) as error:
        if name == NAMES["mp4"] and not has_frames:
            raise UnsupportedAudioError(
                "The MP4 stream cannot be decoded live: its index is not at its beginning. Send it in "
                "fragments, as recorders in browsers do, or upload it as a recording."
            ) from error
        raise InvalidAudioError(f"The {name} stream is damaged: it cannot be decoded any further.") from error


class _Sound:
    """Frames of one rate and one number of channels as s16le 16 kHz: mono, or with `tracks` one track a channel."""

    def __init__(self, first: AudioFrame, name: str, tracks: int | None) -> None:
        self._rate_hz, self._channels = first.sample_rate, first.layout.nb_channels
        if not MIN_SAMPLE_RATE_HZ <= self._rate_hz <= MAX_SAMPLE_RATE_HZ:
            allowed = f"{MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz"
            raise UnsupportedAudioError(f"The {name} stream has {self._rate_hz} Hz; allowed: {allowed}.")
        if not 1 <= self._channels <= MAX_FILE_CHANNELS:
            raise UnsupportedAudioError(
                f"The {name} stream has {self._channels} channels; allowed: 1 to {MAX_FILE_CHANNELS}."
            )
        self._tracks: SeparateTracks | None = None
        if tracks is not None:
            check_channels(self._channels, tracks)
            self._tracks = SeparateTracks(self._rate_hz, self._channels, tracks)
        self._mix = StereoMix(self._rate_hz) if self._channels == 2 and tracks is None else None
        self._resampler = Resampler(self._rate_hz)

    @property
    def warning(self) -> tuple[str, str] | None:
        """Code and message of a current fault of the channels."""
        return None if self._mix is None else self._mix.warning

    def suits(self, frame: AudioFrame) -> bool:
        return (frame.sample_rate, frame.layout.nb_channels) == (self._rate_hz, self._channels)

    def feed(self, frame: AudioFrame) -> bytes:
        samples = np.clip(np.nan_to_num(channels_of(frame), posinf=0, neginf=0), -1.0, 1.0)
        if self._tracks is not None:
            return self._tracks.feed(samples)
        mono = mixed_to_mono(samples) if self._mix is None else self._mix.feed(samples)
        return to_s16le(self._resampler.feed(mono))

    def finish(self) -> bytes:
        return to_s16le(self._resampler.finish()) if self._tracks is None else self._tracks.finish()


def _explained(kind: str | None, head: bytes) -> str:
    """Why a stream with these first bytes, of this kind (see `start_of`), is not decoded."""
    allowed = f"containers that are supported live: {', '.join(NAMES[one] for one in CONTAINERS)}"
    kind = kind or kind_of_file(head)
    if kind is not None:
        return f"The audio is {NAMES[kind]}; {allowed}. Send one of them, or upload a recording."
    return f"The audio is {without_audio(head) or 'of an unknown kind'}; {allowed}."
