"""Decodes a live stream as it arrives, from an address (HTTP, HLS, RTSP, …) or from a pipe, to s16le mono 16 kHz.

Only for streams that the user of this machine has named: unlike recordings of clients, they may open connections. They
cannot open files. Only `shared.decoder.network` imports this, in a process of its own.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO, Final

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from shared.audio.ffmpeg_build import audio_decoders
from shared.audio.frames import Sound, with_plain_layout
from shared.errors import InvalidAudioError, UnsupportedAudioError

PROTOCOLS: Final = ("crypto", "data", "http", "https", "httpproxy", "rtmp", "rtmps", "rtp", "rtsp", "tcp", "tls", "udp")
"""What a stream may open. A playlist cannot refer to files of this machine."""
TIMEOUT_S: Final = 30.0
"""How long a server may send nothing."""
REASON_CHARS: Final = 200


def decode_stream(source: str | BinaryIO) -> Iterator[bytes]:
    """The audio of the first track, in pieces of any size, until the stream ends. Damaged packets are left out.

    Raises `InvalidAudioError` and `UnsupportedAudioError`.
    """
    with closing(_opened(source)) as container:
        if not container.streams.audio:
            raise UnsupportedAudioError("The stream has no audio track.")
        stream = container.streams.audio[0]
        with_plain_layout(stream.codec_context)
        sound = Sound()
        yield from _pieces(container, stream, sound)
        yield sound.finish()
        if not sound.taken_samples:
            raise InvalidAudioError("The stream holds no samples.")


def _opened(source: str | BinaryIO) -> InputContainer:
    options = {"codec_whitelist": ",".join(sorted(audio_decoders())), "protocol_whitelist": ",".join(PROTOCOLS)}
    try:
        if isinstance(source, str):
            return av.open(source, mode="r", options=options, timeout=TIMEOUT_S)
        return av.open(source, mode="r", options=options | {"protocol_whitelist": "none"})
    except (av.FFmpegError, ValueError) as error:
        raise InvalidAudioError(f"The stream cannot be opened: {_reason(error)}.") from None


def _pieces(container: InputContainer, stream: AudioStream, sound: Sound) -> Iterator[bytes]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, ValueError) as error:
            if sound.taken_samples:  # what has been decoded is used
                return
            raise InvalidAudioError(f"The stream cannot be read: {_reason(error)}.") from None
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            continue
        for frame in frames:
            yield sound.feed(frame)


def _reason(error: Exception) -> str:
    """FFmpeg's words, without its number and the address."""
    words = error.strerror if isinstance(error, av.FFmpegError) else str(error)
    return (words or type(error).__name__)[:REASON_CHARS].rstrip(".")
