import random
import subprocess
import sys
from pathlib import Path

import pytest
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from shared.errors import StartupError
from tests.tiny.vocabulary import VOCABULARY_SIZE, write_tokenizer
from worker.engines.voxtral.vocabulary import GrowingText, Vocabulary


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_tokenizer(tmp_path, streaming=False)


def test_text_grows_by_whole_characters(path: Path) -> None:
    vocabulary = Vocabulary(path)
    text = "Grüße an 七 🎈 friends"
    growing = GrowingText(vocabulary)
    shown = []
    for token in vocabulary.encode(text):
        growing.append(token)
        shown.append(growing.text)
    assert shown[-1] == text
    assert all(text.startswith(one) for one in shown)
    assert len(set(shown)) < len(shown), "a character of several tokens waits for its last one"


@pytest.mark.parametrize("seed", range(20))
def test_any_tokens_read_as_mistral_reads_them(path: Path, seed: int) -> None:
    vocabulary, tekken = Vocabulary(path), Tekkenizer.from_file(path)
    dice = random.Random(seed)
    tokens = [dice.randrange(dice.choice([64, 320, VOCABULARY_SIZE])) for _ in range(40)] + [vocabulary.eos]
    growing = GrowingText(vocabulary)
    for token in tokens:
        growing.append(token)
    assert growing.text == tekken.decode(tokens).strip()


def test_vocabulary_of_another_model_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="not for a Voxtral model with 30 s windows"):
        Vocabulary(write_tokenizer(tmp_path, streaming=True))


@pytest.mark.parametrize("content", ["", "{}", '{"config": {"version": "v0"}}'])
def test_damaged_vocabulary_is_named(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(StartupError, match=r"tekken\.json cannot be used"):
        Vocabulary(path)


def test_no_audio_library_is_needed(path: Path) -> None:
    program = (
        "import sys; sys.modules['soundfile'] = None\n"
        "from pathlib import Path\n"
        "from worker.engines.voxtral.prompts import Prompts, Vocabulary\n"
        f"print(len(Prompts(Vocabulary(Path({str(path)!r}))).transcription(1, 'en')))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.stdout.strip().isdigit(), answer.stderr
