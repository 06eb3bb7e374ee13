"""The audio of one message: a file or raw samples, distinguished by its first bytes. Decodes raw samples;
`shared.decoder` decodes files."""

from collections.abc import Callable, Iterator

from shared.audio.blocks import BLOCK_BYTES, in_blocks
from shared.audio.containers import SNIFF_BYTES, sniff
from shared.audio.damage import CUT_SHORT, AudioWarning, Damage, incomplete_sample
from shared.audio.guess import guess_raw
from shared.audio.pcm import AudioFormat
from shared.audio.stream import PcmStream
from shared.audio.tracks import TRACKS_BLOCK_BYTES, Separation, TrackStream
from shared.errors import AudioTooLongError, InvalidAudioError
from shared.events import SAMPLE_RATE_HZ


def is_file(payload: bytes) -> bool:
    """Whether the bytes begin like a file. If so, they are treated as one, whatever their sender declares."""
    return sniff(payload[:SNIFF_BYTES]) is not None


def decode_raw(
    payload: bytes,
    encoding: str | None,
    sample_rate: int = SAMPLE_RATE_HZ,
    channels: int = 1,
    *,
    separation: Separation | None = None,
    max_duration_s: float | None = None,
    strict: bool = False,
    warn: Callable[[AudioWarning], None] = lambda _: None,
) -> Iterator[bytes]:
    """Raw samples as s16le mono 16 kHz in blocks of `BLOCK_BYTES`; with a `separation`, each channel as a track.

    Their format is `encoding` (see `guess_raw` for None), `sample_rate` and `channels`. An incomplete sample at the end
    is dropped and reported to `warn`; with `strict`, it is an `InvalidAudioError`. Raises what `AudioFormat` and
    `PcmStream` raise, when the first blocks are taken.
    """
    if not payload:
        raise InvalidAudioError("The audio is empty.")
    encoding = guess_raw(payload) if encoding is None else encoding
    audio_format = AudioFormat(encoding, sample_rate, channels, separate=separation is not None)
    if loose_bytes := len(payload) % audio_format.frame_bytes:
        payload = payload[: len(payload) - loose_bytes]
        end_s = audio_format.duration_s(len(payload))
        Damage("The audio", warn, strict=strict).add(CUT_SHORT, incomplete_sample(loose_bytes), end_s)
    if max_duration_s is not None and audio_format.duration_s(len(payload)) > max_duration_s:
        raise AudioTooLongError(max_duration_s)
    if separation is None:
        yield from in_blocks(_raw_pieces(payload, PcmStream(audio_format)))
    else:
        separation.found = channels
        yield from in_blocks(_raw_pieces(payload, TrackStream(audio_format, channels)), TRACKS_BLOCK_BYTES)


def _raw_pieces(payload: bytes, stream: PcmStream | TrackStream) -> Iterator[bytes]:
    """Decoded s16le bytes; the payload is read in pieces, so that there is no second copy of it as floats."""
    for start in range(0, len(payload), BLOCK_BYTES):
        yield stream.feed(payload[start : start + BLOCK_BYTES])
    stream.check_whole()
    yield stream.finish()
