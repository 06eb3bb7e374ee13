"""The cut vocabulary: mistral-common and transformers take it, and every text survives it."""

from pathlib import Path

import numpy as np
import pytest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from transformers import AutoProcessor, VoxtralConfig, VoxtralProcessor, VoxtralRealtimeConfig, VoxtralRealtimeProcessor

from tests.tiny import vocabulary


@pytest.mark.parametrize("streaming", [True, False])
def test_vocabulary_keeps_every_text(tmp_path: Path, streaming: bool) -> None:
    path = vocabulary.write_tokenizer(tmp_path, streaming=streaming)
    tokenizer = MistralTokenizer.from_file(path).instruct_tokenizer.tokenizer
    text = " seven, SEVEN; Übergröße — 七 🎈\n"
    tokens = tokenizer.encode(text, bos=False, eos=False)
    assert tokenizer.decode(tokens) == text
    assert tokenizer.n_words == vocabulary.VOCABULARY_SIZE
    assert min(tokens) >= vocabulary.SPECIAL_TOKENS
    assert path.stat().st_size < 300_000


def test_vocabulary_has_the_streaming_tokens(tmp_path: Path) -> None:
    tokenizer = MistralTokenizer.from_file(vocabulary.write_tokenizer(tmp_path)).instruct_tokenizer.tokenizer
    assert tokenizer.get_special_token("[STREAMING_PAD]") == vocabulary.STREAMING_PAD
    assert tokenizer.get_special_token("[STREAMING_WORD]") == vocabulary.STREAMING_WORD
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (1, 2, 11)


@pytest.mark.parametrize(("left_pad_tokens", "delay_ms"), [(32, 480), (2, 80)])
def test_streaming_prompt_is_silence_and_delay(tmp_path: Path, left_pad_tokens: int, delay_ms: int) -> None:
    vocabulary.write_processor(tmp_path, left_pad_tokens=left_pad_tokens, delay_ms=delay_ms)
    VoxtralRealtimeConfig().save_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(processor, VoxtralRealtimeProcessor)
    prompt = processor(np.zeros(16_000, np.float32), return_tensors="pt")
    pads = left_pad_tokens + delay_ms // 80
    assert prompt["input_ids"].tolist() == [[vocabulary.BOS] + [vocabulary.STREAMING_PAD] * pads]
    assert prompt["input_features"].shape[1:] == (128, 8 * (left_pad_tokens + 13 + delay_ms // 80 + 1 + 10))
    assert prompt["num_delay_tokens"] == delay_ms // 80


def test_instruct_prompt_transcribes(tmp_path: Path) -> None:
    vocabulary.write_processor(tmp_path, streaming=False)
    VoxtralConfig().save_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(processor, VoxtralProcessor)
    prompt = processor.apply_transcription_request(
        audio=[np.zeros(16_000, np.float32)], format=["wav"], sampling_rate=16_000, language="en", model_id="tiny"
    )
    tokens = prompt["input_ids"][0].tolist()
    assert tokens.count(vocabulary.AUDIO) == 375
    assert processor.tokenizer.convert_ids_to_tokens(tokens[-1:]) == ["[TRANSCRIBE]"]
