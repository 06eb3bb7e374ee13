"""Text that is only appended, from transcripts that may be revised."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.protocols.deltas import SegmentDeltas, TranscriptDeltas, continuation

WORDS = st.sampled_from(["the", "morning", "Train", "leaves,", "at", "seven.", "a", "an"])
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)
ANY_TEXT = st.text(max_size=40)


def deltas(partials: list[str], final: str, *, appends: bool = False) -> list[str]:
    segment = SegmentDeltas(appends=appends)
    return [segment.hear_partial(partial) for partial in partials] + [segment.hear_final(final)]


def errors(text: str, reference: str) -> int:
    """Word errors, without case and punctuation."""
    left, right = ("".join(c for c in side.casefold() if c.isalnum() or c.isspace()) for side in (text, reference))
    if not right.split():
        return len(left.split())
    counted = jiwer.process_words(right, left)
    return counted.substitutions + counted.deletions + counted.insertions


def test_words_that_two_partials_agree_on_are_passed_on_but_the_last() -> None:
    partials = ["The morning", "The morning train", "The morning train leaves"]
    assert deltas(partials, "The morning train leaves.") == ["", "The morning", " train", " leaves."]


def test_a_revised_edge_is_never_passed_on() -> None:
    assert deltas(["The mourning", "The morning train"], "The morning train.") == ["", "The", " morning train."]


def test_an_appending_engine_is_passed_on_at_once() -> None:
    partials = ["Good", "Good morn", "Good morning"]
    assert deltas(partials, "Good morning.", appends=True) == ["Good", " morn", "ing", "."]


@pytest.mark.parametrize(
    ("said", "text", "rest"),
    [
        ("", "Hello.", "Hello."),
        ("Hello world", "Hello, world.", "."),
        ("the cat sad", "the cat sat on the mat", " on the mat"),
        ("the cat", "the black cat sat", " sat"),
        ("so the cat", "the cat sat", " sat"),
        ("the cat sat on", "the cat sat", ""),
        ("one two three", "four five", ""),
        ("今天天", "今日天气很好", "气很好"),
        ("Hello", "", ""),
    ],
)
def test_the_rest_is_fitted_to_what_was_said(said: str, text: str, rest: str) -> None:
    assert continuation(said, text) == rest


def test_a_segment_without_words_is_no_space() -> None:
    transcript = TranscriptDeltas(appends=False)
    for segment, text in enumerate(["One.", "", "Two."]):
        transcript.hear({"type": "final", "segment": segment, "text": text})
    assert transcript.text == "One. Two."


def test_other_events_are_no_text() -> None:
    assert TranscriptDeltas(appends=True).hear({"type": "speech_started", "start": 1.0}) == ""


@given(ANY_TEXT, st.lists(st.integers(0, 40), max_size=8), st.booleans())
def test_growing_partials_bring_the_final_itself(final: str, cuts: list[int], appends: bool) -> None:
    assert "".join(deltas([final[:cut] for cut in sorted(cuts)], final, appends=appends)) == final


@given(ANY_TEXT, st.lists(st.integers(0, 40), max_size=8))
def test_an_appending_engine_waits_for_nothing(final: str, cuts: list[int]) -> None:
    segment = SegmentDeltas(appends=True)
    for cut in sorted(cuts):
        segment.hear_partial(final[:cut])
        assert segment.text == final[:cut]


@given(st.lists(ANY_TEXT, max_size=6), ANY_TEXT, st.booleans())
def test_any_revision_is_survived(partials: list[str], final: str, appends: bool) -> None:
    segment = SegmentDeltas(appends=appends)
    joined = "".join([segment.hear_partial(partial) for partial in partials] + [segment.hear_final(final)])
    assert joined == segment.text


@given(SENTENCES, SENTENCES)
def test_no_other_rest_is_nearer_to_the_final(said: str, final: str) -> None:
    words = final.split()
    least = min(errors(f"{said} {' '.join(words[count:])}", final) for count in range(len(words) + 1))
    assert errors(said + continuation(said, final), final) <= least


@given(st.lists(st.tuples(SENTENCES, st.lists(st.integers(0, 80), max_size=4)), max_size=5), st.booleans())
def test_segments_are_joined_as_the_session_joins_them(segments: list[tuple[str, list[int]]], appends: bool) -> None:
    transcript, heard = TranscriptDeltas(appends=appends), ""
    for number, (final, cuts) in enumerate(segments):
        for cut in sorted(cuts):
            heard += transcript.hear({"type": "partial", "segment": number, "text": final[:cut].rstrip()})
        heard += transcript.hear({"type": "final", "segment": number, "text": final})
    assert heard == transcript.text == " ".join(final for final, _ in segments if final)
