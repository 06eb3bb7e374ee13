"""The streaming engine with the kinds of models that differ most: Paraformer, and a transducer of NeMo's."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from shared.events import SAMPLE_RATE_HZ
from tests.engine_sessions import drained, finals, partials
from tests.integration.sherpa_sessions import FILE, LIVE, SPEECH, built, heard, plain
from tests.sherpa_kinds import write_nemo, write_paraformer
from tests.sherpa_models import MARK_S, marked
from tests.speech import silence
from worker.engines.base import Output
from worker.engines.sherpa.engine import SherpaEngine

MARKED = marked(SPEECH, [(1.0, "▁for"), (1.4, "ty"), (2.0, "▁two"), (2.6, "中"), (2.9, "文"), (5.0, "▁two")])
STARTS_S = (1.0, 2.0, 2.6, 2.9, 5.0)
TEXTS = {"paraformer": "forty two 中文 two", "nemo": "forty two中文 two"}
LATE_S = {"paraformer": 0.64, "nemo": MARK_S}
"""Paraformer tells no times, so that a word may be anywhere in the window in which it was heard."""


@pytest.fixture(scope="module", params=["paraformer", "nemo"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(kind: str, tmp_path_factory: pytest.TempPathFactory) -> SherpaEngine:
    folder: Path = tmp_path_factory.mktemp(kind)
    engine = built(write_paraformer(folder) if kind == "paraformer" else write_nemo(folder))
    engine.warm_up()
    return engine


def test_words_and_times(engine: SherpaEngine, kind: str) -> None:
    [final] = finals(heard(engine, MARKED))
    assert final.text == TEXTS[kind]
    assert [word.text for word in final.words] == ["forty", "two", "中", "文", "two"]
    for word, start_s in zip(final.words, STARTS_S, strict=True):
        assert abs(word.start_samples / SAMPLE_RATE_HZ - start_s) <= LATE_S[kind]


def test_text_only_grows(engine: SherpaEngine, kind: str) -> None:
    texts = [partial.committed_text for partial in partials(heard(engine, MARKED))]
    assert len(texts) >= 3
    assert all(after.startswith(before) for before, after in pairwise([*texts, TEXTS[kind]]))


def test_finals_do_not_depend_on_chunks(engine: SherpaEngine) -> None:
    pcm = np.concatenate([MARKED, MARKED[SAMPLE_RATE_HZ:]])
    live, file = heard(engine, pcm, LIVE, chunk_samples=1600), heard(engine, pcm, FILE, chunk_samples=len(pcm))
    assert len(finals(live)) == 2
    assert plain(live) == plain(file)


@pytest.mark.parametrize("at_samples", range(35_200, 35_712, 64))
def test_words_do_not_depend_on_chunks_behind_a_commit_anywhere(engine: SherpaEngine, at_samples: int) -> None:
    """A segment then begins at any sample, and so do the passes; some words have no times but those of their pass."""
    results = []
    for chunk_samples in (512, 1600, len(MARKED)):
        engine.open("a", LIVE)
        outputs: list[Output] = []
        for part in (MARKED[:at_samples], MARKED[at_samples:]):
            for start in range(0, len(part), chunk_samples):
                engine.feed("a", part[start : start + chunk_samples])
                outputs += drained(engine).get("a", [])
            engine.commit("a")
        outputs += drained(engine)["a"]
        engine.close("a")
        results.append(plain(outputs))
    assert len(results[0]) == 2
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("frames", range(8))
def test_last_word_is_written_though_the_audio_ends_with_it(engine: SherpaEngine, frames: int) -> None:
    at_s = 4.4 + frames * 0.08
    pcm = marked(SPEECH, [(1.0, "▁for"), (1.4, "ty"), (at_s, "▁two")])
    [final] = finals(heard(engine, pcm[: round((at_s + MARK_S) * SAMPLE_RATE_HZ)]))
    assert final.text == "forty two"


def test_sessions_in_one_batch_say_what_they_say_alone(engine: SherpaEngine) -> None:
    sounds = {"a": MARKED, "b": np.concatenate([silence(0.3), MARKED]), "c": marked(SPEECH, [(1.5, "中")])}
    alone = {key: plain(heard(engine, pcm)) for key, pcm in sounds.items()}
    outputs: dict[str, list[Output]] = {key: [] for key in sounds}
    for key, pcm in sounds.items():
        engine.open(key, LIVE)
        engine.feed(key, pcm)
        engine.finish(key)
    for key, found in drained(engine).items():
        outputs[key] += found
        engine.close(key)
    assert {key: plain(found) for key, found in outputs.items()} == alone
