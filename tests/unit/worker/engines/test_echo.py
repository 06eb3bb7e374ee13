"""The engine without a model, as a worker loads it."""

import numpy as np
import pytest

from shared.config.settings import Settings
from shared.session_options import SessionOptions
from worker.engines.base import Final, Partial
from worker.engines.echo import EchoEngine
from worker.engines.registry import load_engine


@pytest.mark.parametrize("name", ["echo", "echo:b", "echo:a/b c"])
def test_echo_runs_under_the_name_that_it_is_given(name: str) -> None:
    info = load_engine(Settings(model={"name": name, "slots": 3})).info
    assert (info.engine, info.model, info.slots) == ("echo", name, 3)


def test_audio_behind_a_commit_is_answered_though_both_come_at_once() -> None:
    engine = EchoEngine(slots=1)
    engine.open("s1", SessionOptions())
    engine.feed("s1", np.zeros(8000, np.float32))
    engine.commit("s1")
    engine.feed("s1", np.zeros(4000, np.float32))
    texts = [output.text for _, output in engine.step() if isinstance(output, Partial | Final)]
    assert texts == ["0.5 seconds", "0.5 seconds", "0.25 seconds"]
