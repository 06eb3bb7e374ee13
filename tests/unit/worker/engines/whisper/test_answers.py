"""Which of several answers of a model is taken. The model is scripted: it answers by the window and the beam."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ctranslate2 import StorageView
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from worker.engines.whisper.answers import Answers
from worker.engines.whisper.encoded import Encoded
from worker.engines.whisper.jobs import Job

WORDS = {word: index for index, word in enumerate(("?", "room", "service.", "test."))}
FIRST_TIMESTAMP = 1000
SHORT, LONG = (Encoded(StorageView.from_array(np.zeros((1, frames, 1), np.float32))) for frames in (100, 1000))


@dataclass
class ScriptedModel:
    """`answers`: the text and the mean log-probability of each window length and beam."""

    answers: dict[tuple[int, int], tuple[str, float]]
    lengths: list[int] = field(default_factory=list)
    """The limit of each call: twice the number of new tokens."""

    def generate(
        self, rows: StorageView, _prompts: object, *, beam_size: int, max_length: int, **_options: object
    ) -> list[Any]:
        self.lengths.append(max_length)
        text, log_probability = self.answers[rows.shape[1], min(beam_size, 2)]
        tokens = [FIRST_TIMESTAMP, *(WORDS[word] for word in text.split())]
        return [SimpleNamespace(sequences_ids=[tokens], scores=[log_probability], no_speech_prob=0.1)]


def taken(answers: dict[tuple[int, int], tuple[str, float]]) -> str:
    return text_of(ScriptedModel(answers))


def text_of(scripted: ScriptedModel) -> str:
    vocabulary = Tokenizer(WordLevel(WORDS, unk_token="?"))
    vocabulary.pre_tokenizer = WhitespaceSplit()
    model = Answers(scripted, vocabulary, FIRST_TIMESTAMP)
    job = Job(np.zeros(16_000, np.float32), "en", closing=True, beam_below=-0.4)
    [said] = model.find(SHORT, [job], [[FIRST_TIMESTAMP]], lambda _: LONG)
    text: str = vocabulary.decode(said.tokens)
    return text


ONCE, THRICE = "room service.", "room service. room service. room service."


@pytest.mark.parametrize("beam", [-1.06, -0.5])
def test_repetition_that_a_longer_window_lacks_is_not_taken_because_it_is_likely(beam: float) -> None:
    answers = {(100, 1): (ONCE, -1.2), (100, 2): (THRICE, -0.9), (1000, 1): (ONCE, -1.06), (1000, 2): (ONCE, beam)}
    assert taken(answers) == ONCE


def test_repetition_that_a_longer_window_confirms_is_taken() -> None:
    answers = {(100, 1): (ONCE, -1.2), (100, 2): (THRICE, -0.9), (1000, 1): (THRICE, -0.2)}
    assert taken(answers) == THRICE


def test_repetition_that_was_decoded_first_is_taken_if_a_longer_window_makes_it_no_likelier() -> None:
    answers = {(100, 1): (THRICE, -0.3), (1000, 1): (ONCE, -1.3), (1000, 2): (ONCE, -1.2)}
    assert taken(answers) == THRICE


def test_no_answer_is_longer_than_its_audio_can_hold() -> None:
    """A beam can repeat itself without end, which takes seconds."""
    model = ScriptedModel(
        {(100, 1): (ONCE, -1.2), (100, 2): (THRICE, -0.9), (1000, 1): (THRICE, -0.5), (1000, 2): (ONCE, -0.6)}
    )
    text_of(model)
    assert len(model.lengths) == 4
    assert max(model.lengths) == 2 * (1 + 12 + 10)
