"""Converts a live client's bytes to s16le 16 kHz: raw samples, with or without WAV headers. No I/O.

The result is mono, or has a track for each channel if the format is `separate`.

The session defines the format of raw samples, or a WAV header: at the beginning, after the samples of the previous
header, or at the beginning of a message. Anything else that is recognised is rejected.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from shared.audio.pcm import AudioFormat
from shared.audio.recognition import CONTAINERS, NAMES, start_of
from shared.audio.stream import PcmStream
from shared.audio.tracks import TrackStream
from shared.audio.wav_header import WavHeader, is_wav_head
from shared.errors import InvalidAudioError, UnsupportedAudioError
from shared.events import SAMPLE_RATE_HZ

CONTAINER: Final = "container"
"""The `encoding` of audio in a container, which `shared.decoder` decodes."""
STORED_FORMAT: Final = AudioFormat("pcm_s16le", SAMPLE_RATE_HZ, 1)
HEADERS_PER_MESSAGE: Final = 64
"""Each may name another format, and a resampler takes a millisecond to create."""
_HEAD_BYTES: Final = 12
_CHUNKS: Final = (b"LIST", b"id3 ", b"ID3 ", b"cue ", b"smpl", b"bext", b"iXML", b"PEAK", b"fact", b"afsp", b"_PMX")
"""Chunks of a WAV file after its samples."""

Warned: TypeAlias = tuple[str, str]
"""Code and message."""
_Step: TypeAlias = "Callable[[bytes], tuple[bytes, bytes]]"
"""Takes bytes; returns the audio that they complete, and the bytes for the next step."""


class UnsupportedStreamError(UnsupportedAudioError):
    """The stream is not raw samples. All of it is rejected, with the same error."""


class LiveAudio:
    """One session's audio on one connection."""

    def __init__(self, audio_format: AudioFormat, *, takes_container: bool = False) -> None:
        """`takes_container`: whether the client could have chosen `CONTAINER`, so that the message says so."""
        self._takes_container = takes_container
        self._tracks = audio_format.channels if audio_format.separate else None
        self._stream = self._new_stream(audio_format)
        self._step: _Step = self._recognise
        self._kept = b""
        """Bytes whose kind is not known yet."""
        self._header = WavHeader(separate=audio_format.separate)
        self._headers = 0
        """Number of headers in this message."""
        self._left_bytes: int | None = None
        """Remaining bytes of the samples that a WAV header declared, or of a chunk that is being skipped."""
        self._refusal: UnsupportedStreamError | None = None
        self._warned: set[str] = set()
        self._warnings: list[Warned] = []

    def feed(self, chunk: bytes, *, begins_message: bool = False) -> bytes:
        """The audio that these bytes complete.

        Raises InvalidAudioError, after which the conversion starts afresh, and UnsupportedStreamError, which every
        later call raises too.
        """
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)  # a traceback grows with each raise, and holds the audio
        if begins_message:
            self._headers = 0
            if self._step == self._take_samples and is_wav_head(chunk):
                self._begin_header()
        try:
            return self._take(chunk)
        except InvalidAudioError:
            self._stream, self._step, self._left_bytes = self._new_stream(self._stream.format), self._take_samples, None
            raise
        except UnsupportedAudioError as error:
            self._refusal = UnsupportedStreamError(error.message)
            raise self._refusal from None

    def flush(self) -> bytes:
        """Nothing follows these bytes for now: bytes that may be the beginning of a signature are treated as samples.

        Raises what `feed` raises.
        """
        if self._step != self._recognise or self._refusal is not None:
            return b""
        kept, self._kept = self._kept, b""
        if (kind := start_of(kept, is_all=True).kind) not in (None, "wav"):
            self._refusal = UnsupportedStreamError(self._explained(kind))
            raise self._refusal
        self._step = self._take_samples
        return self._take(kept)

    def finish(self) -> bytes:
        """The remaining audio. An incomplete sample is dropped, with a warning."""
        if self._refusal is not None:
            return b""
        return self.flush() + self._end_stream()

    def take_warnings(self) -> list[Warned]:
        """The warnings for the client, each once."""
        mix = self._stream.mix
        if mix is not None and mix.warning is not None:
            self._warn(*mix.warning)
        warnings, self._warnings = self._warnings, []
        return warnings

    def _take(self, chunk: bytes) -> bytes:
        pcm = []
        while chunk:
            settled, chunk = self._step(chunk)
            pcm.append(settled)
        return b"".join(pcm)

    def _recognise(self, chunk: bytes) -> tuple[bytes, bytes]:
        head = self._kept + chunk
        start = start_of(head)
        self._kept = head if start.wants_more else b""
        if start.wants_more:
            return b"", b""
        if start.kind == "wav":
            self._begin_header()
        elif start.kind is None:
            self._step = self._take_samples
        else:
            raise UnsupportedAudioError(self._explained(start.kind))
        return b"", head

    def _explained(self, kind: str | None) -> str:
        name = NAMES.get(kind or "", str(kind).upper())
        may_choose = self._takes_container and kind in CONTAINERS
        ways = [f'start with encoding "{CONTAINER}" to send it live'] if may_choose else []
        ways += ["send raw samples, with a WAV header or in the format of the session", "upload it as a recording"]
        return f"The audio is {name}, and the session takes raw samples: {', or '.join(ways)}."

    def _begin_header(self) -> None:
        self._headers += 1
        if self._headers > HEADERS_PER_MESSAGE:
            raise InvalidAudioError(f"The message holds more than {HEADERS_PER_MESSAGE} WAV headers.")
        self._header, self._left_bytes, self._kept = WavHeader(separate=self._tracks is not None), None, b""
        self._step = self._take_header

    def _take_header(self, chunk: bytes) -> tuple[bytes, bytes]:
        found = self._header.feed(chunk)
        if found is None:
            return b"", b""
        samples, rest = found
        self._step, self._left_bytes = self._take_samples, samples.size_bytes
        if samples.audio_format == self._stream.format:
            return b"", rest
        ended = self._end_stream()
        self._stream = self._new_stream(samples.audio_format)
        return ended, rest

    def _take_samples(self, chunk: bytes) -> tuple[bytes, bytes]:
        if self._left_bytes is None:
            return self._stream.feed(chunk), b""
        own = chunk[: self._left_bytes]
        self._left_bytes -= len(own)
        if not self._left_bytes:
            self._step = self._take_end
        return self._stream.feed(own), chunk[len(own) :]

    def _take_end(self, chunk: bytes) -> tuple[bytes, bytes]:
        """After the samples that a header declared: another header, a chunk to skip, or more samples."""
        waiting = self._kept + chunk
        self._kept = waiting if len(waiting) < _HEAD_BYTES else b""
        if self._kept:
            return b"", b""
        if is_wav_head(waiting):
            self._begin_header()
        elif waiting[:4] in _CHUNKS:
            size_bytes = int.from_bytes(waiting[4:8], "little")
            self._left_bytes, self._step = 8 + size_bytes + size_bytes % 2, self._skip
        else:
            self._left_bytes, self._step = None, self._take_samples
        return b"", waiting

    def _skip(self, chunk: bytes) -> tuple[bytes, bytes]:
        assert self._left_bytes is not None
        skipped = min(self._left_bytes, len(chunk))
        self._left_bytes -= skipped
        if not self._left_bytes:
            self._step = self._take_end
        return b"", chunk[skipped:]

    def _end_stream(self) -> bytes:
        """The remaining samples of one format."""
        if count := self._stream.rest_bytes:
            self._warn("incomplete_sample", f"The audio ended within a sample; its {count} byte(s) were dropped.")
        return self._stream.finish()

    def _new_stream(self, audio_format: AudioFormat) -> "PcmStream | TrackStream | WholeSamples":
        """Raises UnsupportedAudioError for more channels than the session has tracks."""
        if self._tracks is not None:
            is_stored = audio_format == AudioFormat("pcm_s16le", SAMPLE_RATE_HZ, self._tracks, separate=True)
            return WholeSamples(audio_format) if is_stored else TrackStream(audio_format, self._tracks)
        return WholeSamples(audio_format) if audio_format == STORED_FORMAT else PcmStream(audio_format)

    def _warn(self, code: str, message: str) -> None:
        if code not in self._warned:
            self._warned.add(code)
            self._warnings.append((code, message))


class WholeSamples:
    """Audio in the format that a session stores: only an incomplete sample is kept for the next chunk."""

    mix = None

    def __init__(self, audio_format: AudioFormat) -> None:
        self.format = audio_format
        self._frame_bytes = audio_format.frame_bytes
        self._rest = b""

    @property
    def rest_bytes(self) -> int:
        """Bytes of an incomplete sample; `finish` drops them."""
        return len(self._rest)

    def feed(self, chunk: bytes) -> bytes:
        if self._rest:
            chunk, self._rest = self._rest + chunk, b""
        if loose_bytes := len(chunk) % self._frame_bytes:
            chunk, self._rest = chunk[:-loose_bytes], chunk[-loose_bytes:]
        return chunk

    def finish(self) -> bytes:
        self._rest = b""
        return b""
