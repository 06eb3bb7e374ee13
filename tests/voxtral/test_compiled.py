"""Compiled parts of the 3B model's layers: the same numbers, in few versions, for decode steps alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import VoxtralForConditionalGeneration

from shared.config.sections import ModelSettings
from tests.engine_sessions import finals, heard
from tests.tiny.voxtral import write_checkpoint
from tests.voxtral.driving import NAME, answer_text, asked, samples
from tests.voxtral.reference import Reference, murmur
from worker.engines.compiling import Compiler, missing_for
from worker.engines.voxtral.compiled import compile_layers
from worker.engines.voxtral.engine import load

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), seed=0, context_tokens=4096)


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@torch.inference_mode()
def test_layers_share_two_versions_of_each_part(checkpoint: Path) -> None:
    graphs = []

    def backend(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    model = VoxtralForConditionalGeneration.from_pretrained(checkpoint)
    decoder: Any = model.model.language_model
    given = [torch.randn(rows, tokens, decoder.config.hidden_size) for rows, tokens in ((1, 1), (2, 1), (7, 1), (2, 9))]
    before = [decoder(inputs_embeds=one).last_hidden_state for one in given]
    assert compile_layers(model, Compiler("on", CPU, backend), rows=8) == "layers compiled"
    for one, expected in zip(given, before, strict=True):
        torch.testing.assert_close(decoder(inputs_embeds=one).last_hidden_state, expected)
    assert len(graphs) == 2 * 2


@torch.inference_mode()
def test_steps_are_timed_as_they_will_run(checkpoint: Path) -> None:
    """Recorded, with and without compiled parts, for one row and for all."""
    model = VoxtralForConditionalGeneration.from_pretrained(checkpoint)
    shapes = []

    def record(step: Any) -> Any:
        shapes.append(step().shape[0])
        return step

    compiler = Compiler("auto", torch.device("cuda"), lambda graph, _inputs: graph)
    assert "ms without" in compile_layers(model, compiler, rows=8, record=record)
    assert shapes == [1, 8, 1, 8]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch itself uses
def test_inductor_gives_the_answer_of_generate(checkpoint: Path) -> None:
    """With one slot, so that there is one version of each part: each takes seconds."""
    if missing := missing_for(CPU):
        pytest.skip(f"inductor cannot compile here: {missing}")

    settings = ModelSettings(path=checkpoint, device="cpu", compile="on")
    pcm = murmur(61, 3)
    with torch._inductor.config.patch({"cpp_cache_precompile_headers": False, "cpp.vec_isa_ok": False}):
        engine = load(settings, name=NAME, slots=1, threads=1)
        engine.warm_up()
        assert engine.info.passes.endswith("layers compiled")
        [final] = finals(heard(engine, samples(pcm), asked("Why?")))
    assert final.text == answer_text(Reference(checkpoint), pcm, "Why?")
