"""The audio of one message: a file or raw samples, told apart by its first bytes."""

from collections.abc import Iterator

from shared.audio.blocks import BLOCK_BYTES, in_blocks
from shared.audio.containers import SNIFF_BYTES, sniff
from shared.audio.guess import guess_raw
from shared.audio.pcm import AudioFormat
from shared.audio.stream import PcmStream
from shared.errors import AudioTooLongError, InvalidAudioError
from shared.events import SAMPLE_RATE_HZ


def decode_payload(
    payload: bytes,
    encoding: str | None,
    sample_rate: int = SAMPLE_RATE_HZ,
    channels: int = 1,
    *,
    max_duration_s: float | None = None,
) -> Iterator[bytes]:
    """One message's audio, file or raw, as s16le mono 16 kHz in blocks of `BLOCK_BYTES`.

    Bytes that begin like a file are one, whatever `encoding` says. Otherwise they are raw samples of `encoding`
    (see `guess_raw` for None), `sample_rate` and `channels`. Raises what `decode_file`, `AudioFormat` and
    `PcmStream` raise, all of it when the first blocks are taken.
    """
    if not payload:
        raise InvalidAudioError("The audio is empty.")
    if sniff(payload[:SNIFF_BYTES]):
        from shared.audio.files import decode_file  # noqa: PLC0415 -- 17 MB that raw audio does not need

        yield from decode_file(payload, max_duration_s=max_duration_s)
        return
    audio_format = AudioFormat(guess_raw(payload) if encoding is None else encoding, sample_rate, channels)
    if max_duration_s is not None and audio_format.duration_s(len(payload)) > max_duration_s:
        raise AudioTooLongError(max_duration_s)
    yield from in_blocks(_raw_pieces(payload, PcmStream(audio_format)))


def _raw_pieces(payload: bytes, stream: PcmStream) -> Iterator[bytes]:
    """Decoded s16le bytes; the payload is read in pieces, so that no second copy of it is held as floats."""
    for start in range(0, len(payload), BLOCK_BYTES):
        yield stream.feed(payload[start : start + BLOCK_BYTES])
    yield stream.finish()
