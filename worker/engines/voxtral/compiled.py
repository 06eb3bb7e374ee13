"""Compiled parts of the language model's layers, for decode steps: norms and feed-forward.

Attention is not compiled, since it reads memory whose length changes. Prompts are not, either: a compiled part is for
one token of each row, and a prompt's many tokens keep a GPU busy anyway.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import VoxtralForConditionalGeneration

from worker.engines.compiling import Compiler, Record, shortest_s


@torch.inference_mode()
def compile_layers(
    model: VoxtralForConditionalGeneration, compiler: Compiler, rows: int, record: Record | None = None
) -> str:
    """Compile the parts that become faster, and return a text that says which. Call it before any step is recorded.

    `record` makes a recorded step, if decode steps are recorded; they are timed as they will run.
    """
    decoder: Any = model.model.language_model
    layers, width = decoder.layers, decoder.config.hidden_size
    norms = [norm for layer in layers for norm in (layer.input_layernorm, layer.post_attention_layernorm)]
    feed_forwards = [layer.mlp for layer in layers]

    def hidden(count: int) -> Tensor:
        return torch.zeros(count, 1, width, dtype=model.dtype, device=model.device)

    def run() -> None:
        for count in sorted({1, min(2, rows)}):
            feed_forwards[0](norms[0](hidden(count)))

    def step(given: Tensor) -> Tensor:
        for layer in layers:
            given = layer.mlp(layer.post_attention_layernorm(layer.input_layernorm(given)))
        return given

    def time_s() -> float:
        return sum(shortest_s(partial(step, hidden(count)), record) for count in sorted({1, rows}))

    compiler.choose([([*norms, decoder.norm], "forward"), (feed_forwards, "forward")], run, time_s)
    return compiler.description
