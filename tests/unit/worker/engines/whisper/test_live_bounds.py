"""What a live session keeps is bounded, whatever it hears and for however long."""

from dataclasses import replace

import pytest

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode, SessionOptions
from tests.unit.worker.engines.whisper.heard_words import words
from tests.unit.worker.engines.whisper.test_live import ENGLISH, STORY, check_contract, monologue, session
from tests.unit.worker.engines.whisper.whisper_speech import INTERVAL_MS, Speech, play, speech
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.live import LiveSession
from worker.engines.whisper.session import Pass
from worker.engines.whisper.settings import LIVE_SEGMENTER, LiveSettings

LONGEST_WINDOW_S = LiveSettings().longest_window_s + 1
"""The window is cut after a pass, and a part of a second may be new in the next one."""


def longest_s(passes: list[Pass]) -> float:
    return max(one.spans.length_samples for one in passes) / SAMPLE_RATE_HZ


def kept_s(live: LiveSession) -> float:
    audio = live.endpointing.audio
    return (audio.end_samples - audio.start_samples) / SAMPLE_RATE_HZ


def test_silence_keeps_no_audio() -> None:
    said = speech(STORY[0])
    said.length_samples += 60 * SAMPLE_RATE_HZ
    live = session()
    played = play(live, said, chunk_samples=SAMPLE_RATE_HZ)
    assert played.text == STORY[0]
    assert kept_s(live) < 3


def test_speech_after_a_long_silence_has_no_context() -> None:
    played = play(session(segmenter=LIVE_SEGMENTER), speech(*STORY[:2], pause_s=40.0))
    assert played.text == " ".join(STORY[:2])
    second_samples = played.finals[1].start_samples
    assert all(one.spans.start_samples >= second_samples for one in played.passes if one.end_samples > second_samples)


@pytest.mark.parametrize(
    ("options", "interval_ms"),
    [(replace(ENGLISH, partials=False), INTERVAL_MS), (ENGLISH, 4500.0)],
    ids=["without partials", "slow passes"],
)
@pytest.mark.parametrize("mode", [Mode.TRANSCRIBE, Mode.TRANSLATE])
def test_phrases_with_short_pauses_are_not_decoded_again_and_again(
    options: SessionOptions, interval_ms: float, mode: Mode
) -> None:
    phrases = monologue(180, sentence_words=6).split(". ")
    said = speech(*phrases, pause_s=0.4)
    played = play(
        session(replace(options, mode=mode), segmenter=LIVE_SEGMENTER), said, interval_ms=interval_ms, chunk_samples=800
    )
    check_contract(played)
    assert played.text == " ".join(phrases)
    assert longest_s(played.passes) < LONGEST_WINDOW_S
    assert len(played.finals) > 3


@pytest.mark.parametrize("heard_as_noise", [True, False])
def test_long_voice_without_words_is_left_out(heard_as_noise: bool) -> None:
    """Music, or a crowd."""
    before = words(STORY[0], 0.5, 0.4)
    music = words(monologue(500), before[-1].end_samples / SAMPLE_RATE_HZ, 0.4)
    after = words(STORY[2], music[-1].end_samples / SAMPLE_RATE_HZ, 0.4)
    end_samples = after[-1].end_samples
    said = Speech((*before, *music, *after), end_samples + SAMPLE_RATE_HZ, is_strict=False)
    heard_words = {one.text for one in (*before, *after)}
    checkpoints_s: list[float] = []

    def without_music(wanted: Pass, _: Job, heard: Heard) -> Heard:
        checkpoints_s.append((wanted.end_samples - live.checkpoint_samples) / SAMPLE_RATE_HZ)
        found = tuple(one for one in heard.words if one.text in heard_words)
        if heard_as_noise and not found:
            return replace(heard, words=heard.words, log_probability=-2.0, no_speech_probability=0.9)
        return replace(heard, words=found)

    live = session(segmenter=LIVE_SEGMENTER)
    played = play(live, said, decoder=without_music, interval_ms=1000.0)
    check_contract(played)
    assert played.finals[0].text == STORY[0]
    assert played.finals[0].end_samples <= music[0].start_samples + SAMPLE_RATE_HZ
    assert played.text.endswith(STORY[2].split(maxsplit=1)[1])
    assert longest_s(played.passes) < LONGEST_WINDOW_S
    assert max(checkpoints_s) < LiveSettings().segment_s + LONGEST_WINDOW_S
