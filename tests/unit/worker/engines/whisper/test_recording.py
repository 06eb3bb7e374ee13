"""A recording whose words are known: which windows it makes, and what becomes of their words."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.events import SAMPLE_RATE_HZ, Scores
from shared.session_options import SessionOptions
from tests.unit.worker.engines.whisper.heard_words import tokens, word
from tests.unit.worker.engines.whisper.whisper_speech import Played, Speech, answer, play, speech
from worker.engines.base import Committed, Final, Finished, History, SettledWord, SpeechStarted, SpeechStopped
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.recording import LONGEST_PAUSE_S, WINDOW_S, Recording
from worker.engines.whisper.session import Pass, Place

FILE = SessionOptions(recording=True, partials=False, language="en")
DETECTED = replace(FILE, language=None)
SENTENCE = "one two three four five six seven eight nine ten."


def recording(options: SessionOptions = FILE, place: Place | None = None) -> Recording:
    return Recording(options, ("en", "de", "es"), place or Place())


def sentences(count: int, pause_s: float = 0.8, word_s: float = 0.4) -> Speech:
    """Each of about 4 s, and different from the others."""
    said = [f"begin{chr(97 + index)} {SENTENCE}" for index in range(count)]
    return speech(*said, pause_s=pause_s, word_s=word_s)


def segments_of(played: Played) -> list[int]:
    """How many segments each window holds."""
    return [len(wanted.spans.spans) for wanted in played.passes]


def test_segments_share_windows_of_up_to_28_s() -> None:
    said = sentences(16)
    played = play(recording(), said)
    assert sum(segments_of(played)) == 16
    lengths_s = [wanted.spans.length_samples / SAMPLE_RATE_HZ for wanted in played.passes]
    assert max(lengths_s) <= WINDOW_S
    one_s = lengths_s[0] / segments_of(played)[0]
    assert all(length_s + one_s > WINDOW_S for length_s in lengths_s[:-1])
    assert [final.text for final in played.finals] == [f"begin{chr(97 + index)} {SENTENCE}" for index in range(16)]
    assert [final.segment for final in played.finals] == list(range(16))


def test_words_are_those_of_their_segments() -> None:
    said = sentences(4)
    for index, final in enumerate(play(recording(), said).finals):
        own = said.words[index * 11 : index * 11 + 11]
        assert [one.text for one in final.words] == [(one.text + one.mark).strip() for one in own]
        for found, true in zip(final.words, own, strict=True):
            assert abs(found.start_samples - true.start_samples) <= 1024
            assert final.start_samples <= found.start_samples <= found.end_samples <= final.end_samples


def test_events_come_in_order() -> None:
    played = play(recording(), sentences(3))
    kinds = [type(output) for output in played.outputs]
    assert kinds == [SpeechStarted, SpeechStopped, *[Final, SpeechStarted, SpeechStopped] * 2, Final, Finished]


@pytest.mark.parametrize(("pause_s", "windows"), [(1.2, [4]), (LONGEST_PAUSE_S + 1, [1, 1, 1, 1])])
def test_long_pause_splits(pause_s: float, windows: list[int]) -> None:
    assert segments_of(play(recording(), sentences(4, pause_s=pause_s))) == windows


def test_commit_splits_and_is_answered_after_its_finals() -> None:
    said = sentences(4)
    at = said.words[21].end_samples + SAMPLE_RATE_HZ // 4
    played = play(recording(), said, commits_samples=[at])
    assert segments_of(played) == [2, 2]
    place = played.outputs.index(Committed(at))
    assert sum(isinstance(output, Final) for output in played.outputs[:place]) == 2


def test_commit_in_mid_sentence_ends_its_segment() -> None:
    said = speech(SENTENCE)
    at = said.words[4].end_samples
    played = play(recording(), said, commits_samples=[at])
    assert [final.text for final in played.finals] == ["one two three four five", "six seven eight nine ten."]
    assert segments_of(played) == [1, 1]


def test_recording_without_pauses_is_cut_into_windows() -> None:
    said = speech(" ".join(f"word{index}" for index in range(200)), word_s=0.4)
    played = play(recording(), said)
    assert played.text == " ".join(f"word{index}" for index in range(200))
    assert all(wanted.spans.length_samples <= WINDOW_S * SAMPLE_RATE_HZ for wanted in played.passes)
    assert len(played.finals) >= 3


# --- languages ------------------------------------------------------------------------------------------------------


def languages_of(played: Played) -> list[str]:
    return [str(final.language) for final in played.finals]


def test_sentences_in_another_language_split_a_window() -> None:
    said = sentences(5)
    start, end = said.words[22].start_samples, said.words[32].end_samples
    played = play(recording(DETECTED), said, language=lambda at: "es" if start <= at <= end else "en")
    assert segments_of(played) == [2, 1, 2]
    assert languages_of(played) == ["en", "en", "es", "en", "en"]


def test_given_language_is_not_detected() -> None:
    played = play(recording(), sentences(3), language=lambda _: "de")
    assert languages_of(played) == ["en"] * 3
    assert {job.language for job in played.jobs} == {"en"}


def test_short_words_in_doubt_are_in_the_language_around_them() -> None:
    said = speech(SENTENCE, "Yes.", SENTENCE)
    yes = said.words[10]
    played = play(
        recording(DETECTED), said, language=lambda at: "de" if yes.start_samples <= at <= yes.end_samples else "en"
    )
    assert languages_of(played) == ["en"] * 3
    assert segments_of(played) == [3]


def test_short_sentence_in_another_language_is_decoded_by_itself() -> None:
    said = speech(SENTENCE, "Buenos días, amigos.", SENTENCE)
    start, end = said.words[10].start_samples, said.words[12].end_samples
    played = play(recording(DETECTED), said, language=lambda at: "es" if start <= at <= end else "en")
    assert segments_of(played) == [1, 1, 1]
    assert languages_of(played) == ["en"] * 3


def test_first_word_in_doubt_waits_for_what_follows() -> None:
    said = speech("Yes.", SENTENCE, SENTENCE)
    yes = said.words[0]
    played = play(recording(DETECTED), said, language=lambda at: "de" if at <= yes.end_samples + 4000 else "en")
    assert languages_of(played) == ["en"] * 3


def test_language_is_one_of_those_that_are_allowed() -> None:
    options = replace(DETECTED, languages=("en", "es"))
    played = play(recording(options), sentences(3), language=lambda _: "de")
    assert set(languages_of(played)) <= {"en", "es"}


def test_commit_is_answered_before_the_language_of_the_recording_is_sure() -> None:
    said = speech("Yes.", SENTENCE)
    at = said.words[0].end_samples + SAMPLE_RATE_HZ // 2
    played = play(recording(DETECTED), said, commits_samples=[at], language=lambda _: "en")
    place = played.outputs.index(Committed(at))
    assert [one.text for one in played.outputs[:place] if isinstance(one, Final)] == ["Yes."]


# --- what is not believed -------------------------------------------------------------------------------------------


def test_noise_gives_no_finals() -> None:
    def unsure(_: Pass, __: Job, heard: Heard) -> Heard:
        return replace(heard, log_probability=-2.5, no_speech_probability=0.9)

    assert play(recording(), sentences(2), decoder=unsure).finals == []
    turns = play(recording(replace(FILE, turns=True)), sentences(2), decoder=unsure).finals
    assert [(final.segment, final.text, final.language) for final in turns] == [(0, "", None), (1, "", None)]


def test_laughter_gives_no_finals() -> None:
    """Its words may be likely, but the model reports no speech, and unlikely text."""

    def scored(log_probability: float, no_speech_probability: float, heard: Heard) -> Heard:
        return replace(heard, log_probability=log_probability, no_speech_probability=no_speech_probability)

    for scores, count in (((-1.2, 0.7), 0), ((-0.8, 0.7), 2), ((-1.2, 0.6), 2)):
        played = play(recording(), sentences(2), decoder=lambda _, __, heard, scores=scores: scored(*scores, heard))
        assert len(played.finals) == count


def test_long_text_for_a_short_sound_is_not_believed() -> None:
    """Most of it has no voice behind it. What is sure of itself is only cut."""

    def goes_on(sure: float, wanted: Pass, heard: Heard) -> Heard:
        end = wanted.spans.length_samples
        made_up = [replace(word(one, 0, 0), start_samples=end, end_samples=end) for one in (" what", " to", " do")]
        return replace(heard, words=tuple(replace(one, probability=sure) for one in (*heard.words, *made_up)))

    said = speech("oh.", word_s=0.3)
    for sure, text in ((0.3, ""), (0.7, "oh.")):
        played = play(recording(), said, decoder=lambda wanted, _, heard, sure=sure: goes_on(sure, wanted, heard))
        assert " ".join(final.text for final in played.finals) == text


def test_rest_that_the_decoder_left_out_is_decoded_by_itself() -> None:
    def stops(_: Pass, __: Job, heard: Heard) -> Heard:
        return replace(heard, words=heard.words[:15])

    said = sentences(4)
    played = play(recording(), said, decoder=stops)
    assert played.text == " ".join(f"begin{chr(97 + index)} {SENTENCE}" for index in range(4))
    assert len(played.passes) == 3
    assert [final.segment for final in played.finals] == [0, 1, 2, 3]


def test_rest_is_decoded_if_all_that_was_heard_seems_to_be_no_words() -> None:
    """Such an answer covers only the beginning of the voice."""

    def stops_at_once(wanted: Pass, _: Job, heard: Heard) -> Heard:
        if wanted.spans.start_samples > said.words[0].start_samples:
            return heard
        return replace(heard, words=heard.words[:1], log_probability=-2.1, no_speech_probability=0.66)

    said = sentences(1)
    assert play(recording(), said, decoder=stops_at_once).text == SENTENCE


def test_rest_is_found_if_the_last_word_seems_to_last_to_the_end() -> None:
    def stops(wanted: Pass, _: Job, heard: Heard) -> Heard:
        last = heard.words[:33][-1]
        if len(heard.words) <= 33:
            return heard
        return replace(heard, words=(*heard.words[:32], replace(last, end_samples=wanted.spans.length_samples)))

    played = play(recording(), sentences(4), decoder=stops)
    assert [final.text for final in played.finals] == [f"begin{chr(97 + index)} {SENTENCE}" for index in range(4)]
    assert len(played.passes) == 2


def test_word_without_length_where_a_window_begins_ends_it() -> None:
    """All of the window's voice follows it, and the decoder would say the same again of the same audio."""
    decoded: list[Pass] = []

    def stops_at_once(wanted: Pass, _: Job, heard: Heard) -> Heard:
        assert wanted not in decoded
        decoded.append(wanted)
        return replace(heard, words=(replace(heard.words[0], start_samples=0, end_samples=0),))

    played = play(recording(), sentences(1), decoder=stops_at_once)
    assert len(decoded) == 1
    assert played.text == "begina"


@pytest.mark.parametrize("said", [("hello",), ("one two three.", "hello")])
def test_last_word_that_seems_to_precede_its_voice_is_written_once(said: tuple[str, ...]) -> None:
    """The VAD finds a soft beginning late, and the aligner's times are not exact."""
    decoded: list[Pass] = []

    def early(wanted: Pass, _: Job, heard: Heard) -> Heard:
        assert wanted not in decoded
        decoded.append(wanted)
        last = heard.words[-1]
        length = last.end_samples - last.start_samples
        start = last.start_samples - SAMPLE_RATE_HZ * 3 // 10
        return replace(heard, words=(*heard.words[:-1], replace(last, start_samples=start, end_samples=start + length)))

    played = play(recording(), speech(*said, word_s=0.48), decoder=early)
    assert played.text == " ".join(said)
    assert len(decoded) == 1


def test_repeated_sentence_that_the_decoder_wrote_once_is_decoded_again() -> None:
    """Here 0.8 s, which is too little to be missed in mid-sentence."""

    def says_once(_: Pass, __: Job, heard: Heard) -> Heard:
        return replace(heard, words=heard.words[:2])

    said = speech("go home.", "go home.", pause_s=1.0)
    played = play(recording(), said, decoder=says_once)
    assert [final.text for final in played.finals] == ["go home.", "go home."]
    assert len(played.passes) == 2


def test_repeated_words_with_wrong_times_are_not_decoded_again() -> None:
    """They sound alike, so the aligner may take the third one for the second."""

    def hurries(_: Pass, __: Job, heard: Heard) -> Heard:
        first, second, third = heard.words
        middle = (second.start_samples + second.end_samples) // 2
        early = replace(third, start_samples=middle, end_samples=second.end_samples)
        return replace(heard, words=(first, replace(second, end_samples=middle), early))

    played = play(recording(), speech("hello.", "hello.", "hello.", word_s=0.48), decoder=hurries)
    assert played.text == "hello. hello. hello."
    assert len(played.passes) == 1


def test_repetition_that_the_decoder_left_out_is_decoded_again() -> None:
    def says_two(_: Pass, __: Job, heard: Heard) -> Heard:
        return replace(heard, words=heard.words[:2])

    played = play(recording(), speech("hello.", "hello.", "hello.", word_s=0.48), decoder=says_two)
    assert played.text == "hello. hello. hello."
    assert segments_of(played) == [3, 1]


def test_sentence_after_a_repetition_in_one_breath_is_decoded() -> None:
    def stops(_: Pass, __: Job, heard: Heard) -> Heard:
        return replace(heard, words=heard.words[:2])

    said = "bye bye.", "see you.", "so long."
    played = play(recording(), speech(*said), decoder=stops)
    assert played.text == " ".join(said)


def test_laughter_is_decoded_twice_at_most() -> None:
    def laughs(_: Pass, __: Job, heard: Heard) -> Heard:
        return answer(heard.words[:1], log_probability=-1.5, no_speech_probability=0.7)

    played = play(recording(), speech("ha ha ha ha ha ha", "ha ha ha ha ha", word_s=0.5), decoder=laughs)
    assert played.finals == []
    assert len(played.passes) == 2


def test_end_of_a_sentence_that_the_decoder_left_out_is_decoded_by_itself() -> None:
    """Here 1.2 s, the last three words."""

    def stops(wanted: Pass, _: Job, heard: Heard) -> Heard:
        return replace(heard, words=heard.words[:5]) if wanted.spans.start_samples < SAMPLE_RATE_HZ else heard

    played = play(recording(), speech("there was little in his power to do."), decoder=stops)
    assert played.text == "there was little in his power to do."
    assert len(played.passes) == 2


def test_loop_is_decoded_again_in_halves() -> None:
    """Its words are all over the window, so that what it leaves out is not found behind its last word."""

    def loops(wanted: Pass, _: Job, heard: Heard) -> Heard:
        if len(wanted.spans.spans) < 3:
            return heard
        end = wanted.spans.length_samples
        loop = [replace(one, start_samples=end, end_samples=end) for one in heard.words[:11] * 2]
        return replace(heard, words=(*heard.words[:10], replace(heard.words[10], end_samples=end), *loop))

    said = sentences(5)
    played = play(recording(), said, decoder=loops)
    assert segments_of(played) == [5, 2, 3, 1, 2]
    assert [final.model_ms for final in played.finals] == [2, 2, 3, 3, 3], "each pass takes 1 ms"
    assert [final.text for final in played.finals] == [f"begin{chr(97 + index)} {SENTENCE}" for index in range(5)]
    assert [final.segment for final in played.finals] == list(range(5))


def test_decoder_without_words_runs_once() -> None:
    def silent(_: Pass, __: Job, ___: Heard) -> Heard:
        return answer(())

    played = play(recording(), sentences(3), decoder=silent)
    assert len(played.passes) == 1
    assert played.finals == []


def test_words_made_up_after_the_speech_are_not_believed() -> None:
    def goes_on(wanted: Pass, _: Job, heard: Heard) -> Heard:
        end = wanted.spans.length_samples
        made_up: Sequence[str] = [" Thank", " you", " for", " watching"] * 5
        return replace(
            heard,
            words=(*heard.words, *(replace(word(one, 0, 0), start_samples=end, end_samples=end) for one in made_up)),
        )

    assert play(recording(), sentences(2), decoder=goes_on).text.count("watching") == 0


def test_new_owner_continues_from_the_checkpoint() -> None:
    said = sentences(3)
    first = play(recording(), said).finals[0]
    place = Place(first.resume_samples, 1)
    played = play(recording(place=place), said, start_samples=first.resume_samples)
    assert [final.segment for final in played.finals] == [1, 2]
    assert played.finals[0].text.startswith("beginb")


def test_new_owner_does_not_decode_the_audio_before_the_checkpoint() -> None:
    said = sentences(3)
    first, *rest = play(recording(), said).finals
    checkpoint = first.resume_samples + SAMPLE_RATE_HZ // 4
    history = History(checkpoint - 3 * SAMPLE_RATE_HZ, (SettledWord(" ten.", first.words[-1].end_samples),))
    new = recording(place=Place(checkpoint, 1))
    new.recall(history, tokens)
    played = play(new, said, start_samples=history.start_samples)
    assert [(one.segment, one.text) for one in played.finals] == [(one.segment, one.text) for one in rest]
    for found, true in zip(played.finals, rest, strict=True):
        assert abs(found.words[0].start_samples - true.words[0].start_samples) <= 1024
    assert min(wanted.spans.start_samples for wanted in played.passes) >= checkpoint
    assert new.endpointing.audio.end_samples == said.length_samples


def test_segments_have_the_scores_of_their_window() -> None:
    said = sentences(2)
    scored = Speech(tuple(replace(one, confidence=0.8) for one in said.words), said.length_samples)
    played = play(recording(), scored)
    assert segments_of(played) == [2]
    assert [one.scores for one in played.finals] == [Scores(pytest.approx(0.8), -0.2, 0.01)] * 2
    assert {word.confidence for one in played.finals for word in one.words} == {0.8}
