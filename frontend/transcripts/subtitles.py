"""Converts timed words to subtitles: cues of at most two lines, as SRT or WebVTT.

Knows no wire format: the input is anything with `text`, `start_s`, `end_s` and `words`. Does not change the text;
it only decides where cues and lines break.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shared.dialogue import label

LINE_COLUMNS = 42
"""Width of a line. A wide character (Chinese, Japanese, Korean) counts as two columns."""
MAX_LINES = 2
MAX_CUE_MS = 7_000
MIN_CUE_MS = 1_000
"""A shorter cue is displayed this long if the next one leaves room."""
PAUSE_MS = 1_000
"""Silence between two words that always ends a cue."""
SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")


class TimedWord(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


class TimedText(Protocol):
    """One finished segment. Without words, its time is distributed over its text.

    With a `channel`, it is of one of several channels: their cues may overlap, and name the channel.
    """

    @property
    def text(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...
    @property
    def words(self) -> Sequence[TimedWord]: ...


@dataclass(frozen=True, slots=True)
class Cue:
    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    """The smallest unit of a line. `glued` follows the previous token without a space."""

    text: str
    start_ms: int
    end_ms: int
    glued: bool


def cues(segments: Iterable[TimedText], *, labelled: bool = False) -> list[Cue]:
    """Cues in order of time that contain every character but the spaces. Those of one channel do not overlap.

    `labelled` cues begin with the name of their channel, if there are channels.
    """
    by_channel: dict[int | None, list[TimedText]] = {}
    for segment in segments:
        by_channel.setdefault(getattr(segment, "channel", None), []).append(segment)
    made = [cue for channel, own in by_channel.items() for cue in _cues(own, channel, labelled=labelled)]
    return sorted(made, key=lambda cue: cue.start_ms) if len(by_channel) > 1 else made


def _cues(segments: list[TimedText], channel: int | None, *, labelled: bool) -> list[Cue]:
    name = f"{label(channel)}:" if labelled and channel is not None else ""
    groups = [group for segment in segments for group in _groups(_tokens(segment), name)]
    made: list[Cue] = []
    shown_until_ms = 0
    for index, group in enumerate(groups):
        start_ms = max(group[0].start_ms, shown_until_ms)
        end_ms = max(start_ms + MIN_CUE_MS, *(token.end_ms for token in group))
        if index + 1 < len(groups):
            end_ms = min(end_ms, groups[index + 1][0].start_ms)
        shown_until_ms = max(end_ms, start_ms + 1)
        made.append(Cue(start_ms, shown_until_ms, _lines(group), channel))
    return made


def srt(segments: Iterable[TimedText]) -> str:
    """The segments as a SubRip file."""
    return "".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{_body(cue)}\n\n"
        for number, cue in enumerate(cues(segments, labelled=True), start=1)
    )


def vtt(segments: Iterable[TimedText]) -> str:
    """The segments as a WebVTT file."""
    blocks = (
        f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{_voice(cue)}{_escaped(_body(cue))}\n\n"
        for cue in cues(segments)
    )
    return "WEBVTT\n\n" + "".join(blocks)


def _tokens(segment: TimedText) -> list[_Token]:
    """The words of a segment with the spaces between them in its text."""
    if not segment.words:
        return _spread(segment)
    tokens: list[_Token] = []
    cursor = 0
    for word in segment.words:
        text = word.text.strip()
        found = segment.text.find(text, cursor)
        glued = found == cursor if found >= 0 else not word.text[:1].isspace()
        if found >= 0:
            cursor = found + len(text)
        for piece in text.split():
            tokens += _pieces(piece, _ms(word.start_s), _ms(word.end_s), glued=glued and bool(tokens))
            glued = False
    return tokens


def _spread(segment: TimedText) -> list[_Token]:
    """The text's words, each with a share of the segment's time in proportion to its length."""
    start_ms, end_ms = _ms(segment.start_s), _ms(segment.end_s)
    parts = segment.text.split()
    total = sum(map(len, parts))
    tokens: list[_Token] = []
    before = 0
    for part in parts:
        begins_ms = start_ms + (end_ms - start_ms) * before // total
        before += len(part)
        ends_ms = start_ms + (end_ms - start_ms) * before // total
        tokens += _pieces(part, begins_ms, ends_ms, glued=False)
    return tokens


def _pieces(text: str, start_ms: int, end_ms: int, *, glued: bool) -> Iterator[_Token]:
    """The word itself, or, if it is wider than a line, parts that fit."""
    piece = ""
    for character in text:
        if _columns(piece + character) > LINE_COLUMNS:
            yield _Token(piece, start_ms, end_ms, glued)
            piece, glued = "", True
        piece += character
    if piece:
        yield _Token(piece, start_ms, end_ms, glued)


def _groups(tokens: Sequence[_Token], name: str) -> Iterator[list[_Token]]:
    """The tokens of one segment, split into the groups of each cue, which begin with the `name` if it is not empty."""
    group: list[_Token] = []
    for token in tokens:
        if group and _must_break(group, token):
            yield group
            group = []
        if name and not group:
            group.append(_Token(name, token.start_ms, token.start_ms, glued=False))
        group.append(replace(token, glued=False) if name and len(group) == 1 else token)
    if group:
        yield group


def _must_break(group: list[_Token], token: _Token) -> bool:
    if token.start_ms - group[-1].end_ms >= PAUSE_MS or token.end_ms - group[0].start_ms > MAX_CUE_MS:
        return True
    if group[-1].text.endswith(SENTENCE_ENDS) and not token.glued and _columns(_joined(group)) > LINE_COLUMNS // 2:
        return True
    return len(_filled([*group, token])) > MAX_LINES


def _lines(group: list[_Token]) -> tuple[str, ...]:
    """One line if it fits, otherwise two of about the same width."""
    if _columns(_joined(group)) <= LINE_COLUMNS:
        return (_joined(group),)
    pairs = ((_joined(group[:cut]), _joined(group[cut:])) for cut in range(1, len(group)))
    fitting = [pair for pair in pairs if max(map(_columns, pair)) <= LINE_COLUMNS]
    return min(fitting, key=lambda pair: abs(_columns(pair[0]) - _columns(pair[1])))


def _filled(group: list[_Token]) -> list[str]:
    """The tokens on as few lines as possible."""
    lines: list[str] = []
    for token in group:
        joint = "" if token.glued else " "
        if lines and _columns(lines[-1] + joint + token.text) <= LINE_COLUMNS:
            lines[-1] += joint + token.text
        else:
            lines.append(token.text)
    return lines


def _joined(group: Sequence[_Token]) -> str:
    return group[0].text + "".join(("" if token.glued else " ") + token.text for token in group[1:])


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _ms(time_s: float) -> int:
    return max(0, round(time_s * 1000))


def _clock(time_ms: int, point: str) -> str:
    minutes, ms = divmod(time_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1000:02}{point}{ms % 1000:03}"


def _body(cue: Cue) -> str:
    # The arrow belongs to the timing line: parsers would take a text line with an arrow for a timing line.
    return "\n".join(cue.lines).replace("-->", "→")


def _voice(cue: Cue) -> str:
    """The voice tag of WebVTT."""
    return "" if cue.channel is None else f"<v {label(cue.channel)}>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
