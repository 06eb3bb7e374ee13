"""Splits finals into turns: a turn is the words of one speaker in a row. Knows no format and does no I/O.

A turn whose speaker is not known has the speaker None. Without speakers a final is one turn.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from shared import dialogue

UNSURE: Final = "?"
"""The label of a turn without a speaker, among others that have one."""


class SpokenWord(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...
    @property
    def confidence(self) -> float | None: ...
    @property
    def speaker(self) -> str | None: ...


class SpokenText(Protocol):
    """One finished segment; with a `channel` if channels are separate."""

    @property
    def text(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...
    @property
    def words(self) -> Sequence[SpokenWord]: ...
    @property
    def speaker(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Turn:
    """A part of one segment; the turns of a segment contain all of its text."""

    text: str
    """Without the space before it."""
    start_s: float
    end_s: float
    words: Sequence[SpokenWord]
    speaker: str | None
    channel: int | None = None


def turns(segment: SpokenText) -> list[Turn]:
    """The turns of a segment, in order. Words have the speaker of the segment if none of them has one."""
    channel = getattr(segment, "channel", None)
    if len({word.speaker for word in segment.words}) <= 1:
        speaker = next((word.speaker for word in segment.words), None) or segment.speaker
        return [Turn(segment.text, segment.start_s, segment.end_s, segment.words, speaker, channel)]
    runs = list(_runs(segment.words))
    starts = _starts(segment.text, runs)
    return [
        Turn(
            segment.text[start:end].strip(),
            run[0].start_s if index else segment.start_s,
            run[-1].end_s if index + 1 < len(runs) else segment.end_s,
            run,
            run[0].speaker,
            channel,
        )
        for index, (run, start, end) in enumerate(zip(runs, starts, [*starts[1:], len(segment.text)], strict=True))
    ]


def has_speakers(segments: Iterable[SpokenText]) -> bool:
    """Whether any speaker is known."""
    return any(
        segment.speaker is not None or any(word.speaker is not None for word in segment.words) for segment in segments
    )


def label(turn: Turn) -> str:
    """How a transcript with speakers names the speaker of a turn: without one, by its channel."""
    if turn.speaker is not None:
        return turn.speaker
    return UNSURE if turn.channel is None else dialogue.label(turn.channel)


def turn_fields(segments: Iterable[SpokenText]) -> list[dict[str, Any]]:
    """The turns as JSON."""
    return [
        {"text": turn.text, "start": turn.start_s, "end": turn.end_s}
        | ({} if turn.channel is None else {"channel": turn.channel})
        | ({"speaker_unsure": True} if turn.speaker is None else {"speaker": turn.speaker})
        for segment in segments
        for turn in turns(segment)
        if turn.text
    ]


def labelled_text(segments: Sequence[SpokenText]) -> str:
    """One line for each turn, with an empty line and `A: ` where the speaker changes.

    If no speaker is known, one line for each final.
    """
    if not has_speakers(segments):
        return "".join(f"{segment.text}\n" for segment in segments if segment.text)
    lines: list[str] = []
    named = ""
    for turn in (turn for segment in segments for turn in turns(segment) if turn.text):
        is_new = label(turn) != named
        named = label(turn)
        lines.append(f"{chr(10) if is_new and lines else ''}{f'{named}: ' if is_new else ''}{turn.text}\n")
    return "".join(lines)


def _runs(words: Sequence[SpokenWord]) -> Iterator[list[SpokenWord]]:
    run: list[SpokenWord] = []
    for word in words:
        if run and word.speaker != run[0].speaker:
            yield run
            run = []
        run.append(word)
    yield run


def _starts(text: str, runs: Sequence[Sequence[SpokenWord]]) -> list[int]:
    """Where each run begins in the text; 0 for the first. A word that is not in the text counts as empty."""
    starts, at = [], 0
    for run in runs:
        first: int | None = None
        for word in run:
            spelled = word.text.strip()
            found = text.find(spelled, at)
            if found >= 0:
                first = found if first is None else first
                at = found + len(spelled)
        starts.append(at if first is None else first)
    return [0, *starts[1:]]
