from pathlib import Path

import pytest

from tests.tiny.voxtral import write_checkpoint
from tests.voxtral.reference import SAMPLE_RATE_HZ, Reference, murmur
from worker.engines.voxtral.prompts import Prompt, Prompts
from worker.engines.voxtral.vocabulary import Vocabulary

LENGTHS_S = [1 / SAMPLE_RATE_HZ, 1.37, 30, 30 + 1 / SAMPLE_RATE_HZ, 65]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return Reference(write_checkpoint(tmp_path_factory.mktemp("checkpoint")))


@pytest.fixture(scope="module")
def prompts(reference: Reference) -> Prompts:
    path = reference.tokenizer.instruct_tokenizer.tokenizer.file_path
    return Prompts(Vocabulary(Path(path)))


def whole(prompt: Prompt) -> list[int]:
    return prompt.piece(0, prompt.windows)


@pytest.mark.parametrize("seconds", LENGTHS_S)
@pytest.mark.parametrize("language", [None, "en", "hi"])
def test_transcription_prompt_equals_mistrals(
    prompts: Prompts, reference: Reference, seconds: float, language: str | None
) -> None:
    pcm = murmur(0, seconds)
    assert whole(prompts.transcription(len(pcm), language)) == reference.transcription_prompt(pcm, language)


@pytest.mark.parametrize("seconds", LENGTHS_S)
@pytest.mark.parametrize("text", [None, "Describe what you hear in this audio.", "[INST] 七 🎈</s>[AUDIO]"])
def test_message_prompt_equals_mistrals(
    prompts: Prompts, reference: Reference, seconds: float, text: str | None
) -> None:
    pcm = murmur(0, seconds)
    assert whole(prompts.message(len(pcm), text)) == reference.message_prompt(pcm, text)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pieces_make_the_whole(prompts: Prompts, size: int) -> None:
    prompt = prompts.message(100 * SAMPLE_RATE_HZ, "Who speaks?")
    pieces = [prompt.piece(first, min(size, prompt.windows - first)) for first in range(0, prompt.windows, size)]
    assert [token for piece in pieces for token in piece] == whole(prompt)
    starts = [prompt.position_of(first) for first in range(0, prompt.windows, size)]
    assert starts == [sum(map(len, pieces[:number])) for number in range(len(pieces))]
    assert len(prompt) == len(whole(prompt))
