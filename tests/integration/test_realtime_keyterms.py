"""Key terms of Voxtral Realtime, with the trained tiny checkpoint.

Its vocabulary has no rare words. Some of its words are made rare: their first tokens lose `RARITY` nats, as if the
model had hardly ever read them. It still hears them.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import jiwer
import pytest

from shared.session_options import KeyTerm, SessionOptions
from tests.engine_sessions import drained, finals, text_of
from tests.replaying import ReplayRecorder
from tests.tiny.alignment import spelling
from tests.tiny.engine import loaded_realtime
from tests.tiny.scenes import Scene, scene

RARE = ("seven", "left", "close", "pause")
RARITY = 7.0
WORDS = ("seven", "up", "left", "two", "close", "no", "pause", "right")
SCENES = [scene(7000 + number, WORDS[number % 3 :][:5], snr_db=20.0, gap_s=(0.1, 0.6)) for number in range(4)]
TERMS = tuple(KeyTerm(word, 4.0) for word in RARE)
ABSENT = tuple(KeyTerm(word, 4.0) for word in ("Kowalczyk", "Zyrtalin", "New Selma", "upper Leffe"))
PLAIN: tuple[None, ...] = (None,) * len(SCENES)
ALL = (TERMS,) * len(SCENES)
MIXED = (TERMS, None, ABSENT, TERMS)
"""Terms by scene."""


@pytest.fixture(scope="module")
def engine() -> Any:
    loaded = loaded_realtime(slots=len(SCENES))
    loaded.warm_up()
    for word in RARE:
        loaded._model._speaking.bias[spelling(word)[0]] -= RARITY
    return loaded


@pytest.fixture(autouse=True)
def closed(engine: Any, one_thread: None) -> Iterator[None]:
    yield
    for number in range(len(SCENES)):
        engine.close(str(number))


@cache
def written(engine: Any, terms: tuple[tuple[KeyTerm, ...] | None, ...]) -> list[str]:
    """The same, from one run for all tests."""
    return texts(engine, terms)


def texts(engine: Any, terms: Sequence[tuple[KeyTerm, ...] | None]) -> list[str]:
    """Of all scenes in one batch, each with its own terms."""
    for number, (one, own) in enumerate(zip(SCENES, terms, strict=True)):
        engine.open(str(number), SessionOptions(keyterms=own))
        engine.feed(str(number), one.audio)
        engine.finish(str(number))
    outputs = drained(engine)
    for number in range(len(SCENES)):
        engine.close(str(number))
    return [text_of(outputs[str(number)]) for number in range(len(SCENES))]


def counted(found: Sequence[str], scenes: Sequence[Scene]) -> tuple[int, int, int]:
    """Rare words, those found, and errors in other words."""
    rare = right = errors = 0
    for text, one in zip(found, scenes, strict=True):
        spoken = [word.text for word in one.words]
        for chunk in jiwer.process_words([one.text], [text.lower() or "-"]).alignments[0]:
            errors += chunk.hyp_end_idx - chunk.hyp_start_idx if chunk.type == "insert" else 0
            for word in spoken[chunk.ref_start_idx : chunk.ref_end_idx]:
                rare += word in RARE
                right += word in RARE and chunk.type == "equal"
                errors += word not in RARE and chunk.type != "equal"
    return rare, right, errors


def test_rare_words_are_found_and_other_words_are_not_worse(engine: Any) -> None:
    rare, right, errors = counted(written(engine, PLAIN), SCENES)
    _, with_terms, errors_with_terms = counted(written(engine, ALL), SCENES)
    print(
        f"{rare} rare words: {right} found without terms, {with_terms} with; other errors {errors}, {errors_with_terms}"
    )
    assert with_terms >= right + rare // 3
    assert with_terms >= 0.9 * rare
    assert errors_with_terms <= errors


def test_rows_without_terms_and_with_absent_terms_write_what_they_did(engine: Any) -> None:
    plain, mixed = written(engine, PLAIN), written(engine, MIXED)
    assert mixed[1:3] == plain[1:3]
    assert (mixed[0], mixed[3]) == (written(engine, ALL)[0], written(engine, ALL)[3])
    assert mixed[0] != plain[0]


def test_terms_apply_and_end_in_mid_stream(engine: Any) -> None:
    """Each half of a session has the text that it has in sessions with and without terms from their start."""
    one = SCENES[0]
    both = [written(engine, terms)[0].split() for terms in (PLAIN, ALL)]
    half = one.words[3].start_samples - 800
    engine.open("0", SessionOptions())
    engine.feed("0", one.audio[:half])
    outputs = drained(engine)["0"]
    engine.configure("0", SessionOptions(keyterms=TERMS))
    engine.feed("0", one.audio[half:])
    engine.finish("0")
    outputs += drained(engine)["0"]
    found = text_of(outputs).split()
    assert found[-2:] == both[1][-2:]
    assert found[0] == both[0][0]
    assert engine._model._with_terms == {0}
    engine.configure("0", SessionOptions())
    engine._prefer_terms()
    assert engine._model._with_terms == set()


def test_recorded_passes_write_the_same(engine: Any) -> None:
    expected = written(engine, MIXED)
    passes = engine._model._passes
    passes._recorder = recorder = ReplayRecorder()
    try:
        passes.warm_up(lambda done, count: None)
        assert texts(engine, MIXED) == expected
        assert recorder.replayed
    finally:
        passes._recorder = None


def test_rows_take_their_terms_along_when_a_session_leaves(engine: Any) -> None:
    for number, one in enumerate(SCENES):
        engine.open(str(number), SessionOptions(keyterms=TERMS if number > 1 else None))
        engine.feed(str(number), one.audio)
    outputs: dict[str, list[Any]] = {}
    for step in range(40):
        for session_id, output in engine.step():
            outputs.setdefault(session_id, []).append(output)
        if step in (10, 20):
            engine.close(str(step // 10 - 1))
    for number in ("2", "3"):
        engine.finish(number)
    for session_id, rest in drained(engine).items():
        outputs.setdefault(session_id, []).extend(rest)
    assert [text_of(outputs[number]) for number in ("2", "3")] == written(engine, ALL)[2:]


def test_words_that_only_terms_have_written_are_unsure(engine: Any) -> None:
    """Their confidence is the probability that the model gives them, without the preference."""
    engine.open("0", SessionOptions(keyterms=TERMS))
    engine.feed("0", SCENES[0].audio)
    engine.finish("0")
    words = [word for final in finals(drained(engine)["0"]) for word in final.words]
    before = written(engine, PLAIN)[0].lower().split()
    preferred = [word for word in words if word.text.lower() in RARE and word.text.lower() not in before]
    assert preferred
    for word in words:
        assert word.confidence is not None
        assert 0 <= word.confidence <= (0.5 if word in preferred else 1.0)
