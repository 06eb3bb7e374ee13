"""Compiled layers of Voxtral Realtime say the same tokens, in few versions that are made before passes are recorded."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tiny import realtime
from tests.tiny.batched_model import PROMPT, ROWS, batched_model
from worker.engines.compiling import Compiler, missing_for
from worker.engines.voxtral_realtime.layers import Layer, replace_layers
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.passes import Passes

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fresh_compiler(one_thread: None) -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def tokens_of(model: BatchedModel, batches: tuple[int, ...] = (3, 1)) -> list[list[int]]:
    """What batches of sessions say, each begun anew."""
    generator = np.random.default_rng(3)
    said = []
    for batch in batches:
        for row in range(batch):
            model.start(row, 2)
        for position in range(PROMPT.first_position, PROMPT.first_position + 14):
            for row in range(batch):
                pcm = generator.standard_normal(PROMPT.window_samples).astype(np.float32) * 0.1
                model.stage(row, pcm, PROMPT.token_at(position, 2))
            said.append(model.run(batch))
    return said


class Graphs:
    """A backend of `torch.compile` that runs every graph as it is, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, graph: Any, _inputs: Any) -> Any:
        self.count += 1
        return graph


class Recorder:
    """Stands for a GPU that records passes, and notes how many graphs there were."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self.graphs: set[int] = set()

    def record(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.graphs.add(self._graphs.count)
        run()
        self.graphs.add(self._graphs.count)
        return run


def test_compiled_layers_say_the_same_in_whole_graphs() -> None:
    """Two methods of two kinds of layers, each for one row and for any other number."""
    graphs = Graphs()
    compiled, plain = batched_model(compiler=Compiler("on", CPU, graphs)), batched_model()
    recorder = Recorder(graphs)
    compiled._passes = Passes(compiled._pass, ROWS, compiled._memory.text.length, recorder)
    for model in (compiled, plain):
        model.warm_up([2])
    assert compiled.compilation == "layers compiled"
    expected = tokens_of(plain)
    assert tokens_of(compiled) == expected
    assert len({token for row in expected for token in row}) > 20, "a test of few tokens proves nothing"
    assert graphs.count == 2 * 2 * 2
    assert recorder.graphs == {graphs.count}, "all is compiled before the first pass is recorded"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch itself uses
def test_inductor_says_the_same() -> None:
    """Of what is compiled, the language model's part after attention, and one version: each takes seconds."""
    if missing := missing_for(CPU):
        pytest.skip(f"inductor cannot compile here: {missing}")

    model, compiler = realtime.random_model(0), Compiler("on", CPU)
    replace_layers(model)
    layer: Any = model.model.language_model.layers[0]
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(3, 3, 1, model.config.text_config.hidden_size, generator=generator).unbind()
    with (
        torch.inference_mode(),
        torch._inductor.config.patch({"cpp_cache_precompile_headers": False, "cpp.vec_isa_ok": False}),
    ):
        expected = layer.transform(*given)
        compiler.choose([([layer], Layer.transform.__name__)], lambda: layer.transform(*given), lambda: 1.0)
        assert compiler.description == "layers compiled"
        torch.testing.assert_close(layer.transform(*given), expected)
        torch.testing.assert_close(layer.transform(*(one[:2].clone() for one in given)), expected[:2])
