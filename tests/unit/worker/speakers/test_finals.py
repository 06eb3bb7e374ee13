"""What clients get of the labels: with a final, or later."""

from shared.events import Word
from shared.final_speakers import FinalSpeakers
from worker.engines.base import Final
from worker.speakers.finals import SessionSpeakers
from worker.speakers.labelling import Labelling
from worker.speakers.outputs import Released

WORDS = (Word("Good", 0, 8000), Word("morning", 8000, 16000), Word("Hello", 40000, 48000))
A_THEN_B = Labelling(((0, 16000), (38000, 50000)), ("A", "B"))
UNSURE = Labelling(((0, 16000), (38000, 50000)), ("A", None))


def final(words: tuple[Word, ...] = WORDS, segment: int = 0) -> Final:
    return Final(segment, "Good morning. Hello.", 0, 48000, 50000, 50000, words, "en", 1.0)


def released(labelling: Labelling | None, state: bytes = b"{}") -> Released:
    return Released(None, 0.0, 0, labelling, state)


def test_words_have_their_speaker_and_the_final_has_that_of_most_speech() -> None:
    spoken = SessionSpeakers().final(final(), released(A_THEN_B), with_words=True)
    assert [word.speaker for word in spoken.words] == ["A", "A", "B"]
    assert (spoken.speaker, spoken.speaker_unsure) == ("A", False)


def test_words_that_nobody_certainly_spoke_are_unsure() -> None:
    spoken = SessionSpeakers().final(final(WORDS[2:]), released(UNSURE), with_words=True)
    assert [(word.speaker, word.speaker_unsure) for word in spoken.words] == [(None, True)]
    assert (spoken.speaker, spoken.speaker_unsure) == (None, True)


def test_session_that_is_not_diarized_changes_nothing() -> None:
    spoken = SessionSpeakers().final(final(), None, with_words=True)
    assert (spoken.words, spoken.speaker, spoken.speaker_unsure) == (WORDS, None, False)


def test_final_without_word_times_has_a_speaker_too() -> None:
    spoken = SessionSpeakers().final(final(()), released(Labelling(((0, 48000),), ("B",))), with_words=True)
    assert (spoken.words, spoken.speaker) == ((), "B")


def test_late_label_is_reported_once() -> None:
    session = SessionSpeakers()
    spoken = session.final(final(), released(None), with_words=True)
    assert (spoken.speaker, spoken.speaker_unsure) == (None, False)
    assert session.changed({0: A_THEN_B}) == [FinalSpeakers(0, "A", ("A", "A", "B"))]
    assert session.changed({0: A_THEN_B}) == []


def test_event_names_words_only_if_the_client_has_them() -> None:
    session = SessionSpeakers()
    session.final(final(), released(UNSURE), with_words=False)
    assert session.changed({0: Labelling(A_THEN_B.spans, ("B", "B"))}) == [FinalSpeakers(0, "B")]


def test_state_of_the_speakers_comes_with_the_final() -> None:
    session = SessionSpeakers()
    session.final(final(), released(A_THEN_B, b'{"named":1}'), with_words=True)
    assert session.state == b'{"named":1}'
