"""The random Voxtral Realtime model with rows for sessions, without an engine around it."""

import numpy as np
from transformers import VoxtralRealtimeFeatureExtractor

from tests.tiny.realtime import LEFT_PAD_TOKENS, random_model
from tests.tiny.vocabulary import BOS, EOS, STREAMING_PAD, VOCABULARY_SIZE
from worker.engines.compiling import Compiler
from worker.engines.voxtral_realtime.mel import LogMel
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.speaking import Sayable

ROWS = 3
PROMPT = Prompt(BOS, STREAMING_PAD, LEFT_PAD_TOKENS, 480, hop_samples=160, n_fft=400, mel_frames=8)


def batched_model(attn_implementation: str = "sdpa", compiler: Compiler | None = None) -> BatchedModel:
    """With `ROWS` rows, not yet warm. It may say every token."""
    return BatchedModel(
        random_model(0),
        LogMel(VoxtralRealtimeFeatureExtractor()),
        PROMPT,
        Sayable(STREAMING_PAD, EOS, np.ones(VOCABULARY_SIZE, np.bool_)),
        rows=ROWS,
        text_window=64,
        attn_implementation=attn_implementation,
        cuda_graphs=False,
        compiler=compiler,
    )
