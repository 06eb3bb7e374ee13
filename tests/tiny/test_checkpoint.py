"""The shipped checkpoint hears words that it was never trained on, through transformers' own `generate`."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, VoxtralRealtimeForConditionalGeneration

from tests.tiny.alignment import FRAME_SAMPLES, heard, spelling
from tests.tiny.checkpoint import DIRECTORY, TEXT_WINDOW_POSITIONS, read_checkpoint
from tests.tiny.evaluate import fresh_scenes, scored, transcribe
from tests.tiny.scenes import WORDS, scene
from tests.tiny.vocabulary import LEFT_PAD_TOKENS

WER_BOUND = 0.05
END_BOUND_MS = 160


@pytest.fixture(scope="module")
def model() -> Iterator[VoxtralRealtimeForConditionalGeneration]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield read_checkpoint()
    torch.set_num_threads(threads)


@pytest.mark.parametrize("delay_ms", [240, 480])
def test_checkpoint_hears_words_and_their_ends(model: VoxtralRealtimeForConditionalGeneration, delay_ms: int) -> None:
    scenes = fresh_scenes(24, seed=5000)[::2]  # still every pause with every noise
    score = scored(scenes, transcribe(model, [one.audio for one in scenes], delay_ms))
    assert score.wer <= WER_BOUND
    assert max(abs(error_ms) for error_ms in score.end_errors_ms) <= END_BOUND_MS


def test_checkpoint_hears_beyond_its_windows(model: VoxtralRealtimeForConditionalGeneration) -> None:
    long = scene(6000, 24, gap_s=(0.1, 1.2))
    assert len(long.audio) > 2 * TEXT_WINDOW_POSITIONS * FRAME_SAMPLES
    assert scored([long], transcribe(model, [long.audio], 480)).wer <= WER_BOUND


def test_checkpoint_hears_nothing_in_silence_and_noise(model: VoxtralRealtimeForConditionalGeneration) -> None:
    sounds = [np.zeros(160_000, np.float32), scene(6001, 0, lead_s=5, trail_s=5).audio]
    assert transcribe(model, sounds, 480) == [[], []]


def test_checkpoint_works_with_its_processor(model: VoxtralRealtimeForConditionalGeneration) -> None:
    processor = AutoProcessor.from_pretrained(DIRECTORY)
    assert processor.mistral_common_audio_config.n_left_pad_tokens == LEFT_PAD_TOKENS
    spoken = scene(6002, ("seven", "stop", "no"))
    prompt = processor(spoken.audio, return_tensors="pt")
    new_tokens = prompt["input_features"].shape[-1] // 8 - prompt["input_ids"].shape[1]
    tokens = model.generate(**prompt, max_new_tokens=new_tokens)[0]
    assert processor.decode(tokens, skip_special_tokens=True).split() == ["seven", "stop", "no"]
    assert [word for word, _ in heard(tokens[prompt["input_ids"].shape[1] :].tolist())] == ["seven", "stop", "no"]


def test_words_are_of_one_token_and_of_more() -> None:
    assert {len(spelling(word)) for word in WORDS} == {1, 2}
