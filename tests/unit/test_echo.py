"""The engine without a model, as a worker loads it."""

import pytest

from shared.config import Settings
from worker.engines.registry import load_engine


@pytest.mark.parametrize("name", ["echo", "echo:b", "echo:a/b c"])
def test_echo_runs_under_the_name_that_it_is_given(name: str) -> None:
    info = load_engine(Settings(model={"name": name, "slots": 3})).info
    assert (info.engine, info.model, info.slots) == ("echo", name, 3)
