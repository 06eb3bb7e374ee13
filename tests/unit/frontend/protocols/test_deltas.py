"""Text that is only appended, from the committed text of partials and from finals."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from frontend.protocols.deltas import TranscriptDeltas

WORDS = st.sampled_from(["the", "morning", "Train", "leaves,", "at", "seven.", "a", "an"])
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)
ANY_TEXT = st.text(max_size=40)


def partial(committed: str, segment: int = 0) -> dict[str, Any]:
    event = {"type": "partial", "segment": segment, "text": f"{committed} and more"}
    return event | {"committed": {"text": committed}} if committed else event


def final(text: str, segment: int = 0) -> dict[str, Any]:
    return {"type": "final", "segment": segment, "text": text}


def deltas(*events: dict[str, Any]) -> list[str]:
    transcript = TranscriptDeltas()
    return [transcript.hear(event) for event in events]


def test_deltas_are_the_growth_of_what_is_committed() -> None:
    told = deltas(partial(""), partial("Good"), partial("Good morn"), partial("Good morn"), final("Good morning."))
    assert told == ["", "Good", " morn", "", "ing."]


def test_a_server_that_commits_nothing_is_passed_on_at_its_finals() -> None:
    told = deltas(partial(""), final("Good morning."), partial("", 1), final("Hello.", 1))
    assert told == ["", "Good morning.", "", " Hello."]


def test_what_another_worker_says_is_fitted_and_the_finals_are_the_text() -> None:
    transcript = TranscriptDeltas()
    told = [transcript.hear(partial("the cat sad")), transcript.hear(partial("the")), transcript.hear(partial("a dog"))]
    assert told == ["the cat sad", "", ""]
    assert transcript.hear(final("The cat sat on a mat.")) == " on a mat."
    assert transcript.text == "The cat sat on a mat."


def test_a_segment_without_words_is_no_space() -> None:
    transcript = TranscriptDeltas()
    told = [transcript.hear(final(text, segment)) for segment, text in enumerate(["One.", "", "Two."])]
    assert told == ["One.", "", " Two."]
    assert transcript.text == "One. Two."


def test_other_events_are_no_text() -> None:
    assert deltas({"type": "speech_started", "start": 1.0}, {"type": "done", "text": "One."}) == ["", ""]


@given(st.lists(ANY_TEXT, max_size=6), ANY_TEXT)
def test_deltas_are_never_taken_back(committed: list[str], text: str) -> None:
    transcript, joined = TranscriptDeltas(), ""
    for one in committed:
        delta = transcript.hear(partial(one))
        joined += delta
        assert joined == one or not delta
    joined += transcript.hear(final(text))
    assert joined == text or not text.startswith(joined)


@given(st.lists(st.tuples(SENTENCES, st.lists(st.integers(0, 80), max_size=4)), max_size=5))
def test_deltas_joined_are_the_finals_joined(segments: list[tuple[str, list[int]]]) -> None:
    transcript, heard = TranscriptDeltas(), ""
    for number, (text, cuts) in enumerate(segments):
        for cut in sorted(cuts):
            heard += transcript.hear(partial(text[:cut].rstrip(), number))
        heard += transcript.hear(final(text, number))
    assert heard == transcript.text == " ".join(text for text, _ in segments if text)
