"""What the embedded model makes of speech that is hard for it: short, repeated, mixed, narrow-band, without pauses."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.bench.scoring import edits, normalised
from tests.bench.screen import Script
from tests.bench.virtual_time import Clock, play
from tests.engine_sessions import drained, fed, finals, heard, lent, partials, text_of
from tests.integration.whisper_sessions import FILE, LIVE, QUIET, errors, shared_model
from tests.speech import SENTENCES, can_speak, silence, spoken, synthesise, telephone
from worker.engines.base import History, Output, SettledWord
from worker.engines.whisper.engine import WhisperEngine

ENGLISH = replace(LIVE, language="en")
ENGLISH_FILE = replace(FILE, language="en")
KINDS = pytest.mark.parametrize("options", [ENGLISH, ENGLISH_FILE], ids=["live", "file"])
MONOLOGUE = SENTENCES[:5]
SPANISH = "Buenos días, me gustaría reservar una mesa para cuatro personas."


@pytest.fixture
def engine() -> Iterator[WhisperEngine]:
    yield from lent(shared_model())


def word(text: str) -> NDArray[np.float32]:
    """Synthesised speech without the silence around it."""
    pcm = synthesise(text)
    [loud] = np.nonzero(np.abs(pcm) > 0.02 * np.abs(pcm).max())
    return pcm[loud[0] : loud[-1] + 800]


def repeated(text: str, count: int, pause_s: float) -> NDArray[np.float32]:
    parts = [part for _ in range(count) for part in (word(text), silence(pause_s))]
    return np.concatenate([silence(0.4), *parts, silence(0.8)])


def check_committed(outputs: list[Output]) -> None:
    """Committed text only grows; every text of its segment, and the final, begin with it."""
    committed: dict[int, str] = {}
    for partial in partials(outputs):
        before = committed.get(partial.segment, "")
        assert partial.committed_text.startswith(before)
        assert partial.text.startswith(partial.committed_text)
        committed[partial.segment] = partial.committed_text
    for final in finals(outputs):
        assert final.text.startswith(committed.get(final.segment, ""))


# --- short and repeated ---------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("text", ["Sit down.", "Yes.", "Turn on the lights."])
def test_short_utterance_is_written_once(engine: WhisperEngine, text: str, options: SessionOptions) -> None:
    for before_s, after_s in ((0.2, 0.2), (1.2, 2.0)):
        pcm = np.concatenate([silence(before_s), word(text), silence(after_s)])
        assert normalised(text_of(heard(engine, pcm, options))) == normalised(text), (before_s, after_s)


@pytest.mark.parametrize(
    ("text", "count", "pause_s", "options"),
    [
        ("Hello.", 5, 0.3, ENGLISH),
        ("Hello.", 5, 0.3, ENGLISH_FILE),
        ("Happy birthday!", 3, 0.3, replace(QUIET, language="en")),
        ("Happy birthday!", 3, 0.3, ENGLISH_FILE),
        ("Stop.", 4, 0.8, replace(QUIET, language="en")),
        ("No.", 5, 1.3, ENGLISH_FILE),
    ],
    ids=["hello-live", "hello-file", "birthday-live", "birthday-file", "stop-live", "no-file"],
)
def test_what_is_said_again_is_written_again(
    engine: WhisperEngine, text: str, count: int, pause_s: float, options: SessionOptions
) -> None:
    """Whatever is decoded in the same batch."""
    engine.open("b", ENGLISH_FILE)
    engine.feed("b", np.concatenate([word("Yes."), silence(0.5)]))
    engine.finish("b")
    assert normalised(text_of(heard(engine, repeated(text, count, pause_s), options))) == normalised(text) * count


@KINDS
@pytest.mark.parametrize(("text", "count"), [("test", 6), ("go", 7)])
def test_repetitions_in_one_breath_are_counted(
    engine: WhisperEngine, text: str, count: int, options: SessionOptions
) -> None:
    pcm = np.concatenate([silence(0.3), synthesise(f"{', '.join([text] * count).capitalize()}.", 1), silence(0.5)])
    assert normalised(text_of(heard(engine, pcm, options))) == [text] * count


def test_short_sentence_that_a_recording_repeats_after_a_pause_is_written_again(engine: WhisperEngine) -> None:
    pcm = np.concatenate([silence(0.4), synthesise("Go home. Go home.", 3), silence(0.6)])
    assert normalised(text_of(heard(engine, pcm, ENGLISH_FILE))) == ["go", "home", "go", "home"]


@KINDS
def test_single_words_on_the_telephone_are_all_heard(engine: WhisperEngine, options: SessionOptions) -> None:
    said = ("Yes.", "No.", "Stop.", "Hello.")
    pcm = np.concatenate([silence(0.5), *(part for text in said for part in (word(text), silence(0.7)))])
    assert errors(heard(engine, telephone(pcm), options), *said) == 0


@KINDS
def test_first_words_are_written_though_they_are_faint(engine: WhisperEngine, options: SessionOptions) -> None:
    pcm = synthesise("A group of children is walking along the river.")
    pcm[: round(0.75 * SAMPLE_RATE_HZ)] *= 10 ** (-28 / 20)
    outputs = heard(engine, np.concatenate([synthesise("Good morning."), silence(1.5), pcm, silence(1)]), options)
    assert errors(outputs, "Good morning.", "A group of children is walking along the river.") == 0


# --- languages ------------------------------------------------------------------------------------------------------


def mixed() -> NDArray[np.float32]:
    return np.concatenate([synthesise(SENTENCES[2]), silence(1), spoken(SPANISH, "es"), silence(1)])


@pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")
@pytest.mark.parametrize("options", [QUIET, FILE], ids=["live", "file"])
def test_each_sentence_is_written_in_its_language(engine: WhisperEngine, options: SessionOptions) -> None:
    outputs = heard(engine, mixed(), options)
    languages = [final.language for final in finals(outputs)]
    assert languages[0] == "en"
    assert set(languages[1:]) == {"es"}
    assert "window" in finals(outputs)[0].text
    spanish = normalised(" ".join(final.text for final in finals(outputs)[1:]))
    assert edits(normalised(SPANISH), spanish) <= 3


@pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")
@pytest.mark.parametrize("options", [QUIET, FILE], ids=["live", "file"])
def test_given_language_is_kept(engine: WhisperEngine, options: SessionOptions) -> None:
    outputs = heard(engine, spoken(SPANISH, "es"), replace(options, language="en"))
    assert {final.language for final in finals(outputs)} == {"en"}


@pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")
@pytest.mark.parametrize(("options", "allowed"), [(QUIET, ("en", "de")), (FILE, ("en", "de")), (FILE, ("es", "it"))])
def test_language_is_one_of_those_that_were_given(
    engine: WhisperEngine, options: SessionOptions, allowed: tuple[str, ...]
) -> None:
    outputs = heard(engine, spoken(SPANISH, "es"), replace(options, languages=allowed))
    assert {final.language for final in finals(outputs)} <= {*allowed}
    assert finals(outputs)


@pytest.mark.parametrize("options", [QUIET, FILE], ids=["live", "file"])
def test_single_word_is_in_the_language_before_it(engine: WhisperEngine, options: SessionOptions) -> None:
    pcm = np.concatenate([synthesise(SENTENCES[2]), silence(1), word("Yes."), silence(1)])
    outputs = heard(engine, pcm, options)
    assert [final.language for final in finals(outputs)] == ["en", "en"]
    assert normalised(finals(outputs)[-1].text) == ["yes"]


# --- settled words --------------------------------------------------------------------------------------------------


def test_monologue_without_pauses_has_several_finals(engine: WhisperEngine) -> None:
    pcm = np.concatenate([word(text) for text in MONOLOGUE])
    outputs = heard(engine, pcm, replace(QUIET, language="en"))
    reference = normalised(" ".join(MONOLOGUE))
    assert errors(outputs, *MONOLOGUE) <= 0.06 * len(reference)
    assert len(finals(outputs)) >= 2
    assert all(final.end_samples - final.start_samples < 18 * SAMPLE_RATE_HZ for final in finals(outputs))


def test_committed_text_stays_whoever_owns_the_session(engine: WhisperEngine) -> None:
    """One owner hears two sentences to the end; another takes over in the middle of the second."""
    said = SENTENCES[8:10]
    pcm = np.concatenate([word(said[0]), silence(1), word(said[1]), silence(1)])
    outputs = heard(engine, pcm, ENGLISH)
    check_committed(outputs)
    assert errors(outputs, *said) <= 2
    assert {one.segment for one in partials(outputs) if one.committed_text} == {one.segment for one in finals(outputs)}

    last = next(
        one for one in partials(outputs) if one.start_samples > len(word(said[0])) and len(one.committed_words) >= 3
    )
    before = finals(outputs)[: last.segment]
    start = max(0, before[-1].end_samples - 3 * SAMPLE_RATE_HZ)
    words = [SettledWord(f" {one.text}", one.end_samples) for one in before[-1].words if one.end_samples > start]
    engine.open("a", ENGLISH, start_samples=before[-1].resume_samples, segment=last.segment)
    engine.recall("a", History(start, tuple(words), last.committed_words, last.committed_text))
    continued = fed(engine, "a", pcm, 4800, start=start)
    engine.finish("a")
    continued += drained(engine).get("a", [])
    check_committed(continued)
    after = finals(continued)
    assert [one.segment for one in after] == list(range(last.segment, last.segment + len(after)))
    assert after[0].text.startswith(last.committed_text)
    assert all(one.text.startswith(last.committed_text) for one in partials(continued) if one.segment == last.segment)
    whole = " ".join(one.text for one in (*before, *after))
    assert edits(normalised(" ".join(said)), normalised(whole)) <= 2


@pytest.mark.parametrize("options", [LIVE, FILE], ids=["live", "file"])
@pytest.mark.parametrize("text", ["Sit down.", "Yes."])
def test_speech_that_begins_at_once_is_written_once(engine: WhisperEngine, text: str, options: SessionOptions) -> None:
    pcm = synthesise(text)
    pcm = pcm[np.flatnonzero(np.abs(pcm) > 0.02)[0] :]
    for language in (None, "en"):
        assert normalised(text_of(heard(engine, pcm, replace(options, language=language)))) == normalised(text)


@pytest.mark.parametrize("offset_s", [0.0, 0.06, 0.24, 0.3, 0.36])
def test_last_words_are_written_if_the_answer_begins_again_after_them(engine: WhisperEngine, offset_s: float) -> None:
    said = SENTENCES[:3]
    pcm = np.concatenate([silence(offset_s), *(part for text in said for part in (synthesise(text), silence(0.8)))])
    [screen], _, _ = play(engine, Clock(engine, "fixed"), [Script(pcm, [], [])], [ENGLISH])
    assert normalised(screen.text)[-3:] == normalised(said[-1])[-3:]
