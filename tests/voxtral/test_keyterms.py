"""Key terms of Voxtral 3B and 24B: which tokens they change, and for which requests."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.session_options import KeyTerm, Mode, SessionOptions
from tests.engine_sessions import finals, heard
from tests.voxtral.driving import answers_of, speech, submitted
from tests.voxtral.reference import murmur
from worker.engines.base import Notice
from worker.engines.keyterms.trie import ANYWHERE, AT_START
from worker.engines.voxtral.engine import VoxtralEngine
from worker.engines.voxtral.requests import Request

LIMIT = 16
LOUD = (KeyTerm("the quick brown fox", 500.0),)
"""More than clients may ask for, so that a model with random weights writes it."""


def request(
    engine: VoxtralEngine, pcm: NDArray[np.int16], terms: tuple[KeyTerm, ...] | None, draft: tuple[int, ...] = ()
) -> Request:
    prompt = engine._model.prompts.transcription(len(pcm), "en")
    trie = engine._model.vocabulary.tries.of(terms)
    return Request(pcm, prompt, LIMIT, None, lambda _: None, draft, terms=trie)


def test_answers_have_the_terms_and_others_in_the_batch_do_not(engine: VoxtralEngine) -> None:
    pcm = murmur(71, 4)
    [plain] = answers_of(engine, request(engine, pcm, None))
    found = answers_of(engine, *(request(engine, pcm, terms) for terms in (LOUD, None, (KeyTerm("zebra", 1e-9),))))
    assert engine._model.text(found[0]).startswith("the quick brown fox")
    assert found[1:] == [plain, plain]


def test_answer_with_terms_is_the_same_after_every_draft(engine: VoxtralEngine) -> None:
    pcm = murmur(72, 3)
    terms = (KeyTerm("brown fox", 6.0), KeyTerm("seven", 6.0))
    [right] = answers_of(engine, request(engine, pcm, terms))
    drafts = [tuple(right), tuple(right[:3]), (*right[:2], right[0] + 1), (5000 % 2400, *right)]
    assert answers_of(engine, *(request(engine, pcm, terms, draft) for draft in drafts)) == [right] * len(drafts)


def test_each_token_is_the_likeliest_with_its_gain(engine: VoxtralEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the scores of the model's steps, one after the other."""
    scored: list[NDArray[np.float32]] = []
    plain = type(engine._generator._passes).scores

    def scores(self: object, hidden: object) -> object:
        found = plain(self, hidden)  # type: ignore[arg-type]
        scored.extend(found.float().numpy())
        return found

    monkeypatch.setattr(type(engine._generator._passes), "scores", scores)
    terms = tuple(KeyTerm(word, 4.0) for word in ("seven", "the", "and so on", "inn", "St"))
    one = request(engine, murmur(73, 3), terms)
    [tokens] = answers_of(engine, one)
    trie, state = one.terms, AT_START
    assert trie is not None
    for token, row in zip(tokens, scored, strict=False):
        boosted = row.copy()
        for source, arc, gain in zip(trie.sources, trie.tokens, trie.gains, strict=True):
            if source in (state, ANYWHERE):
                boosted[arc] = max(boosted[arc], row[arc] + gain)
        assert token == boosted.argmax()
        state = trie.step(state, token)
    assert len(tokens) > 2


def test_sessions_pass_their_terms_on_and_other_modes_say_that_they_cannot(
    engine: VoxtralEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = submitted(engine, monkeypatch)
    options = SessionOptions(partials=False, keyterms=LOUD)
    [final] = finals(heard(engine, speech(0), options, 16_000))
    assert final.text.startswith("the quick brown fox")
    assert all(one.terms is engine._model.vocabulary.tries.of(LOUD) for one in requests)
    asked = SessionOptions(mode=Mode.UNDERSTAND, prompt="Why?", max_new_tokens=2, keyterms=LOUD)
    notices = [one for one in heard(engine, speech(0), asked, 16_000) if isinstance(one, Notice)]
    assert [one.code for one in notices] == ["keyterms_ignored"]
