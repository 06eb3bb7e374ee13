"""Decodes audio files of untrusted senders to s16le mono 16 kHz in constant memory, as far as possible.

Any demuxer and any audio decoder of the installed PyAV may run, on one thread, except those that read other files
(`shared.audio.ffmpeg_build`); only the given bytes can be opened (no protocol, no reference to another file).

Only `shared.decoder` imports this, and runs it in separate processes: a fault of the libraries affects one recording.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Final

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from shared.audio.blocks import BLOCK_BYTES, in_blocks
from shared.audio.containers import (
    ADVICE,
    CONVERT,
    NAMES,
    SNIFF_BYTES,
    TAG_HEAD_BYTES,
    first_frame,
    kind_of_file,
    tag_bytes,
    without_audio,
)
from shared.audio.damage import CHANNELS, CUT_SHORT, DAMAGED, AudioWarning, Damage, incomplete_sample
from shared.audio.extent import Extent, extent_of, tags_bytes
from shared.audio.ffmpeg_build import audio_decoders
from shared.audio.flac import FlacPositions, total_samples
from shared.audio.frames import Sound, with_plain_layout
from shared.audio.mp4_tables import check_tables
from shared.audio.opening import opened
from shared.audio.tracks import TRACKS_BLOCK_BYTES, Separation
from shared.errors import AudioTooLongError, InvalidAudioError, UnsupportedAudioError
from shared.events import SAMPLE_RATE_HZ

_SLACK_S: Final = 0.1
"""How much longer than the limit a file may be: codecs pad to whole frames, and resampling rounds."""
_GAP_S: Final = 0.05
"""A jump of the positions in a file of at least this is missing audio."""
_SHORT_S: Final = 0.25
"""How much shorter than its header declares a file may be without a warning; or a hundredth."""
_UNFRAMED: Final = ("mp3", "aac", "flac", "amr")
"""Kinds with no framing besides the packets: junk after the last one (tags) is common, and is not damage."""
_CODECS: Final = ("aac", "amr", "flac", "mp3")
"""Kinds that have the name of their codec."""
_KINDS: Final = {"mp3": "mp3", "aac": "aac", "flac": "flac", "mpegts": "mpegts", "mpeg": "mpeg"}
"""By demuxer: kinds that ffmpeg also detects if a file begins in the middle of a frame."""


def decode_file(
    source: bytes | BinaryIO | str | PathLike[str],
    *,
    max_duration_s: float | None = None,
    strict: bool = False,
    warn: Callable[[AudioWarning], None] = lambda _: None,
    separation: Separation | None = None,
) -> Iterator[bytes]:
    """A recording as s16le mono 16 kHz, in blocks of `BLOCK_BYTES` (the last is shorter).

    `source` is the file itself, a seekable binary file (left open) or a path. Its first audio track is decoded;
    `shared.audio.downmix` mixes its channels, unless a `separation` keeps them apart as tracks, in blocks of
    `TRACKS_BLOCK_BYTES`. Memory does not grow with the length.

    Damaged or missing parts are skipped and reported to `warn`; with `strict`, they are an `InvalidAudioError`. The
    rate and the channels may change within the file.

    Raises, while iterating: `UnsupportedAudioError` for a file that no decoder here supports, no audio track, more than
    8 channels, a rate outside 6 to 384 kHz; `AudioTooLongError` as soon as more than `max_duration_s` is decoded;
    `InvalidAudioError` for impossible headers, and if no samples are left.
    """
    limits = (max_duration_s, strict, warn, separation)
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield from _decode(io.BytesIO(source), *limits)
    elif isinstance(source, (str, PathLike)):
        with Path(source).open("rb") as file:
            yield from _decode(file, *limits)
    else:
        yield from _decode(source, *limits)


def _decode(
    source: BinaryIO,
    max_duration_s: float | None,
    strict: bool,
    warn: Callable[[AudioWarning], None],
    separation: Separation | None,
) -> Iterator[bytes]:
    start_bytes = tags_bytes(source)
    source.seek(start_bytes)
    head = source.read(SNIFF_BYTES)
    if not head:
        raise InvalidAudioError("The audio is empty.")
    kind = kind_of_file(head)
    if kind is None and (name := without_audio(head)) is not None:
        raise UnsupportedAudioError(f"The file is {name}; {ADVICE}.")
    extent = extent_of(source, kind, start_bytes)
    if kind == "mp4":
        check_tables(source)
    limit_bytes = None if max_duration_s is None else 2 * round((max_duration_s + _SLACK_S) * SAMPLE_RATE_HZ)
    sent_bytes = 0
    with closing(_container(source, start_bytes, head, kind)) as container:
        kind = kind or _KINDS.get(container.format.name)
        name = f"The {NAMES[kind]} file" if kind else f"The file ({container.format.long_name.removeprefix('raw ')})"
        track = _Track(container, kind, name, Damage(name, warn, strict=strict), Sound(separation))
        if kind == "flac":
            track.stated_samples = total_samples(head)
        for block in in_blocks(track.pieces(), BLOCK_BYTES if separation is None else TRACKS_BLOCK_BYTES):
            sent_bytes += len(block) if separation is None else len(block) // (separation.found or 1)
            if limit_bytes is not None and max_duration_s is not None and sent_bytes > limit_bytes:
                raise AudioTooLongError(max_duration_s)
            yield block
        if not sent_bytes:
            raise InvalidAudioError(f"{name} holds no samples.")
        track.report(extent, source.tell())
        for remark in track.sound.remarks:
            warn(AudioWarning(CHANNELS, remark))


def _container(source: BinaryIO, start_bytes: int, head: bytes, kind: str | None) -> InputContainer:
    container = opened(source, start_bytes, kind)
    name = container.format.name
    if kind is not None or name not in _UNFRAMED or not (skipped_bytes := first_frame(head, name)):
        return container
    container.close()
    return opened(source, start_bytes + skipped_bytes, name)


class _Track:
    """The first audio track of an open file."""

    def __init__(self, container: InputContainer, kind: str | None, name: str, damage: Damage, sound: Sound) -> None:
        self._container = container
        self._kind = kind
        self._damage = damage
        self._stream = _audio_stream(container, kind, name)
        self.sound = sound
        self.stated_samples = 0
        """At the rate of the file; 0: not declared."""
        self._stated_s = _stated_s(container, self._stream, kind)
        self._missing_s = 0.0
        """Gaps that have been reported."""
        self._flac = FlacPositions()
        self._next_pts: int | None = None
        self._jump_s = self._jump_at_s = 0.0
        """The largest jump of the times in a WebM file: missing audio, if the file declares more than it holds."""
        self._tag_end = 0
        """Where the last tag in the file ends."""
        self._is_broken = False
        """Whether what follows the last frame could not be read."""

    def pieces(self) -> Iterator[bytes]:
        """Decoded s16le bytes of any size."""
        for packet in self._packets():
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                if not self._is_tag(packet):
                    self._damage.bad_packet(self.sound.taken_s)
                continue
            if frames:
                self._damage.good_packet()
                self._note_gap(self._gap_s(packet, frames))
            for frame in frames:
                try:
                    yield self.sound.feed(frame)
                except UnsupportedAudioError:
                    if not self.sound.taken_samples:
                        raise
                    self._damage.bad_packet(self.sound.taken_s)  # a damaged header may claim anything
        yield self.sound.finish()

    def report(self, extent: Extent, read_bytes: int) -> None:
        """Report what was damaged or missing, once all pieces have been taken and `read_bytes` read."""
        damage, end_s = self._damage, self.sound.taken_s
        missing = self._missing_at_end(extent)
        damage.report_packets(may_end_badly=missing is not None or self._kind in _UNFRAMED)
        if self.sound.infinite_samples:
            count, at_s = self.sound.infinite_samples, self.sound.first_infinite_s
            damage.add(DAMAGED, f"holds {count} samples that are not finite numbers; they become silence.", at_s)
        if missing is not None and self._jump_s > _SHORT_S:
            at_s = self._jump_at_s
            gap = f"{self._jump_s:.2f} s of audio are missing there"
            damage.add(DAMAGED, f"is damaged at {at_s:.2f} s: {gap}; {missing}.", at_s)
        elif missing is not None:
            damage.add(CUT_SHORT, f"is cut short: {missing}; its audio ends at {end_s:.2f} s.", end_s)
        elif self._is_broken and (self._kind is not None or read_bytes < extent.size_bytes):
            # Some demuxers end with an error at the end of the file.
            damage.add(CUT_SHORT, f"is damaged at {end_s:.2f} s: what follows cannot be read.", end_s)
        elif extent.loose_bytes:
            damage.add(CUT_SHORT, incomplete_sample(extent.loose_bytes), end_s)

    def _missing_at_end(self, extent: Extent) -> str | None:
        whole_s = self.sound.taken_s + self._missing_s
        samples = self.sound.taken_samples
        if extent.end_bytes > extent.size_bytes:
            return f"its headers announce {extent.end_bytes} bytes, {extent.size_bytes} are there"
        if samples < self.stated_samples and not (self._missing_s or self._damage.is_noted):
            return f"it announces {self.stated_samples} samples, {samples} are there"
        if whole_s < self._stated_s - max(_SHORT_S, self._stated_s / 100):
            return f"it announces {self._stated_s:.2f} s of audio"
        return None

    def _packets(self) -> "Iterator[Packet[AudioStream]]":
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, ValueError):
                self._is_broken = True
                return
            yield packet

    def _is_tag(self, packet: "Packet[AudioStream]") -> bool:
        """Whether a packet without audio is, or belongs to, a tag: joined files have tags in between."""
        if self._kind not in _UNFRAMED or packet.pos is None:
            return False
        content = bytes(packet)
        self._tag_end = max(self._tag_end, packet.pos)
        while (offset := self._tag_end - packet.pos) < len(content):
            if not (size_bytes := tag_bytes(content[offset : offset + TAG_HEAD_BYTES])):
                break
            self._tag_end += size_bytes
        return self._tag_end > packet.pos

    def _gap_s(self, packet: "Packet[AudioStream]", frames: list[AudioFrame]) -> float:
        """Audio that is missing before a packet, by positions that count samples."""
        rate_hz, first, last = frames[0].sample_rate, frames[0], frames[-1]
        if self._kind == "flac":
            return self._flac.missing_samples(memoryview(packet), [frame.samples for frame in frames]) / rate_hz
        if self._kind not in ("ogg", "webm") or first.pts is None or last.pts is None or first.time_base is None:
            return 0.0
        gap_s = 0.0 if self._next_pts is None else float((first.pts - self._next_pts) * first.time_base)
        self._next_pts = last.pts + round(last.samples / rate_hz / first.time_base)
        if self._kind == "ogg":
            return gap_s
        if gap_s > self._jump_s:
            self._jump_s, self._jump_at_s = gap_s, self.sound.taken_s
        return 0.0

    def _note_gap(self, gap_s: float) -> None:
        if gap_s > _GAP_S:
            at_s = self.sound.taken_s
            self._missing_s += gap_s
            self._damage.add(DAMAGED, f"is damaged at {at_s:.2f} s: {gap_s:.2f} s of audio are missing there.", at_s)


def _stated_s(container: InputContainer, stream: AudioStream, kind: str | None) -> float:
    """The declared length of the track; 0 if it is not declared, or only for a video."""
    if kind == "ogg" and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if kind == "webm" and container.duration and not container.streams.video:
        return container.duration / av.time_base
    return 0.0


def _audio_stream(container: InputContainer, kind: str | None, name: str) -> AudioStream:
    if not container.streams.audio:
        raise UnsupportedAudioError(f"{name} has no audio track; {ADVICE}.")
    stream = container.streams.audio[0]
    codec = stream.codec_context
    if codec is None or codec.name not in audio_decoders():
        what = container.format.long_name.removeprefix("raw ") if kind is None else NAMES[kind]
        decoder = f"{what} decoder" if kind is None or kind in _CODECS else "decoder for its audio"
        raise UnsupportedAudioError(f"{name} cannot be decoded: this build has no {decoder}; {CONVERT}.")
    codec.thread_count = 1
    with_plain_layout(codec)
    return stream
