"""Checks that the sample tables of an MP4 file are possible, before a demuxer builds an index from them.

A few bytes may announce billions of samples, and an index takes at least 24 bytes of memory for each. Reads headers and
tables, never samples. Tables that pass may still be wrong: the memory of the decoder's process is bounded.
"""

import io
from typing import BinaryIO

import numpy as np

from shared.errors import InvalidAudioError

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf"})
_ENTRY_BYTES = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4}
"""Tables of this form: version and flags, the number of entries, the entries (ISO/IEC 14496-12, section 8)."""
_RUNS = frozenset({b"stts", b"ctts"})
"""Tables whose entries begin with a number of samples."""
_MAX_BOXES = 1_000_000
_PIECE_BYTES = 1 << 20
_FEW_SAMPLES = 1_000_000
"""An index of so many takes at most 50 MB: a file that is cut short may announce them."""


def check_tables(source: BinaryIO) -> None:
    """Raises `InvalidAudioError` for tables that announce more than their box, or the file, can hold, and for a
    compressed `moov`. Leaves `source` at its start."""
    _Walk(source).run()
    source.seek(0)


class _Walk:
    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._size_bytes = source.seek(0, io.SEEK_END)
        self._fragment_samples = 0

    def run(self) -> None:
        """Read box after box: containers are entered, tables are checked, everything else is skipped."""
        position = 0
        ends = [self._size_bytes]
        for _ in range(_MAX_BOXES):
            while ends and position + 8 > ends[-1]:
                position = ends.pop()
            if not ends:
                return
            self._source.seek(position)
            header = self._source.read(16)
            box_bytes, name, head_bytes = int.from_bytes(header[:4], "big"), header[4:8], 8
            if box_bytes == 1:
                box_bytes, head_bytes = int.from_bytes(header[8:16], "big"), 16
            end = ends[-1] if box_bytes == 0 else min(ends[-1], position + max(box_bytes, head_bytes))
            position += head_bytes
            if name == b"cmov":
                raise InvalidAudioError("The MP4 file's index is compressed (cmov); allowed: an uncompressed index.")
            if name in _CONTAINERS:
                ends.append(end)
            else:
                self._check(name, position, end)
                position = end
        raise InvalidAudioError(f"The MP4 file has more than {_MAX_BOXES} boxes.")

    def _check(self, name: bytes, start: int, end: int) -> None:
        self._source.seek(start)
        if name in _ENTRY_BYTES:
            count = self._number(4)
            self._check_room(name, count, 8 + count * _ENTRY_BYTES[name], end - start)
            if name in _RUNS:
                self._check_samples(self._run_total(start + 8, start + 8 + count * 8))
        elif name == b"stsz":
            size_bytes, count = self._number(4), self._number(0)
            self._check_room(name, count, 12 + (0 if size_bytes else 4 * count), end - start)
            self._check_samples(count)
        elif name == b"stz2":
            size_bits, count = self._number(4) & 0xFF, self._number(0)
            self._check_room(name, count, 12 + count * size_bits // 8, end - start)
        elif name == b"elst":
            entry_bytes = 20 if self._number(0) >> 24 else 12
            count = self._number(0)
            self._check_room(name, count, 8 + count * entry_bytes, end - start)
        elif name == b"trun":
            flags, count = self._number(0) & 0xFFFFFF, self._number(0)
            fields = (flags & 0xF00).bit_count()
            self._check_room(name, count, 8 + count * 4 * fields, end - start)
            self._fragment_samples += count
            self._check_samples(self._fragment_samples)

    def _number(self, skipped_bytes: int) -> int:
        """The next 32-bit number."""
        return int.from_bytes(self._source.read(skipped_bytes + 4)[skipped_bytes:], "big")

    def _check_room(self, name: bytes, entries: int, needed_bytes: int, box_bytes: int) -> None:
        if entries and needed_bytes > box_bytes:
            raise InvalidAudioError(
                f"The MP4 file's table {name.decode()} announces {entries} entries; its {box_bytes} bytes cannot hold "
                "them."
            )

    def _check_samples(self, count: int) -> None:
        """Each sample takes at least a byte."""
        if count > max(self._size_bytes, _FEW_SAMPLES):
            raise InvalidAudioError(f"The MP4 file announces {count} samples; the file has {self._size_bytes} bytes.")

    def _run_total(self, start: int, end: int) -> int:
        """The number of samples of all entries; each takes at least a byte."""
        total = 0
        self._source.seek(start)
        for position in range(start, end, _PIECE_BYTES):
            piece = self._source.read(min(_PIECE_BYTES, end - position))
            total += int(np.frombuffer(piece, ">u4")[::2].sum(dtype=np.uint64))
        return total
