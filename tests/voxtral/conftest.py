"""A tiny Voxtral with random weights: two of them for what they answer, one for what does not depend on it."""

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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Answers that agree with the reference for one model by chance do not agree for another."""
    if "weights_seed" in metafunc.fixturenames:
        metafunc.parametrize("weights_seed", [0, 4] if "reference" in metafunc.fixturenames else [0], scope="session")


@pytest.fixture(scope="session")
def checkpoint(weights_seed: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), seed=weights_seed, context_tokens=CONTEXT_TOKENS)


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
