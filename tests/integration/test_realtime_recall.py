"""A new owner of a Realtime session goes on as the former one would have: it is given audio and words again."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from tests.engine_sessions import drained, finals
from tests.tiny import scenes
from tests.tiny.engine import loaded_realtime
from worker.engines.base import Final, Finished, History, SettledWord
from worker.engines.voxtral_realtime.prefill import CHUNK, MIN_CHUNK

SPOKEN = scenes.scene(21, 12, gap_s=(0.1, 1.2))
ALL = 10**9
"""More samples of the past than there are."""


@pytest.fixture(scope="module")
def engine() -> Any:
    threads = torch.get_num_threads()
    engine = loaded_realtime(slots=16)
    engine.warm_up()
    yield engine
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def undisturbed(engine: Any) -> list[Final]:
    engine.open("whole", SessionOptions())
    return finished(engine, {"whole": SPOKEN.audio})["whole"]


def finished(engine: Any, audio: dict[str, NDArray[np.float32]]) -> dict[str, list[Final]]:
    """Feed the audio of each session, finish and close; the finals."""
    for session_id, pcm in audio.items():
        engine.feed(session_id, pcm)
        engine.finish(session_id)
    outputs = drained(engine)
    for session_id in audio:
        engine.close(session_id)
        assert outputs[session_id][-1] == Finished()
    assert outputs.keys() == audio.keys()
    return {session_id: finals(said) for session_id, said in outputs.items()}


def inherited(engine: Any, session_id: str, done: list[Final], history_samples: int) -> NDArray[np.float32]:
    """Open a session at the checkpoint of the last final, as another owner does; the audio that it is to hear."""
    checkpoint = done[-1].resume_samples
    start = max(0, checkpoint - history_samples)
    words = tuple(
        SettledWord(f" {word.text}", word.end_samples)
        for final in done
        for word in final.words
        if word.end_samples > start
    )
    engine.open(session_id, SessionOptions(), start_samples=checkpoint, segment=done[-1].segment + 1)
    if history_samples:
        engine.recall(session_id, History(start, words))
    return SPOKEN.audio[start if history_samples else checkpoint :]


@pytest.mark.parametrize("history_samples", [ALL, 3 * 16_000, 0], ids=["all", "3 s", "none"])
def test_continued_session_says_what_the_undisturbed_one_says(
    engine: Any, undisturbed: list[Final], history_samples: int
) -> None:
    """With all of the past the model stands where it stood; with none it begins anew. After each of the finals."""
    assert len(undisturbed) >= 4
    counts = range(1, len(undisturbed))
    audio = {str(count): inherited(engine, str(count), undisturbed[:count], history_samples) for count in counts}
    for name, heard in finished(engine, audio).items():
        rest = undisturbed[int(name) :]
        assert [final.text for final in heard] == [final.text for final in rest]
        assert [final.segment for final in heard] == [final.segment for final in rest]
        if history_samples == ALL:
            assert [replace(final, model_ms=0) for final in heard] == [replace(final, model_ms=0) for final in rest]


def test_nothing_of_the_past_is_said_again(engine: Any) -> None:
    checkpoint = len(SPOKEN.audio) - 1600
    words = tuple(SettledWord(f" {word.text}", word.end_samples) for word in SPOKEN.words)
    engine.open("heir", SessionOptions(), start_samples=checkpoint, segment=3)
    engine.recall("heir", History(0, words))
    assert finished(engine, {"heir": SPOKEN.audio}) == {"heir": []}


def test_word_that_the_former_owner_misread_is_not_heard_again(engine: Any, undisturbed: list[Final]) -> None:
    """What was written is read, not written anew: a final never changes."""
    first = undisturbed[0]
    misread = replace(first, words=tuple(replace(word, text="zero") for word in first.words))
    heard = finished(engine, {"heir": inherited(engine, "heir", [misread], ALL)})["heir"]
    assert len(heard) == len(undisturbed) - 1


def test_past_is_recalled_in_chunks_beside_the_passes_of_others(engine: Any, undisturbed: list[Final]) -> None:
    """Where each position took a pass before, and no other session waits for more than a chunk."""
    engine.open("other", SessionOptions())
    engine.feed("other", SPOKEN.audio)
    engine.feed("heir", inherited(engine, "heir", undisturbed[:-1], ALL))
    heir, other = engine._sessions["heir"], engine._sessions["other"]
    positions = heir.known_positions
    assert positions > 3 * CHUNK
    steps = 0
    while heir.known_positions >= MIN_CHUNK:
        reached = other.stretch._position
        engine.step()
        steps += 1
        assert reached < other.stretch._position <= reached + CHUNK + 1
    assert steps <= positions // CHUNK + 2
    for session_id in ("heir", "other"):
        engine.close(session_id)


def test_only_audio_that_has_come_is_recalled(engine: Any) -> None:
    engine.open("heir", SessionOptions(), start_samples=3 * 16_000)
    engine.recall("heir", History(0, ()))
    heir = engine._sessions["heir"]
    assert heir.known_positions == 0
    engine.feed("heir", SPOKEN.audio[:16_000])
    assert heir.known_positions == 13, "12.5 frames, and the first position hears little of frame 0"
    engine.finish("heir")
    assert heir.known_positions > 13, "after the end there is silence"
    engine.close("heir")
