"""Captions: cue and line breaking, clocks, and the two file formats."""

import re
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.transcripts.subtitles import LINE_COLUMNS, MAX_LINES, cues, srt, vtt


@dataclass(frozen=True)
class Word:
    text: str
    start_s: float
    end_s: float
    speaker: str | None = None


@dataclass(frozen=True)
class Segment:
    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()
    speaker: str | None = None


def evenly(text: str, start_s: float = 0.0, word_s: float = 0.3) -> Segment:
    """The text spoken at a steady pace, with word times."""
    words = tuple(
        Word(word, start_s + index * word_s, start_s + (index + 1) * word_s) for index, word in enumerate(text.split())
    )
    return Segment(text, start_s, start_s + len(words) * word_s, words)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)
sentences = st.lists(st.text("abcdefg,.!?字語", min_size=1, max_size=60), min_size=1, max_size=60).map(" ".join)
times = st.floats(0, 40_000, allow_nan=False)


@st.composite
def timed_words(draw: st.DrawFn) -> Segment:
    """A segment whose words have any times at all, in order or not."""
    text = draw(texts | sentences)
    words = tuple(Word(word, draw(times), draw(times)) for word in text.split())
    return Segment(text, draw(times), draw(times), words if draw(st.booleans()) else ())


@given(st.lists(timed_words(), max_size=4))
def test_cues_hold_every_word_in_order_and_fit_the_screen(segments: list[Segment]) -> None:
    made = cues(segments)

    shown = "".join("".join(cue.lines) for cue in made)
    assert "".join(shown.split()) == "".join("".join(segment.text.split()) for segment in segments)
    assert all(1 <= len(cue.lines) <= MAX_LINES for cue in made)
    narrow = [line for cue in made for line in cue.lines if line.isascii()]
    assert all(len(line) <= LINE_COLUMNS for line in narrow)


@given(st.lists(timed_words(), max_size=4))
def test_cues_are_ordered_and_never_overlap(segments: list[Segment]) -> None:
    made = cues(segments)

    assert all(cue.start_ms < cue.end_ms for cue in made)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(made))


@given(sentences.map(evenly))
def test_cues_of_steady_speech_start_with_their_first_word(segment: Segment) -> None:
    starts_ms = {round(word.start_s * 1000) for word in segment.words}

    assert all(
        cue.start_ms in starts_ms or any(len(word.text) > LINE_COLUMNS for word in segment.words)
        for cue in cues([segment])
    )


def test_cues_break_at_a_pause() -> None:
    words = (Word("First", 0.0, 0.4), Word("part", 0.4, 0.8), Word("second", 2.5, 2.9), Word("part", 2.9, 3.2))

    made = cues([Segment("First part second part", 0.0, 3.2, words)])

    assert [cue.lines for cue in made] == [("First part",), ("second part",)]
    assert (made[0].start_ms, made[1].start_ms) == (0, 2500)


def test_cues_break_after_a_sentence() -> None:
    made = cues([evenly("This sentence is long enough for a cue. And here is the next.")])

    assert [cue.lines for cue in made] == [
        ("This sentence is long enough for a cue.",),
        ("And here is the next.",),
    ]


def test_cues_balance_two_lines() -> None:
    (cue,) = cues([evenly("the quick brown fox jumps over the lazy dog and then it rests", word_s=0.2)])

    assert cue.lines == ("the quick brown fox jumps over", "the lazy dog and then it rests")


def test_cues_keep_a_short_word_on_the_screen() -> None:
    (cue,) = cues([Segment("Yes.", 1.0, 1.2, (Word("Yes.", 1.0, 1.2),))])

    assert (cue.start_ms, cue.end_ms) == (1000, 2000)


def test_cues_of_a_language_without_spaces_stay_glued() -> None:
    words = tuple(Word(character, index * 0.2, index * 0.2 + 0.2) for index, character in enumerate("今日は晴れ"))

    (cue,) = cues([Segment("今日は晴れ", 0, 1, words)])

    assert cue.lines == ("今日は晴れ",)


def test_cues_without_word_times_share_the_time_out() -> None:
    made = cues([Segment("one " * 30, 0.0, 12.0)])

    assert len(made) > 1
    assert made[-1].end_ms == 12_000


def test_srt_is_numbered_and_has_commas() -> None:
    text = srt([evenly("Hello there.", start_s=3661.5)])

    assert text == "1\n01:01:01,500 --> 01:01:02,500\nHello there.\n\n"


def test_vtt_has_a_header_and_escapes_markup() -> None:
    text = vtt([evenly("a <b> & c", start_s=0.0, word_s=0.5)])

    assert text == "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\na &lt;b&gt; &amp; c\n\n"


@pytest.mark.parametrize(("write", "empty"), [(srt, ""), (vtt, "WEBVTT\n\n")])
def test_captions_of_nothing_are_well_formed(write, empty: str) -> None:
    assert write([]) == empty


@given(st.lists(timed_words(), max_size=3))
def test_srt_and_vtt_read_back_as_the_same_cues(segments: list[Segment]) -> None:
    made = cues(segments)

    for text, point in ((srt(segments), ","), (vtt(segments), r"\.")):
        clocks = re.findall(rf"^\d\d+:\d\d:\d\d{point}\d{{3}} --> \d\d+:\d\d:\d\d{point}\d{{3}}$", text, re.MULTILINE)
        assert len(clocks) == len(made)
        assert text.count("-->") == len(made)
