"""Train the tiny Voxtral Realtime checkpoint: `python -m tests.tiny.train` writes `tests/tiny/voxtral_realtime/`.

One thread of a CPU, the same weights on every run on the same machine. What it learns is in `lessons.py`.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import VoxtralRealtimeFeatureExtractor, VoxtralRealtimeForConditionalGeneration

from tests.speech import SAMPLE_RATE_HZ
from tests.tiny.checkpoint import DIRECTORY, tiny_config, write_checkpoint
from tests.tiny.lessons import Lesson, lesson
from tests.tiny.vocabulary import STREAMING_PAD

STEPS = 2000
LEARNING_RATE = 2e-3
WARM_UP_STEPS = 60
PAD_WEIGHT = 0.15
LENGTHS = ((16, 120), (12, 160), (6, 300))  # rows, positions; the last is beyond the language model's window twice
LENGTH_SHARES = (0.45, 0.35, 0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=DIRECTORY)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    started = time.monotonic()
    write_checkpoint(given.directory, trained(given.steps, given.seed))
    print(f"{given.steps} steps took {(time.monotonic() - started) / 60:.1f} minutes")


def trained(steps: int = STEPS, seed: int = 0) -> VoxtralRealtimeForConditionalGeneration:
    """A model trained from random weights."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    model = VoxtralRealtimeForConditionalGeneration(tiny_config()).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    features = VoxtralRealtimeFeatureExtractor()
    recent = 0.0
    for step in range(1, steps + 1):
        rows, positions = LENGTHS[generator.choice(len(LENGTHS), p=LENGTH_SHARES)]
        batch = lesson(generator, rows, positions)
        loss = _loss(model, features, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent += (loss.item() - recent) / min(step, 50)
        if step % 50 == 0:
            print(f"step {step}: loss {recent:.4f}", flush=True)
    return model.eval()


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: a linear warm-up, then half a cosine."""
    if step < WARM_UP_STEPS:
        return (step + 1) / WARM_UP_STEPS
    return 0.5 + 0.5 * float(np.cos(np.pi * (step - WARM_UP_STEPS) / max(1, steps - WARM_UP_STEPS)))


def _loss(
    model: VoxtralRealtimeForConditionalGeneration, features: VoxtralRealtimeFeatureExtractor, batch: Lesson
) -> Tensor:
    """Cross entropy of what every row should say, the pads counted less: they are nine of ten tokens."""
    mel = features(list(batch.audio), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")["input_features"]
    said = torch.from_numpy(batch.said)
    hidden = _hidden(model, mel, torch.from_numpy(batch.inputs), torch.from_numpy(batch.delays))
    asked = said >= 0
    said = said[asked]
    each = functional.cross_entropy(model.lm_head(hidden[asked]), said, reduction="none")
    weight = torch.where(said == STREAMING_PAD, PAD_WEIGHT, 1.0)
    return (each * weight).sum() / weight.sum()


def _hidden(model: VoxtralRealtimeForConditionalGeneration, mel: Tensor, inputs: Tensor, delays: Tensor) -> Tensor:
    """The language model's last states, `[rows, positions, width]`: the stock forward, but with a delay per row.

    `mel` is `[rows, 128, positions × 8]`, `inputs` `[rows, positions]`, `delays` `[rows]`.
    """
    inner = model.model
    audio = inner.get_audio_features(mel, use_cache=False).pooler_output
    embedded = inner.get_input_embeddings()(inputs) + audio
    conditions = torch.stack([inner.time_embedding(delay[None].float()) for delay in delays])[:, None]
    return inner.language_model(inputs_embeds=embedded, t_cond=conditions, use_cache=False).last_hidden_state


if __name__ == "__main__":
    main()
