"""Key terms of Whisper base: names that it misspells without them, live and as recordings."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shared.session_options import KeyTerm, SessionOptions
from tests.bench.rare_names import ABSENT
from tests.bench.scoring import normalised
from tests.engine_sessions import drained, finals, heard, lent, text_of
from tests.integration.whisper_sessions import shared_model
from tests.speech import silence, synthesise
from worker.engines.whisper.engine import WhisperEngine

SAID = "Please forward the invoice to Siobhan Gallagher before noon."
SPEECH = np.concatenate([silence(0.3), synthesise(SAID), silence(1.0)])
TERMS = tuple(map(KeyTerm, ("Kowalczyk", "Siobhan", "Zyrtalin", *ABSENT[:40])))
FILE: dict[str, Any] = {"language": "en", "recording": True, "partials": False}
LIVE: dict[str, Any] = {"language": "en"}


@pytest.fixture
def engine() -> Iterator[WhisperEngine]:
    yield from lent(shared_model())


@pytest.mark.parametrize("options", [FILE, LIVE], ids=["file", "live"])
def test_name_is_found_and_the_other_words_stay(engine: WhisperEngine, options: dict[str, Any]) -> None:
    plain = text_of(heard(engine, SPEECH, SessionOptions(**options), 8000))
    absent = text_of(heard(engine, SPEECH, SessionOptions(**options, keyterms=tuple(map(KeyTerm, ABSENT))), 8000))
    found = text_of(heard(engine, SPEECH, SessionOptions(**options, keyterms=TERMS), 8000))
    assert "Siobhan" not in plain
    assert absent == plain
    assert normalised(found) == normalised(SAID)


def test_words_keep_their_times_and_their_marks(engine: WhisperEngine) -> None:
    options = SessionOptions(**FILE, keyterms=TERMS)
    [final] = [one for one in heard(engine, SPEECH, options, 16_000) if hasattr(one, "words")]
    texts = [word.text for word in final.words]
    assert (texts[5:7], texts[-1]) == (["Siobhan", "Gallagher"], "noon.")
    assert all(one.start_samples <= one.end_samples for one in final.words)
    assert final.words[5].confidence is not None


def test_terms_are_replaced_in_mid_stream(engine: WhisperEngine) -> None:
    """From the next segment on, as all options."""
    engine.open("a", SessionOptions(**LIVE))
    engine.feed("a", SPEECH)
    outputs = drained(engine)["a"]
    engine.configure("a", SessionOptions(**LIVE, keyterms=TERMS))
    engine.feed("a", np.concatenate([silence(1.0), SPEECH]))
    engine.finish("a")
    outputs += drained(engine)["a"]
    assert ["Siobhan" in one.text for one in finals(outputs)] == [False, True]
