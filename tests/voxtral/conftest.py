"""A tiny Voxtral with random weights, twice: what holds for one must hold for the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.tiny.voxtral import write_checkpoint
from tests.voxtral.driving import CONTEXT_TOKENS, loaded
from tests.voxtral.reference import Reference
from worker.engines.voxtral import answering
from worker.engines.voxtral.engine import VoxtralEngine

torch.set_num_threads(1)  # the models are tiny, and other tests want a core too


@pytest.fixture(scope="session", params=[0, 4])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoint")
    return write_checkpoint(directory, seed=request.param, context_tokens=CONTEXT_TOKENS)


@pytest.fixture(scope="session")
def reference(checkpoint: Path) -> Reference:
    return Reference(checkpoint)


@pytest.fixture(scope="session")
def model(checkpoint: Path) -> VoxtralEngine:
    return loaded(checkpoint)


@pytest.fixture
def engine(model: VoxtralEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[VoxtralEngine]:
    """The shared model without sessions of an earlier test; every token of an answer makes a partial."""
    monkeypatch.setattr(answering, "PARTIAL_INTERVAL_S", 0.0)
    yield model
    for session_id in "abcdefghi":
        model.close(session_id)
