"""Live streams as recorders produce them: containers in the pieces in which they are sent.

`MediaRecorder` writes WebM with one cluster that has no size, and each of its blocks as soon as it is encoded; ffmpeg's
muxer writes whole clusters, so they are split here. MP4 consists of fragments of any length.
"""

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

_EBML_CLUSTER = 0x1F43B675
_SEGMENT_UNKNOWN = b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
_CLUSTER_UNKNOWN = b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7\x81\x00"
_LONGEST_CLUSTER_MS = 30_000
"""A block's time in its cluster has 16 bits."""
_FRAME_SAMPLES = 960


def webm(pcm: NDArray[np.float32], rate_hz: int = 48_000) -> list[bytes]:
    """The header, then one piece for each block of Opus; `[samples]` or `[samples, channels]`."""
    return _media_recorder(b"".join(_encoded(pcm, rate_hz, "webm", "libopus", {"live": "1"})))


def fragments(pcm: NDArray[np.float32], rate_hz: int = 48_000, fragment_ms: int = 100) -> list[bytes]:
    """MP4 with AAC: the header, then the fragments."""
    flags = {"movflags": "empty_moov+default_base_moof", "frag_duration": str(1000 * fragment_ms)}
    return _encoded(pcm, rate_hz, "mp4", "aac", flags | {"flush_packets": "1"})


def stream_of(kind: str, pcm: NDArray[np.float32], rate_hz: int = 48_000) -> list[bytes]:
    """Any of `ogg`, `mp3`, `adts`, `flac`, `wav`, in the pieces in which it is written."""
    codec = {"ogg": "libopus", "mp3": "libmp3lame", "adts": "aac", "flac": "flac", "wav": "pcm_s16le"}[kind]
    options = {"ogg": {"page_duration": "20000"}, "mp3": {"id3v2_version": "0", "write_xing": "0"}}.get(kind, {})
    return _encoded(pcm, rate_hz, kind, codec, options | {"flush_packets": "1"})


class _Pieces:
    """Collects what is written, piece by piece. It is not seekable."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def write(self, content: bytes) -> int:
        self.taken.append(bytes(content))
        return len(content)


def _encoded(
    pcm: NDArray[np.float32], rate_hz: int, container: str, codec: str, options: dict[str, str]
) -> list[bytes]:
    pieces = _Pieces()
    channels = 1 if pcm.ndim == 1 else pcm.shape[1]
    layout = "mono" if channels == 1 else "stereo"
    samples = np.ascontiguousarray(pcm.reshape(1, -1))
    with av.open(pieces, "w", format=container, options=options) as written:
        stream = written.add_stream(codec, rate=rate_hz)
        stream.layout = layout
        for start in range(0, samples.shape[1], _FRAME_SAMPLES * channels):
            frame = av.AudioFrame.from_ndarray(
                samples[:, start : start + _FRAME_SAMPLES * channels], format="flt", layout=layout
            )
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, start // channels, Fraction(1, rate_hz)
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))
    return pieces.taken


def _media_recorder(content: bytes) -> list[bytes]:
    head = content[: content.index(b"\x1f\x43\xb6\x75")]
    segment = head.index(_SEGMENT_UNKNOWN[:4])
    width = 9 - head[segment + 4].bit_length()
    pieces = [head[:segment] + _SEGMENT_UNKNOWN + head[segment + 4 + width :]]
    start_ms = -_LONGEST_CLUSTER_MS
    for time_ms, block in _blocks(content[len(head) :]):
        if time_ms - start_ms >= _LONGEST_CLUSTER_MS:
            start_ms = time_ms
            pieces.append(_CLUSTER_UNKNOWN[:-2] + b"\x84" + start_ms.to_bytes(4, "big"))
        body = block[:1] + (time_ms - start_ms).to_bytes(2, "big") + block[3:]
        pieces.append(b"\xa3" + (0x4000 | len(body)).to_bytes(2, "big") + body)
    return pieces


def _blocks(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Time and content of each SimpleBlock of some clusters (RFC 9559)."""
    position = cluster_ms = 0
    while position < len(content):
        name, position = _number(content, position, keep_mark=True)
        size, position = _number(content, position)
        if name == _EBML_CLUSTER:
            continue
        body = content[position : position + size]
        position += size
        if name == 0xE7:
            cluster_ms = int.from_bytes(body, "big")
        elif name == 0xA3:
            yield cluster_ms + int.from_bytes(body[1:3], "big", signed=True), body
        elif name == 0xA0:  # a group, whose first element is the block
            inner, start = _number(body, 0, keep_mark=True)
            assert inner == 0xA1
            length, start = _number(body, start)
            block = body[start : start + length]
            yield cluster_ms + int.from_bytes(block[1:3], "big", signed=True), block


def _number(content: bytes, position: int, *, keep_mark: bool = False) -> tuple[int, int]:
    """A number of variable length, and where it ends (RFC 8794, section 4)."""
    width = 9 - content[position].bit_length()
    value = int.from_bytes(content[position : position + width], "big")
    return value if keep_mark else value & ((1 << 7 * width) - 1), position + width
