"""Damaged recordings: small files of every kind, changed in the ways that break demuxers.

The same seed gives the same mutants.
"""

import random
import struct
from collections.abc import Iterator
from functools import cache

from tests.containers import written
from tests.unit.shared.audio.test_files import KINDS, made, recorded, video
from tests.unit.shared.audio.test_tables import announcing, box, compressed_frame, id3, rebuilt

DURATION_S = 0.3
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 80_000_000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
HEADER_BYTES = 600
OTHERS = (
    *("adts", "aiff", "au", "caf", "w64", "wav-adpcm", "wav-g722", "amr", "3gp-amr", "mov-pcm", "mpegts-mp2"),
    *("mpeg-mp2", "ac3", "mkv-ac3", "wma", "avi-mp3", "flv-aac", "wavpack", "rm"),
)
SURROUND = ("ogg-opus", "webm-opus", "m4a-aac", "m4a-alac", "flac")


@cache
def bases() -> tuple[bytes, ...]:
    """What mutants are made of."""
    edits = struct.pack(">II", 0, 20) + struct.pack(">IiI", 500, 0, 0x10000) * 20
    return (
        *(made(kind, DURATION_S) for kind in KINDS),
        *(made(kind, DURATION_S, 8) for kind in SURROUND),
        *(recording for kind in OTHERS if (recording := written(kind, 1, DURATION_S)) is not None),
        recorded("mp4", "aac", movflags="empty_moov"),
        recorded("webm", "libopus", live="1"),
        video(with_audio=True),
        id3(compressed_frame(20)) + made("mp3", DURATION_S),
        announcing(1000),
        rebuilt(made("m4a-aac", DURATION_S), {b"elst": lambda _: edits}),
        made("m4a-aac", DURATION_S) + box(b"moov", box(b"cmov", bytes(20))),
    )


def mutants(seed: int, count: int) -> Iterator[bytes]:
    """So many of them, of all bases in turn."""
    generator = random.Random(seed)
    for number in range(count):
        yield _mutant(bases()[number % len(bases())], generator)


def _mutant(base: bytes, generator: random.Random) -> bytes:
    content = bytearray(base)
    for _ in range(generator.choice((1, 1, 2, 5, 20))):
        reach = generator.choice((64, HEADER_BYTES, len(content)))
        at = generator.randrange(max(1, min(reach, len(content))))
        if generator.random() < 0.3:  # the index of many files is at their end
            at = max(0, len(content) - 1 - at)
        _change(content, at, generator)
    return bytes(content)


def _change(content: bytearray, at: int, generator: random.Random) -> None:
    match generator.randrange(7):
        case 0:
            content[at : at + 1] = bytes([generator.randrange(256)])
        case 1:
            content[at : at + 1] = bytes([(content[at] if at < len(content) else 0) ^ 1 << generator.randrange(8)])
        case 2:
            number = generator.choice(EXTREMES)
            order = generator.choice(("big", "little"))
            content[at : at + 4] = number.to_bytes(4, order)
        case 3:
            content[at:at] = generator.randbytes(generator.choice((1, 4, 100)))
        case 4:
            del content[at : at + generator.choice((1, 4, 100))]
        case 5:
            part = bytes(content[at : at + generator.choice((8, 100, 1000))])
            content[at:at] = part * generator.choice((1, 3, 50))
        case _:
            other = generator.choice(bases())
            start = generator.randrange(len(other))
            content[at : at + 200] = other[start : start + 200]
