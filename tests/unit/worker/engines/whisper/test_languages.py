import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.whisper.languages import SETTLED_SPEECH_S, SpokenLanguage, likeliest, seems_foreign, surely_spoken

ENGLISH = {"en": 0.97, "de": 0.01, "es": 0.01}
GERMAN = {"en": 0.01, "de": 0.97, "es": 0.01}
DOUBTFUL = {"en": 0.3, "de": 0.4, "es": 0.3}
"""What one word may give."""


def test_evidence_of_segments_adds_up() -> None:
    unsure = {"es": 0.4, "de": 0.6}
    assert likeliest([(unsure, 1.0)]) == "de"
    assert likeliest([(unsure, 1.0), ({"es": 0.7, "de": 0.3}, 1.0)]) == "es"


def test_short_segments_count_less() -> None:
    german_word = ({"en": 0.2, "de": 0.8}, 0.3)
    assert likeliest([german_word, ({"en": 0.6, "de": 0.4}, 2.0)]) == "en"
    assert likeliest([(german_word[0], 2.0), ({"en": 0.6, "de": 0.4}, 2.0)]) == "de"


def test_little_speech_is_english_unless_another_language_is_clearly_likelier() -> None:
    """One word is often detected as a language that is never spoken."""
    doubtful = {"en": 0.3, "zh": 0.45, "ko": 0.15}
    assert likeliest([(doubtful, 1.0)]) == "en"
    assert likeliest([(doubtful, 2.0)]) == "zh"
    assert likeliest([(doubtful, 1.0), (doubtful, 1.0)]) == "zh"
    assert likeliest([({"en": 0.05, "zh": 0.9}, 1.0)]) == "zh"
    assert likeliest([(doubtful, 1.0)], ("zh", "ko")) == "zh"


def test_one_segment_rules_no_language_out() -> None:
    wrong = ({"en": 0.0, "de": 1.0}, 2.0)
    assert likeliest([wrong, *[({"en": 0.99, "de": 0.01}, 2.0)] * 4]) == "en"


def test_choice_can_be_restricted() -> None:
    assert likeliest([(GERMAN, 3.0)], ("en", "es")) in ("en", "es")
    assert surely_spoken({"en": 0.05, "de": 0.9, "es": 0.005}, 3.0, ("en", "es")) == "en"
    assert surely_spoken({"en": 0.05, "de": 0.9, "es": 0.04}, 3.0, ("en", "es")) is None
    assert surely_spoken(GERMAN, 3.0, ("fr",)) is None


def test_sure_detection_needs_enough_speech() -> None:
    assert surely_spoken(GERMAN, 3.0) == "de"
    assert surely_spoken(GERMAN, 0.8) is None
    assert surely_spoken(DOUBTFUL, 3.0) is None


def test_sentence_that_is_hardly_in_the_language_seems_foreign() -> None:
    assert seems_foreign(GERMAN, 1.5, "en")
    assert not seems_foreign(GERMAN, 0.5, "en")
    assert not seems_foreign(DOUBTFUL, 1.5, "en")
    assert not seems_foreign({"en": 0.1, "de": 0.1, "es": 0.8}, 1.5, "en", ("en", "de"))


def test_unsure_guess_on_one_word_changes_nothing() -> None:
    language = SpokenLanguage(())
    language.hear(ENGLISH, 3.0)
    language.end_segment()
    for probabilities in (DOUBTFUL, GERMAN):
        language.hear(probabilities, 0.6)
        language.end_segment()
        assert language.current == "en"
    language.hear(DOUBTFUL, 6.0)
    assert language.current == "en"


def test_sure_detection_changes_the_language_at_once() -> None:
    language = SpokenLanguage(())
    language.hear(ENGLISH, 3.0)
    language.end_segment()
    language.hear(GERMAN, 3.0)
    assert (language.current, language.is_settled) == ("de", True)


def test_language_is_settled_by_short_segments_that_add_up() -> None:
    language = SpokenLanguage(())
    language.hear({"en": 0.1, "de": 0.5, "es": 0.4}, 1.0)
    assert (language.current, language.is_settled) == ("de", False)
    for _ in range(3):
        assert not language.is_settled
        language.end_segment()
        language.hear({"en": 0.1, "de": 0.3, "es": 0.6}, 1.0)
    assert (language.current, language.is_settled) == ("es", True)


def test_later_detection_of_a_segment_replaces_the_earlier_one() -> None:
    language = SpokenLanguage(())
    for _ in range(20):
        language.hear({"en": 0.2, "de": 0.7}, 0.5)
    assert not language.is_settled
    language.hear({"en": 0.7, "de": 0.2}, 1.0)
    assert language.current == "en"


def test_restricted_session_takes_no_other_language() -> None:
    language = SpokenLanguage(("en", "es"))
    language.hear({"en": 0.02, "de": 0.97, "es": 0.002}, 3.0)
    assert language.current == "en"


def test_language_is_detected_at_growing_lengths_until_it_is_settled() -> None:
    language = SpokenLanguage(())
    assert not language.is_due(0.4, ends=False)
    assert language.is_due(0.4, ends=True)
    assert language.is_due(0.6, ends=False)
    language.hear({"en": 0.4, "de": 0.3, "es": 0.3}, 0.6)
    assert not language.is_due(0.9, ends=False)
    assert language.is_due(0.9, ends=True)
    assert language.is_due(1.1, ends=False)
    language.hear(ENGLISH, 3.0)
    assert not language.is_due(9.0, ends=False)
    language.end_segment()
    assert not language.is_due(1.5, ends=True)
    assert language.is_due(2.0, ends=False)


@pytest.mark.parametrize("languages", [(), ("de", "es")])
@given(
    st.lists(
        st.tuples(
            st.fixed_dictionaries({code: st.floats(0.0, 1.0) for code in ("en", "de", "es")}),
            st.floats(0.1, 8.0),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_settled_language_changes_by_sure_detections_only(
    languages: tuple[str, ...], detections: list[tuple[dict[str, float], float, bool]]
) -> None:
    language = SpokenLanguage(languages)
    for probabilities, speech_s, ends in detections:
        before, was_settled = language.current, language.is_settled
        language.hear(probabilities, speech_s)
        assert language.current in (languages or ("en", "de", "es"))
        assert language.is_settled or not was_settled
        if was_settled and language.current != before:
            assert language.current == surely_spoken(probabilities, speech_s, languages)
        if speech_s >= SETTLED_SPEECH_S:
            assert language.is_settled
        if ends:
            language.end_segment()
