"""Decoded audio in blocks of one size, so that later stages get no huge ones."""

from collections.abc import Iterator

from shared.events import SAMPLE_RATE_HZ

BLOCK_BYTES = 2 * SAMPLE_RATE_HZ
"""One second of s16le mono at 16 kHz: the size of all decoded blocks except the last."""


def in_blocks(pieces: Iterator[bytes], block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The same bytes in blocks of `block_bytes`; the last one may be shorter, none is empty."""
    pending = bytearray()
    for piece in pieces:
        pending += piece
        while len(pending) >= block_bytes:
            yield bytes(pending[:block_bytes])
            del pending[:block_bytes]
    if pending:
        yield bytes(pending)
