"""Sessions that transcribe."""

from itertools import pairwise

import numpy as np
import pytest

from shared.continuation import continuation
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from shared.turn_detection import TurnDetection
from tests.engine_sessions import drained, finals, heard, partials
from tests.speech import SENTENCES, conversation, silence
from tests.voxtral.driving import FILE, samples, speech, spoken_text
from tests.voxtral.reference import Reference, murmur
from worker.engines.base import Final, Finished, Output, SpeechStarted, SpeechStopped, TurnEnded
from worker.engines.voxtral.engine import VoxtralEngine
from worker.engines.voxtral.session import pcm16


@pytest.mark.parametrize("language", [None, "en"])
def test_transcript_is_that_of_generate(engine: VoxtralEngine, reference: Reference, language: str | None) -> None:
    pcm = samples(pcm16(conversation(sentences=SENTENCES[:3], pause_s=0.8)))
    outputs = heard(engine, pcm, SessionOptions(partials=False, language=language))
    assert len(finals(outputs)) > 1
    for number, final in enumerate(finals(outputs)):
        assert final.text == spoken_text(reference, pcm, final, language)
        assert (final.segment, final.language, final.words) == (number, language, ())
        assert final.scores is not None
        assert final.usage is not None
        assert len(final.scores.word_confidences or ()) == len(final.text.split())
        assert final.scores.avg_logprob < 0  # type: ignore[operator]
        assert final.usage.completion_tokens > 0
    assert partials(outputs) == []
    assert isinstance(outputs[-1], Finished)


@pytest.mark.parametrize("options", [SessionOptions(), FILE], ids=["live", "file"])
@pytest.mark.parametrize("length_samples", [100, 1600, 5120, 60_001])
def test_audio_that_waits_for_more_is_no_backlog(
    engine: VoxtralEngine, length_samples: int, options: SessionOptions
) -> None:
    engine.open("a", options)
    engine.feed("a", conversation(sentences=SENTENCES[:2])[:length_samples])
    drained(engine)
    assert engine.absorbed_samples("a") == length_samples
    engine.close("a")


def test_turns_end_by_the_rule_of_the_client(engine: VoxtralEngine) -> None:
    pcm = np.concatenate([speech(0)[:SAMPLE_RATE_HZ], silence(1), speech(0)[:SAMPLE_RATE_HZ], silence(1)])
    for silence_ms, turns in ((400, 2), (4000, 1)):
        detection = TurnDetection("pause", silence_duration_ms=silence_ms)
        found = heard(engine, pcm, SessionOptions(partials=False, turn_detection=detection))
        assert [type(one) for one in found] == [*[SpeechStarted, SpeechStopped, Final, TurnEnded] * turns, Finished]


def test_live_speech_gives_events_in_order(engine: VoxtralEngine) -> None:
    pcm = np.concatenate([speech(0), silence(1)])
    outputs = heard(engine, pcm, SessionOptions())
    kinds = [type(output) for output in outputs]
    assert kinds[0] is SpeechStarted
    assert kinds[-3:] == [SpeechStopped, Final, Finished]
    [final] = finals(outputs)
    assert partials(outputs)
    assert all(partial.start_samples == final.start_samples for partial in partials(outputs))
    positions = [partial.heard_samples for partial in partials(outputs)]
    assert positions == sorted(positions)
    committed = ["", *(partial.committed_text for partial in partials(outputs))]
    assert all(later.startswith(earlier) for earlier, later in pairwise(committed))
    assert all(partial.text.startswith(partial.committed_text) for partial in partials(outputs))
    [offline] = finals(heard(engine, pcm, FILE))
    assert final.text == committed[-1] + continuation(committed[-1], offline.text)


def test_pause_that_ends_the_segment_is_decoded_once(engine: VoxtralEngine) -> None:
    """The text of the audio up to the pause is there before the endpoint is: the final costs no pass of its own."""
    pcm = np.concatenate([speech(0), silence(1)])
    engine.open("a", SessionOptions())
    outputs: list[Output] = []
    for start in range(0, len(pcm), 512):
        engine.feed("a", pcm[start : start + 512])
        before = len(finals(outputs))
        steps = 0
        while engine.ready():
            outputs += [output for _, output in engine.step()]
            steps += 1
        if len(finals(outputs)) > before:
            assert steps == 1
    assert len(finals(outputs)) == 1


def test_sound_without_speech_gives_no_text(engine: VoxtralEngine) -> None:
    outputs = heard(engine, np.concatenate([silence(2), samples(murmur(3, 3.0)) * 0.05]), SessionOptions())
    assert [type(output) for output in outputs] == [Finished]


def test_long_speech_is_cut_within_a_window(engine: VoxtralEngine) -> None:
    pcm = np.concatenate([speech(index)[4000:-6000] for index in range(12)])
    outputs = heard(engine, pcm, FILE, chunk_samples=16_000)
    found = finals(outputs)
    assert all(final.end_samples - final.start_samples <= 30 * SAMPLE_RATE_HZ for final in found)
    assert max(final.end_samples - final.start_samples for final in found) > 12 * SAMPLE_RATE_HZ


def test_open_segment_of_a_file_is_no_backlog(engine: VoxtralEngine) -> None:
    """The reader stops at 10 s of backlog; a file's segment is longer and is decoded only when it ends."""
    pcm = np.concatenate([speech(index)[4000:-6000] for index in range(4)])
    engine.open("a", FILE)
    for start in range(0, len(pcm), 16_000):
        engine.feed("a", pcm[start : start + 16_000])
        drained(engine)
        assert min(start + 16_000, len(pcm)) - engine.absorbed_samples("a") < SAMPLE_RATE_HZ
