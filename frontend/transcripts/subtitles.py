"""Converts timed words to subtitles: cues of at most two lines, as SRT or WebVTT.

Knows no wire format: the input is anything with `text`, `start_s`, `end_s`, `words` and `speaker`. Does not change the
text; it only decides where cues and lines break. A cue has one speaker: WebVTT names it in each cue, and SRT before the
first cue of a turn. With a `channel`, a segment is of one of several channels: their cues may overlap, and each names
its speaker or, without one, its channel.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from frontend.transcripts.turns import SpokenText, Turn, has_speakers, label, turns
from shared.word_places import places_of

LINE_COLUMNS = 42
"""Width of a line. A wide character (Chinese, Japanese, Korean) counts as two columns."""
MAX_LINES = 2
MAX_CUE_MS = 7_000
MIN_CUE_MS = 1_000
"""A shorter cue is displayed this long if the next one leaves room."""
PAUSE_MS = 1_000
"""Silence between two words that always ends a cue."""
SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")


@dataclass(frozen=True, slots=True)
class Cue:
    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    voice: str | None = None
    """Whose it is: the speaker, or the channel if the speaker is not known. None if neither is."""


@dataclass(frozen=True, slots=True)
class _Token:
    """The smallest unit of a line. `glued` follows the previous token without a space."""

    text: str
    start_ms: int
    end_ms: int
    glued: bool


class _Group(NamedTuple):
    """The tokens of one cue."""

    voice: str | None
    tokens: list[_Token]


def cues(segments: Iterable[SpokenText], *, labelled: bool = False) -> list[Cue]:
    """Cues in order of time that contain every character but the spaces. Those of one channel do not overlap.

    `labelled` cues begin with the name of their voice: each of several channels, others if the speaker changes.
    """
    by_channel: dict[int | None, list[SpokenText]] = {}
    for segment in segments:
        by_channel.setdefault(getattr(segment, "channel", None), []).append(segment)
    made = [cue for channel, own in by_channel.items() for cue in _cues(own, channel, labelled=labelled)]
    return sorted(made, key=lambda cue: cue.start_ms) if len(by_channel) > 1 else made


def _cues(segments: list[SpokenText], channel: int | None, *, labelled: bool) -> list[Cue]:
    groups = (
        _labelled(segments, channel)
        if labelled
        else [
            _Group(_voice(turn), tokens)
            for segment in segments
            for turn in turns(segment)
            for tokens in _groups(_tokens(turn))
        ]
    )
    made: list[Cue] = []
    shown_until_ms = 0
    for index, (voice, group) in enumerate(groups):
        start_ms = max(group[0].start_ms, shown_until_ms)
        end_ms = max(start_ms + MIN_CUE_MS, *(token.end_ms for token in group))
        if index + 1 < len(groups):
            end_ms = min(end_ms, groups[index + 1].tokens[0].start_ms)
        shown_until_ms = max(end_ms, start_ms + 1)
        made.append(Cue(start_ms, shown_until_ms, _lines(group), voice))
    return made


def _labelled(segments: list[SpokenText], channel: int | None) -> list[_Group]:
    """The groups, with `A:` before the text in each cue of a channel, and otherwise where the speaker changes."""
    is_named = channel is not None or has_speakers(segments)
    groups: list[_Group] = []
    named = ""
    for turn in (turn for segment in segments for turn in turns(segment)):
        tokens = _tokens(turn)
        name = f"{label(turn)}:" if is_named else ""
        if channel is not None and _columns(name) <= LINE_COLUMNS // 2:
            groups += [_Group(_voice(turn), group) for group in _groups(tokens, name)]
            continue
        if tokens and name != named:
            named = name
            tokens = [*_name_tokens(name, tokens[0].start_ms), *tokens]
        groups += [_Group(_voice(turn), group) for group in _groups(tokens)]
    return groups


def _name_tokens(name: str, start_ms: int) -> Iterator[_Token]:
    return (token for part in name.split() for token in _pieces(part, start_ms, start_ms, glued=False))


def _voice(turn: Turn) -> str | None:
    return label(turn) if turn.speaker is not None or turn.channel is not None else None


def srt(segments: Iterable[SpokenText]) -> str:
    """The segments as a SubRip file."""
    return "".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{_body(cue)}\n\n"
        for number, cue in enumerate(cues(segments, labelled=True), start=1)
    )


def vtt(segments: Iterable[SpokenText]) -> str:
    """The segments as a WebVTT file."""
    blocks = (
        f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{_tag(cue)}{_escaped(_body(cue))}\n\n"
        for cue in cues(segments)
    )
    return "WEBVTT\n\n" + "".join(blocks)


def _tokens(segment: Turn) -> list[_Token]:
    """The words of a segment with the spaces between them in its text."""
    if not segment.words:
        return _spread(segment)
    tokens: list[_Token] = []
    cursor = 0
    places = places_of(segment.text, (word.text.strip() for word in segment.words))
    for word, place in zip(segment.words, places, strict=True):
        glued = place.start == cursor if place else not word.text[:1].isspace()
        cursor = place.stop
        for piece in word.text.split():
            tokens += _pieces(piece, _ms(word.start_s), _ms(word.end_s), glued=glued and bool(tokens))
            glued = False
    return tokens


def _spread(segment: Turn) -> list[_Token]:
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


def _groups(tokens: Sequence[_Token], name: str = "") -> Iterator[list[_Token]]:
    """The tokens of one turn, split into the groups of each cue, which begin with the `name` if it is not empty."""
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


def _tag(cue: Cue) -> str:
    """The voice tag of WebVTT."""
    return "" if cue.voice is None else f"<v {_escaped(' '.join(cue.voice.split()))}>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
