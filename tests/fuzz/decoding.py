"""Mutants given to decoders as a frontend gives them: what may come back, and what may never happen."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from frontend.decoding.decoders import Decoders
from shared.errors import (
    AudioTooLongError,
    DecoderFailedError,
    DecoderStalledError,
    InvalidAudioError,
    UnsupportedAudioError,
)

AT_A_TIME = 4
LONGEST_S = 20.0
HANG_S = 15.0
GROWTH_BYTES = 250 << 20


@dataclass(slots=True)
class Report:
    answers: Counter[str] = field(default_factory=Counter)
    """Mutants by what became of them."""
    peak_bytes: int = 0
    """The most memory that one took."""
    idle_bytes: int = 0
    """What an idle decoder takes."""

    @property
    def is_good(self) -> bool:
        """Whether some were decoded, nothing hung or crashed, and nothing took too much memory."""
        is_bounded = self.peak_bytes < self.idle_bytes + GROWTH_BYTES
        has_failed = bool(self.answers["hung"] or self.answers["crashed"])
        return self.answers["decoded"] > 0 and not has_failed and is_bounded


async def fuzz(contents: Iterator[bytes]) -> Report:
    """Decodes them all. Raises whatever is neither audio nor an error of the recording.

    A decoder that gives nothing for `HANG_S` counts as `hung`, one that ends without a word as `crashed`.
    """
    report = Report()
    async with Decoders.running(AT_A_TIME, patience_s=60, stall_s=HANG_S) as decoders, asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(_take(contents, decoders, report))
    report.peak_bytes, report.idle_bytes = decoders.peak_bytes, decoders.idle_bytes
    return report


async def _take(contents: Iterator[bytes], decoders: Decoders, report: Report) -> None:
    for content in contents:
        report.answers[await answer(content, decoders)] += 1


async def answer(content: bytes, decoders: Decoders) -> str:
    """What became of one: `decoded`, `hung`, `crashed`, or the code of an error."""
    try:
        async with contextlib.aclosing(decoders.pcm(content, max_duration_s=LONGEST_S)) as blocks:
            async for _ in blocks:
                pass
    except DecoderFailedError:
        return "crashed"
    except DecoderStalledError:
        return "hung"
    except (InvalidAudioError, UnsupportedAudioError, AudioTooLongError) as error:
        return error.code
    return "decoded"
