"""Long segments of a live session, which become final part by part."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import CommitDelay, Mode
from tests.unit.worker.engines.whisper.heard_words import words
from tests.unit.worker.engines.whisper.test_live import ENGLISH, PATIENT, SETTINGS, check_contract, monologue, session
from tests.unit.worker.engines.whisper.whisper_speech import Answer, Speech, answer, play, speech
from worker.engines.base import Final, SpeechStopped
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.session import Pass

PAUSE_S = 0.4
"""Long enough for a pass over what precedes it, too short to end a segment."""


def phrases(count: int, **options: float) -> tuple[list[str], Speech]:
    """Phrases of six words, 2.4 s, with short pauses between them, and silence at the end."""
    said = [monologue(6 * (index + 1), sentence_words=1000).split()[-6:] for index in range(count)]
    texts = [" ".join(one) for one in said]
    found = speech(*texts, pause_s=PAUSE_S, **options)
    return texts, replace(found, length_samples=found.length_samples + SAMPLE_RATE_HZ)


def test_window_stays_short_and_never_loses_a_word() -> None:
    said = monologue(200)
    played = play(session(segmenter=PATIENT), speech(said, word_s=0.35))
    check_contract(played)
    assert played.text == said
    assert len(played.finals) >= 4
    limit_s = SETTINGS.window_s + 1.0
    assert max(wanted.spans.length_samples for wanted in played.passes) <= limit_s * SAMPLE_RATE_HZ
    for final in played.finals[:-1]:
        assert final.text.endswith(".")
        assert final.end_samples - final.start_samples < (SETTINGS.segment_s + 1) * SAMPLE_RATE_HZ


def test_long_segment_without_sentences_ends_after_a_word() -> None:
    said = monologue(120, sentence_words=1000)
    played = play(session(segmenter=PATIENT), speech(said, word_s=0.35))
    check_contract(played)
    assert played.text == said
    assert len(played.finals) > 1


def test_part_before_a_pause_becomes_final_in_the_pause() -> None:
    said, spoken = phrases(5)
    played = play(session(segmenter=PATIENT), spoken)
    check_contract(played)
    assert [final.text for final in played.finals] == [" ".join(said[:3]), " ".join(said[3:])]
    first, later = played.finals[0], played.outputs[played.outputs.index(played.finals[0]) :]
    assert first.end_samples - first.start_samples > SETTINGS.pause_s * SAMPLE_RATE_HZ
    assert [type(output) for output in later if isinstance(output, Final | SpeechStopped)] == [
        Final,
        SpeechStopped,
        Final,
    ]


def test_no_shown_word_of_a_long_segment_is_retracted() -> None:
    _, spoken = phrases(12)
    played = play(session(segmenter=PATIENT), spoken)
    assert len(played.finals) > 3
    shown = [(one.segment, one.text) for one in played.outputs if isinstance(one, Final) or one in played.partials]
    for (segment, before), (following, after) in pairwise(shown):
        assert following != segment or after.startswith(before)


@pytest.mark.parametrize("turns", [True, False])
def test_end_of_speech_after_a_part_adds_no_text(turns: bool) -> None:
    """Sessions with turns get the result of what followed the part."""
    said, spoken = phrases(3)
    played = play(session(replace(ENGLISH, turns=turns), segmenter=PATIENT), spoken)
    check_contract(played)
    assert [final.text for final in played.finals] == [" ".join(said)] + [""] * turns
    assert sum(isinstance(output, SpeechStopped) for output in played.outputs) == 1


def test_brief_word_after_the_part_is_not_taken_for_a_cough() -> None:
    def unsure(_: Pass, __: Job, heard: Heard) -> Heard:
        return replace(heard, log_probability=-0.8)

    said, spoken = phrases(3)
    brief = words("Yes.", spoken.words[-1].end_samples / SAMPLE_RATE_HZ + PAUSE_S, 0.1)
    played = play(session(segmenter=PATIENT), replace(spoken, words=(*spoken.words, *brief)), decoder=unsure)
    assert [final.text for final in played.finals] == [" ".join(said), "Yes."]


def test_pause_ends_no_part_of_a_short_segment() -> None:
    said, spoken = phrases(2)
    played = play(session(segmenter=PATIENT), spoken)
    assert [final.text for final in played.finals] == [" ".join(said)]


def test_pause_ends_no_part_whose_text_may_still_change() -> None:
    """Such as a translation, whose words do not follow the audio."""
    said, spoken = phrases(4)
    played = play(session(replace(ENGLISH, mode=Mode.TRANSLATE), segmenter=PATIENT), spoken)
    check_contract(played)
    assert [final.text for final in played.finals] == [" ".join(said)]


@pytest.mark.parametrize("option", [{"redact": ("numbers",)}, {"redact_terms": ("wordaa",)}, {"numerals": True}])
def test_pause_ends_no_part_if_a_number_or_a_name_could_be_divided(option: dict[str, Any]) -> None:
    said, spoken = phrases(4)
    played = play(session(replace(ENGLISH, **option), segmenter=PATIENT), spoken)
    assert [final.text for final in played.finals] == [" ".join(said)]


def _silent(_: Pass, job: Job, heard: Heard) -> Heard:
    return answer((), lead=heard.lead) if job.closing and job.forced else heard


def _stopping(_: Pass, job: Job, heard: Heard) -> Heard:
    return replace(heard, words=heard.words[:-3]) if job.closing and len(heard.words) > 3 else heard


@pytest.mark.parametrize("decoder", [_silent, _stopping])
def test_nothing_is_lost_if_the_decoder_misses_words_before_the_pause(decoder: Answer) -> None:
    said, spoken = phrases(3)
    options = replace(ENGLISH, commit_delay=CommitDelay.ACCURATE)
    played = play(session(options, segmenter=PATIENT), spoken, decoder=decoder)
    check_contract(played)
    assert played.text == " ".join(said)
