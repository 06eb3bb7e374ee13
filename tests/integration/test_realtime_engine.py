"""The Realtime engine says token for token what transformers' `generate` says to each session alone.

The checkpoint is random: its text means nothing, but every token depends on all that came before within two short
windows, so that any slip in positions, rings, masks, prompts or slots shows.
"""

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from shared.turn_detection import TurnDetection
from tests.engine_sessions import heard
from tests.speech import SENTENCES, silence, synthesise
from tests.tiny import realtime
from tests.tiny.engine import ENOUGH_SLOTS, loaded_realtime
from tests.tiny.vocabulary import EOS, SPECIAL_TOKENS, STREAMING_PAD, STREAMING_WORD
from worker.engines.base import Finished, Output, TurnEnded
from worker.engines.voxtral_realtime import engine as engine_module
from worker.engines.voxtral_realtime.session import Session

Pcm = NDArray[np.float32]
DELAYS_MS = (80, 240, 480, 960, 2400)


class Overheard(Session):
    """A session that also keeps the tokens the model said."""

    tokens: list[int]

    def _say(self, token: int, frame_samples: int, model_ms: float, log_probability: float | None) -> None:
        self.__dict__.setdefault("tokens", []).append(token)
        assert log_probability is not None
        assert -50 < log_probability <= 0
        super()._say(token, frame_samples, model_ms, log_probability)


@dataclass
class Client:
    """What one client sends, and when it pauses."""

    pcm: Pcm
    delay_ms: int
    sent_samples: int = 0
    ended: bool = False


@pytest.fixture(autouse=True)
def overheard(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sessions are listened in on."""
    monkeypatch.setattr(engine_module, "Session", Overheard)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using the model-agnostic default", UserWarning)
        yield


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    return {seed: realtime.write_checkpoint(tmp_path_factory.mktemp(f"seed{seed}"), seed=seed) for seed in range(2)}


def loaded(directory: Path, slots: int = ENOUGH_SLOTS, **model: Any) -> Any:
    engine = loaded_realtime(directory, slots=slots, **model)
    engine.warm_up()
    return engine


def sound(duration_s: float, seed: int = 0) -> Pcm:
    """Noise that swells and fades."""
    generator = np.random.default_rng(seed)
    time_s = np.arange(round(duration_s * 16_000)) / 16_000
    swell = np.abs(np.sin(time_s * generator.uniform(2, 6)))
    return (generator.standard_normal(len(time_s)) * swell * 0.1).astype(np.float32)


def drained(engine: Any) -> list[tuple[str, Output]]:
    outputs = []
    while engine.ready():
        outputs += engine.step()
    return outputs


def said(engine: Any, pcm: Pcm, delay_ms: int, session_id: str = "alone") -> list[int]:
    """The tokens of one session that is opened, fed at once, finished and closed."""
    engine.open(session_id, SessionOptions(delay_ms=delay_ms))
    session = engine._sessions[session_id]
    engine.feed(session_id, pcm)
    engine.finish(session_id)
    assert drained(engine)[-1] == (session_id, Finished())
    engine.close(session_id)
    tokens: list[int] = session.tokens
    return tokens


@pytest.mark.parametrize(("attn_implementation", "seed"), [("sdpa", 0), ("sdpa", 1), ("eager", 0)])
def test_one_session_says_what_generate_says(checkpoints: dict[int, Path], attn_implementation: str, seed: int) -> None:
    engine = loaded(checkpoints[seed], attn_implementation=attn_implementation)
    reference = realtime.random_model(seed)
    for delay_ms, duration_s in ((480, 4.3), (80, 1.28), (2400, 2.001)):
        pcm = sound(duration_s, seed)
        tokens = said(engine, pcm, delay_ms)
        assert tokens == realtime.generated(reference, pcm, delay_ms)
        if seed == 0:  # two ways of the reference to say the same
            assert tokens == realtime.generated(reference, pcm, delay_ms, streamed=True)
        assert len(set(tokens)) >= 8, "a test of one token over and over proves nothing"


@pytest.mark.parametrize("seed", range(2))
def test_sessions_that_join_pause_and_leave_say_what_each_says_alone(checkpoints: dict[int, Path], seed: int) -> None:
    """Eight at once and twelve in all, on eight slots, past both windows, at every delay."""
    generator = np.random.default_rng(seed)
    engine = loaded(checkpoints[seed], slots=8)
    reference = realtime.random_model(seed)
    waiting = {
        str(number): Client(sound(generator.uniform(0.1, 4), number), DELAYS_MS[number % len(DELAYS_MS)])
        for number in range(12)
    }
    expected = {name: realtime.generated(reference, client.pcm, client.delay_ms) for name, client in waiting.items()}
    live: dict[str, Client] = {}
    sessions: dict[str, Overheard] = {}
    most = 0
    while waiting or live:
        while waiting and len(live) < 8 and generator.random() < 0.6:
            name = next(iter(waiting))
            live[name] = waiting.pop(name)
            engine.open(name, SessionOptions(delay_ms=live[name].delay_ms))
            sessions[name] = engine._sessions[name]
        most = max(most, len(live))
        for name, client in live.items():
            if generator.random() < 0.7 and not client.ended:  # or else its audio is late
                chunk = client.pcm[client.sent_samples : client.sent_samples + int(generator.integers(1, 4000))]
                engine.feed(name, chunk)
                client.sent_samples += len(chunk)
                if client.sent_samples == len(client.pcm):
                    engine.finish(name)
                    client.ended = True
        for name, output in engine.step():
            if isinstance(output, Finished):
                engine.close(name)
                del live[name]
    assert most == 8
    assert {name: session.tokens for name, session in sessions.items()} == expected


def test_slot_left_in_mid_speech_leaks_nothing_into_its_next_session(checkpoints: dict[int, Path]) -> None:
    engine = loaded(checkpoints[0])
    pcm = sound(3, 1)
    fresh = said(engine, pcm, 480)
    for number in range(3):
        engine.open(str(number), SessionOptions())
        engine.feed(str(number), sound(9, number))
    for _ in range(60):
        engine.step()
    for number in (0, 2):
        engine.close(str(number))
    assert said(engine, pcm, 480) == fresh
    engine.close("1")
    assert said(engine, pcm, 480) == fresh


def test_session_goes_on_past_the_positions_of_the_configuration(tmp_path: Path, checkpoints: dict[int, Path]) -> None:
    """Weights are the same; one configuration claims to end after 64 positions (5 s, or 1.3 s for the encoder)."""
    short = realtime.write_checkpoint(tmp_path, seed=0, max_positions=64)
    pcm = sound(8)
    assert said(loaded(short), pcm, 240) == said(loaded(checkpoints[0]), pcm, 240)


@pytest.mark.parametrize("token", [EOS, SPECIAL_TOKENS - 1], ids=["end of sequence", "special"])
def test_special_token_is_never_said_nor_read(checkpoints: dict[int, Path], tmp_path: Path, token: int) -> None:
    """A token that the model wants to say most of the time. In its place stands a pad, or the next in order."""
    model = realtime.random_model(1)
    pcm = sound(5)
    before = realtime.generated(model, pcm, 480)
    [(often, _)] = Counter(said for said in before if said >= SPECIAL_TOKENS).most_common(1)
    with torch.no_grad():
        model.lm_head.weight[token] = model.lm_head.weight[often] * 1.05
    expected = realtime.generated(model, pcm, 480)
    assert {said for said in expected if said < SPECIAL_TOKENS} <= {STREAMING_PAD, STREAMING_WORD}
    assert (expected.count(STREAMING_PAD) > before.count(STREAMING_PAD)) is (token == EOS)
    for file in checkpoints[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model.save_pretrained(tmp_path)
    assert said(loaded(tmp_path), pcm, 480) == expected


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=12), st.sampled_from(DELAYS_MS), st.integers(0, 9))
def test_streaming_mel_equals_the_extractor_for_any_chunks(
    checkpoints: dict[int, Path], chunks: list[int], delay_ms: int, seed: int
) -> None:
    from transformers import VoxtralRealtimeFeatureExtractor

    from worker.engines.voxtral_realtime.loudness import levels_of
    from worker.engines.voxtral_realtime.mel import LogMel
    from worker.engines.voxtral_realtime.vocabulary import load_vocabulary

    vocabulary, prompt = load_vocabulary(checkpoints[0])
    extractor = VoxtralRealtimeFeatureExtractor.from_pretrained(checkpoints[0])
    log_mel = LogMel(extractor)
    pcm = sound(sum(chunks) / 16_000, seed)
    session = Session(
        SessionOptions(delay_ms=delay_ms), prompt, vocabulary, start_samples=0, segment=0, default_delay_ms=480
    )
    frames = []

    def hear() -> None:
        while session.is_ready:
            window = session.window().copy()
            frames.append(log_mel(torch.from_numpy(window)[None])[0])
            session.take(levels_of(window[: prompt.frame_samples]), vocabulary.pad_token, 0.0)

    for chunk in np.split(pcm, np.cumsum(chunks)[:-1]):
        session.feed(chunk)
        hear()
    session.finish()
    hear()
    right_samples = -len(pcm) % 1280 + (delay_ms // 80 + 11) * 1280
    padded = np.pad(pcm, (prompt.left_pad_tokens * 1280, right_samples))
    expected = extractor(padded, sampling_rate=16_000, return_tensors="pt").input_features[0]
    heard = torch.cat(frames, dim=1)
    first = 8 * prompt.first_position
    assert heard.shape[1] == expected.shape[1] - first - 8  # what the last position would say is not used
    assert torch.allclose(heard, expected[:, first:-8], atol=1e-5)


def test_memory_is_that_of_the_start_after_many_windows(checkpoints: dict[int, Path]) -> None:
    engine = loaded(checkpoints[0])
    engine.open("long", SessionOptions())

    def tensors() -> list[int]:
        model = engine._model
        return [
            model._memory.text._store.untyped_storage().nbytes(),
            model._memory.encoder._store.untyped_storage().nbytes(),
            len(engine._sessions["long"]._audio._kept),
        ]

    before = tensors()
    for number in range(80):
        engine.feed("long", sound(0.5, number))
        drained(engine)
    assert tensors()[:2] == before[:2]
    assert tensors()[2] <= 10 * 16_000, "the audio behind a session is forgotten"


def test_turns_of_real_speech_end_in_steps_of_the_engine(checkpoints: dict[int, Path]) -> None:
    engine = loaded(checkpoints[0])
    detection = TurnDetection("pause", silence_duration_ms=400)
    pcm = np.concatenate([synthesise(SENTENCES[15]), silence(1), synthesise(SENTENCES[31]), silence(1)])
    found = heard(engine, pcm, SessionOptions(turn_detection=detection, turns=True), 3200)
    turns = [output for output in found if isinstance(output, TurnEnded)]
    assert [turn.reason for turn in turns] == ["silence", "silence"]
    assert isinstance(found[-1], Finished)
    assert not engine.ready()
