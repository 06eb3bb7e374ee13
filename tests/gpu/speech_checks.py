"""The tiny trained checkpoint hears words on the device: alone, in batches, joining and leaving, and all at once.

Tokens of batches of different sizes may differ a little, since libraries choose their kernels by the size and sums are
rounded in another order. A fault in rows, rings or copies changes far more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.gpu.report import Report
from tests.gpu.sessions import DELAYS_MS, ROWS, Said, Speaker, play, scenes, token_errors, word_errors

MOST_WORD_ERRORS: Final = 0.05
"""The checkpoint's own are below 0.01 (tests/tiny/README.md)."""
MOST_TOKEN_ERRORS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Load:
    """How much is spoken."""

    speakers: int
    words: int
    together: tuple[int, ...]
    """Numbers of sessions that start in the same tick."""


GPU_LOAD: Final = Load(ROWS, 6, (2, 4, 8, 16))
CPU_LOAD: Final = Load(3, 2, (3,))


def speakers_of(load: Load) -> list[Speaker]:
    spoken = scenes(load.speakers, load.words)
    return [Speaker(one, DELAYS_MS[number % len(DELAYS_MS)]) for number, one in enumerate(spoken)]


def alone(engine: Any, speakers: Sequence[Speaker]) -> list[Said]:
    """Each speaker with nobody else."""
    return [play(engine, [speaker])[0] for speaker in speakers]


@dataclass(frozen=True, slots=True)
class Speech:
    """What is spoken, and what a CPU hears in it: in float32, each speaker alone."""

    speakers: Sequence[Speaker]
    together: Sequence[int]
    reference: Sequence[Said]


def check_speech(report: Report, name: str, engine: Any, speech: Speech) -> None:
    """The engine must be warm."""
    speakers = speech.speakers
    single = alone(engine, speakers)
    _expect_words(report, f"{name}: each session alone has its words", speakers, single)
    _expect_tokens(report, f"{name}: tokens are those of a CPU in float32", speech.reference, single)
    for count in speech.together:
        what = f"{name}: {count} sessions that start in the same tick"
        _expect_both(report, what, speakers[:count], single[:count], play(engine, speakers[:count]))
    joining = joining_and_leaving(speakers)
    what = f"{name}: sessions that join and leave while others speak"
    _expect_both(report, what, joining, single, play(engine, joining))


def joining_and_leaving(speakers: Sequence[Speaker]) -> list[Speaker]:
    """They join at uneven ticks, several in one of them; every third leaves in mid-speech."""
    return [
        replace(one, starts_at=number // 2 * 11, leaves_after=40 + number if number % 3 == 1 else None)
        for number, one in enumerate(speakers)
    ]


def _expect_both(
    report: Report, name: str, speakers: Sequence[Speaker], expected: Sequence[Said], found: Sequence[Said]
) -> None:
    _expect_tokens(report, f"{name} say what each says alone", expected, found)
    _expect_words(report, f"{name} have their words", speakers, found)


def _expect_words(report: Report, name: str, speakers: Sequence[Speaker], said: Sequence[Said]) -> None:
    errors = word_errors(speakers, said)
    found = f"{errors:.2%}"
    if errors > MOST_WORD_ERRORS:
        pairs = (
            (one.scene.text, words.text) for one, words in zip(speakers, said, strict=True) if not one.leaves_after
        )
        found += "; " + "; ".join(f"{spoken!r} was heard as {heard!r}" for spoken, heard in list(pairs)[:4])
    report.expect(
        name, errors <= MOST_WORD_ERRORS, expected=f"a word error rate of {MOST_WORD_ERRORS:.0%}", found=found
    )


def _expect_tokens(report: Report, name: str, expected: Sequence[Said], found: Sequence[Said]) -> None:
    errors = token_errors(expected, found)
    count = sum(len(one.tokens) for one in found)
    enough = count > 0 and errors <= MOST_TOKEN_ERRORS
    wanted = f"at most {MOST_TOKEN_ERRORS:.0%} of the tokens differ"
    report.expect(name, enough, expected=wanted, found=f"{errors:.2%} of {count} tokens differ")
