"""A new owner of a Realtime session goes on as the former one would have: it is given audio and words again."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.config import Settings
from shared.events import SessionOptions
from tests.tiny import scenes
from tests.tiny.checkpoint import DIRECTORY
from worker.engines.base import Final, Finished, History, Output, SettledWord
from worker.engines.registry import REALTIME, load_engine

SPOKEN = scenes.scene(21, 12, gap_s=(0.1, 1.2))


@pytest.fixture(scope="module")
def engine() -> Any:
    threads = torch.get_num_threads()
    model = {"name": REALTIME, "path": DIRECTORY, "device": "cpu", "threads": 1, "slots": 2}
    engine = load_engine(Settings(model=model))  # type: ignore[arg-type]
    engine.warm_up()
    yield engine
    torch.set_num_threads(threads)


def finished(engine: Any, session_id: str, audio: NDArray[np.float32]) -> list[Final]:
    """Feed the audio, finish and close; the finals."""
    engine.feed(session_id, audio)
    engine.finish(session_id)
    outputs: list[tuple[str, Output]] = []
    while engine.ready():
        outputs += engine.step()
    engine.close(session_id)
    assert outputs[-1][1] == Finished()
    return [output for _, output in outputs if isinstance(output, Final)]


def continued(engine: Any, done: list[Final], history_samples: int) -> list[Final]:
    """What another owner says from the checkpoint of the last final on."""
    checkpoint = done[-1].resume_samples
    start = max(0, checkpoint - history_samples)
    words = tuple(
        SettledWord(f" {word.text}", word.end_samples)
        for final in done
        for word in final.words
        if word.end_samples > start
    )
    engine.open("heir", SessionOptions(), start_samples=checkpoint, segment=done[-1].segment + 1)
    if history_samples:
        engine.recall("heir", History(start, words))
        assert engine.absorbed_samples("heir") == checkpoint
    return finished(engine, "heir", SPOKEN.audio[start if history_samples else checkpoint :])


def test_continued_session_says_what_the_undisturbed_one_says(engine: Any) -> None:
    """With all of the past the model stands where it stood; with none it begins anew."""
    engine.open("whole", SessionOptions())
    undisturbed = finished(engine, "whole", SPOKEN.audio)
    assert len(undisturbed) >= 4
    for count in range(1, len(undisturbed)):
        rest = undisturbed[count:]
        for history_samples in (10**9, 3 * 16_000, 0):
            heard = continued(engine, undisturbed[:count], history_samples)
            assert [final.text for final in heard] == [final.text for final in rest]
            assert [final.segment for final in heard] == [final.segment for final in rest]
        whole = continued(engine, undisturbed[:count], 10**9)
        assert [replace(final, model_ms=0) for final in whole] == [replace(final, model_ms=0) for final in rest]


def test_nothing_of_the_past_is_said_again(engine: Any) -> None:
    checkpoint = len(SPOKEN.audio) - 1600
    words = tuple(SettledWord(f" {word.text}", word.end_samples) for word in SPOKEN.words)
    engine.open("heir", SessionOptions(), start_samples=checkpoint, segment=3)
    engine.recall("heir", History(0, words))
    assert finished(engine, "heir", SPOKEN.audio) == []


def test_word_that_the_former_owner_misread_is_not_heard_again(engine: Any) -> None:
    """What was written is read, not written anew: a final never changes."""
    engine.open("whole", SessionOptions())
    undisturbed = finished(engine, "whole", SPOKEN.audio)
    first = undisturbed[0]
    misread = replace(first, words=tuple(replace(word, text="zero") for word in first.words))
    heard = continued(engine, [misread], 10**9)
    assert len(heard) == len(undisturbed) - 1
