"""From audio to labels, with the speech of two synthetic voices and the installed model."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import KnownSpeaker
from tests.speech import SENTENCES, silence
from tests.two_voices import high, low, pcm_of
from tests.unit.worker.speakers import voices
from worker.speakers.model import SpeakerModel
from worker.speakers.sizes import STEP_SAMPLES
from worker.speakers.tracker import Tracker
from worker.speakers.windows import Window

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> SpeakerModel:
    return SpeakerModel(None, None)


def labelled(model: SpeakerModel, tracker: Tracker, turns: list[Floats], segment: int = 0) -> list[str | None]:
    """The label of each turn, in a final of its own."""
    found = []
    for turn in turns:
        start = tracker.windows.at_samples
        windows = tracker.feed(np.concatenate([turn, silence(0.6)]))
        end = start + len(turn)
        windows += tracker.ends_before(end)
        for window, vector in zip(windows, model.encoder.embed([one.pcm for one in windows]), strict=True):
            tracker.learn(window, vector)
        found.append(tracker.label(segment + len(found), start, end).labelling.between(start, end))
    return found


def test_turns_of_two_voices_get_their_labels(model: SpeakerModel) -> None:
    turns = [low(SENTENCES[0]), high(SENTENCES[1]), low(SENTENCES[2]), high(SENTENCES[3])]
    assert labelled(model, model.tracker(8, 0), turns) == ["A", "B", "A", "B"]


def test_new_owner_continues_with_the_same_labels(model: SpeakerModel) -> None:
    first = model.tracker(8, 0)
    labelled(model, first, [low(SENTENCES[0]), high(SENTENCES[1])])
    second = model.tracker(8, first.windows.at_samples)
    assert second.restore(first.state)
    assert labelled(model, second, [high(SENTENCES[4]), low(SENTENCES[5])], 2) == ["B", "A"]


def test_state_of_another_model_is_ignored(model: SpeakerModel) -> None:
    assert not model.tracker(8, 0).restore(b'{"model":"onnx-1","named":1,"speakers":[]}')


def test_known_speakers_are_named_by_recording_and_by_embedding(model: SpeakerModel) -> None:
    tracker = model.tracker(8, 0)
    recording = pcm_of(high(SENTENCES[6]))
    enrolled = model.embedding(pcm_of(low(SENTENCES[7])))
    assert model.name(tracker, KnownSpeaker("Hi"), recording) is None
    assert model.name(tracker, KnownSpeaker("Lo", enrolled), None) is None
    assert labelled(model, tracker, [low(SENTENCES[0]), high(SENTENCES[1])]) == ["Lo", "Hi"]


def test_voices_that_cannot_be_used_are_named_with_the_reason(model: SpeakerModel) -> None:
    tracker = model.tracker(8, 0)
    silent = np.zeros(32_000, "<i2").tobytes()
    assert "less than 1 s of speech" in str(model.name(tracker, KnownSpeaker("Ann"), silent))
    assert "has no audio" in str(model.name(tracker, KnownSpeaker("Ann"), None))
    assert "another model" in str(model.name(tracker, KnownSpeaker("Ann", "onnx-1:AAAA"), None))
    assert model.embedding(silent) is None
    assert not tracker.speakers.found


def test_unsure_speech_gets_its_speaker_later_in_the_same_session(model: SpeakerModel) -> None:
    tracker = model.tracker(8, 0)
    short = high(SENTENCES[1])[:20_000]
    assert labelled(model, tracker, [low(SENTENCES[0]), short]) == ["A", None]
    start = tracker.windows.at_samples
    windows = tracker.feed(np.concatenate([high(SENTENCES[3]), high(SENTENCES[1]), silence(0.6)]))
    for window, vector in zip(windows, model.encoder.embed([one.pcm for one in windows]), strict=True):
        tracker.learn(window, vector)
    changed = tracker.label(2, start, start + 80_000).changed
    assert [labelling.labels[-1] for labelling in changed.values()] == ["B"]


def learn(tracker: Tracker, speakers: list[int], start_samples: int = 0) -> int:
    """Let it hear windows of these speakers; returns the end of the last one."""
    for one in voices.windows(speakers, start_samples):
        pcm = np.zeros(one.end_samples - one.start_samples, np.float32)
        tracker.learn(Window(one.start_samples, pcm), one.vector)
    return one.end_samples


def test_speech_without_a_final_is_no_speaker_of_the_next_one(model: SpeakerModel) -> None:
    tracker = model.tracker(8, 0)
    end = learn(tracker, [1] * 10)
    start = end + STEP_SAMPLES
    labelling = tracker.label(0, start + SAMPLE_RATE_HZ, learn(tracker, [2] * 10, start)).labelling
    assert labelling.spans[0][0] == start
    assert set(labelling.labels) == {"A"}
    assert len(tracker.speakers.found) == 1


def test_memory_for_a_long_final_does_not_grow_with_the_square_of_its_length(model: SpeakerModel) -> None:
    tracker = model.tracker(8, 0)
    end = learn(tracker, ([1] * 30 + [2] * 30) * 20)
    tracemalloc.start()
    try:
        labels = tracker.label(0, 0, end).labelling.labels
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert set(labels[:30]) == set(labels[60:90]) == {"A"}
    assert set(labels[30:60]) == set(labels[-30:]) == {"B"}
    assert peak_bytes < 2_000_000, "similarities of all pairs of windows take 5.8 MB"
