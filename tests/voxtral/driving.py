"""Runs the Voxtral engine on a tiny checkpoint, and says what it must answer by its `Reference`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.config.sections import ModelSettings
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode, SessionOptions
from tests.speech import SENTENCES, synthesise
from tests.voxtral.reference import Reference
from worker.engines.base import Final
from worker.engines.voxtral.engine import VoxtralEngine, load
from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.session import pcm16
from worker.engines.voxtral.transcribing import SPARE_TOKENS, TOKENS_PER_S

NAME = "mistralai/Voxtral-Mini-3B-2507"
SLOTS = 8
CONTEXT_TOKENS = 8192
"""Enough for 17 windows of audio, so that prompts go in pieces."""
FILE = SessionOptions(partials=False)


def loaded(checkpoint: Path, **settings: str) -> VoxtralEngine:
    engine = load(ModelSettings(path=checkpoint, device="cpu", **settings), name=NAME, slots=SLOTS, threads=1)
    engine.warm_up()
    return engine


def submitted(engine: VoxtralEngine, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests that sessions submit from now on."""
    requests: list[Request] = []
    submit = engine._generator.submit

    def noted(one: Request) -> None:
        requests.append(one)
        submit(one)

    monkeypatch.setattr(engine._generator, "submit", noted)
    return requests


def answers_of(engine: VoxtralEngine, *requests: Request) -> list[list[int]]:
    """The tokens of requests that run together."""
    for one in requests:
        engine._generator.submit(one)
    while not engine._generator.is_idle:
        engine._generator.advance()
    return [one.tokens for one in requests]


def without_drafts(requests: Sequence[Request]) -> list[Request]:
    """The same requests once more."""
    return [Request(one.pcm, one.prompt, one.max_new_tokens, None, lambda _: None) for one in requests]


def samples(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    return pcm.astype(np.float32) / 32_768


def speech(sentence: int) -> NDArray[np.float32]:
    """As it comes over the wire: in steps of s16."""
    return samples(pcm16(synthesise(SENTENCES[sentence])))


def asked(text: str | None, limit: int = 40, **options: float) -> SessionOptions:
    mode = Mode.GENERAL if text is None else Mode.UNDERSTAND
    return SessionOptions(mode=mode, prompt=text, max_new_tokens=limit, **options)


def spoken_text(reference: Reference, pcm: NDArray[np.float32], final: Final, language: str | None) -> str:
    """What `generate` makes of the audio of one final."""
    segment = pcm16(pcm[final.start_samples : final.end_samples])
    cap = SPARE_TOKENS + round(TOKENS_PER_S * len(segment) / SAMPLE_RATE_HZ)
    return reference.text(reference.tokens(segment, reference.transcription_prompt(segment, language), cap))


def answer_text(reference: Reference, pcm: NDArray[np.int16], text: str | None, limit: int = 40) -> str:
    return reference.text(reference.tokens(pcm, reference.message_prompt(pcm, text), limit))
