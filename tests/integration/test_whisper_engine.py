from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.errors import ServerBusyError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode, SessionOptions
from tests.bench.scoring import edits, normalised
from tests.engine_sessions import Outputs, drained, finals, heard, lent, partials, text_of
from tests.integration.whisper_sessions import FILE, LIVE, QUIET, errors, shared_model
from tests.speech import SENTENCES, can_speak, conversation, music, noise, silence, spoken, synthesise
from worker.engines.base import Committed, Final, Finished, Notice, Partial, SpeechStarted, SpeechStopped
from worker.engines.whisper.engine import WhisperEngine
from worker.engines.whisper.onnx_model.sessions import is_exact


@pytest.fixture
def engine() -> Iterator[WhisperEngine]:
    yield from lent(shared_model())


@pytest.mark.parametrize("options", [LIVE, QUIET, FILE], ids=["live", "quiet", "file"])
@pytest.mark.parametrize("length_samples", [100, 1600, 5120, 80_001])
def test_audio_that_waits_for_more_is_no_backlog(
    engine: WhisperEngine, length_samples: int, options: SessionOptions
) -> None:
    engine.open("a", options)
    engine.feed("a", conversation(sentences=SENTENCES[:2])[:length_samples])
    drained(engine)
    assert engine.absorbed_samples("a") == length_samples


def test_file_is_transcribed_without_partials(engine: WhisperEngine) -> None:
    sentences = SENTENCES[:3]
    outputs = heard(engine, conversation(sentences=sentences), FILE, chunk_samples=16_000)
    reference = normalised(" ".join(sentences))
    assert edits(reference, normalised(text_of(outputs))) <= 0.06 * len(reference)
    assert partials(outputs) == []
    assert [final.segment for final in finals(outputs)] == list(range(len(finals(outputs))))
    assert isinstance(outputs[-1], Finished)


def test_live_session_that_wants_no_partials_has_none(engine: WhisperEngine) -> None:
    outputs = heard(engine, conversation(sentences=SENTENCES[:1]), QUIET)
    assert partials(outputs) == []
    assert errors(outputs, SENTENCES[0]) <= 1


def test_live_speech_gives_events_in_order(engine: WhisperEngine) -> None:
    outputs = heard(engine, np.concatenate([synthesise(SENTENCES[0]), silence(1)]), SessionOptions())
    kinds = [type(output) for output in outputs]
    assert kinds[0] is SpeechStarted
    assert kinds[1] is Partial
    assert kinds[-3:] == [SpeechStopped, Final, Finished]
    [final] = finals(outputs)
    shown = partials(outputs)
    assert len(shown) > 3
    assert all(partial.start_samples == final.start_samples for partial in shown)
    assert [partial.heard_samples for partial in shown] == sorted(partial.heard_samples for partial in shown)
    assert normalised(final.text) == normalised(SENTENCES[0])
    assert final.language == "en"


@pytest.mark.parametrize("options", [LIVE, QUIET, FILE], ids=["live", "quiet", "file"])
def test_words_lie_in_their_speech(engine: WhisperEngine, options: SessionOptions) -> None:
    pcm = np.concatenate([silence(1), synthesise(SENTENCES[2]), silence(1)])
    [final] = finals(heard(engine, pcm, options))
    assert " ".join(word.text for word in final.words) == final.text
    times = [time for word in final.words for time in (word.start_samples, word.end_samples)]
    assert times == sorted(times)
    assert abs(times[0] - SAMPLE_RATE_HZ) < 0.4 * SAMPLE_RATE_HZ
    assert abs(times[-1] - (len(pcm) - SAMPLE_RATE_HZ)) < 0.5 * SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    "pcm",
    [silence(4), noise(4, 0.003), noise(4, 0.2), music(6), 0.3 * np.sin(np.arange(64_000) / 6).astype(np.float32)],
    ids=["silence", "hiss", "noise", "music", "tone"],
)
@pytest.mark.parametrize("options", [LIVE, FILE], ids=["live", "file"])
def test_sound_without_speech_gives_no_text(
    engine: WhisperEngine, options: SessionOptions, pcm: NDArray[np.float32]
) -> None:
    outputs = heard(engine, pcm, options)
    assert not any(partial.text for partial in partials(outputs))
    assert text_of(outputs) == ""
    assert isinstance(outputs[-1], Finished)


def test_open_segment_of_a_file_is_no_backlog(engine: WhisperEngine) -> None:
    """The reader stops at a bound of backlog; a recording is decoded when there are 28 s of speech, or a pause."""
    pcm = np.concatenate([synthesise(sentence)[4000:-6000] for sentence in SENTENCES[:3]])
    engine.open("a", FILE)
    for start in range(0, 11 * SAMPLE_RATE_HZ, 16_000):
        engine.feed("a", pcm[start : start + 16_000])
        drained(engine)
        assert start + 16_000 - engine.absorbed_samples("a") < SAMPLE_RATE_HZ


def test_text_of_a_recording_depends_on_its_audio_alone(engine: WhisperEngine) -> None:
    """Neither on chunks nor on what else runs. Finals are decoded in windows of their own, so it is the same text."""
    pcm = np.concatenate([synthesise(SENTENCES[11]), silence(2.5), synthesise(SENTENCES[9])])
    results = [finals(heard(engine, pcm, FILE, chunk_samples=777))]
    for session_id, options, other in (("b", LIVE, SENTENCES[3]), ("c", FILE, SENTENCES[5])):
        engine.open(session_id, options)
        engine.feed(session_id, synthesise(other))
        engine.finish(session_id)
    results.append(finals(heard(engine, pcm, FILE, chunk_samples=len(pcm))))
    plain = [[(final.text, final.start_samples, final.end_samples, final.words) for final in one] for one in results]
    assert len(plain[0]) >= 2
    assert plain[0] == plain[1]


def test_live_text_is_that_of_a_file(engine: WhisperEngine) -> None:
    """Both are decoded in other windows, so marks may differ, and a word at most."""
    pcm = conversation(sentences=SENTENCES[13:14])
    live, file = heard(engine, pcm, LIVE), heard(engine, pcm, FILE)
    assert errors(live, text_of(file)) <= 1


@pytest.mark.skipif(not is_exact(), reason="This processor does not multiply 8-bit integers exactly.")
def test_live_sessions_are_decoded_in_turn(engine: WhisperEngine) -> None:
    """A step decodes as many windows as there are threads: one here. Each session has its turn."""
    for session_id in ("a", "b", "c"):
        engine.open(session_id, replace(LIVE, language="en"))
        engine.feed(session_id, synthesise(SENTENCES[4])[: 2 * SAMPLE_RATE_HZ])
    answered = [{session_id for session_id, output in engine.step() if isinstance(output, Partial)} for _ in range(3)]
    assert sorted(map(len, answered)) == [1, 1, 1]
    assert set.union(*answered) == {"a", "b", "c"}


def test_sessions_in_one_batch_stay_apart(engine: WhisperEngine) -> None:
    chosen = {"a": SENTENCES[3], "b": SENTENCES[20]}
    outputs: Outputs = {session_id: [] for session_id in chosen}
    for session_id in chosen:
        engine.open(session_id, SessionOptions())
    for start in range(0, 8 * SAMPLE_RATE_HZ, 8000):
        for session_id, text in chosen.items():
            engine.feed(session_id, synthesise(text)[start : start + 8000])
        for session_id, found in drained(engine).items():
            outputs[session_id] += found
    for session_id in chosen:
        engine.finish(session_id)
    for session_id, found in drained(engine).items():
        outputs[session_id] += found
    for session_id, text in chosen.items():
        reference = normalised(text)
        assert edits(reference, normalised(text_of(outputs[session_id]))) <= 1


def test_commit_ends_the_segment_at_once(engine: WhisperEngine) -> None:
    pcm = synthesise(SENTENCES[0])
    half = len(pcm) // 2
    engine.open("a", FILE)
    engine.feed("a", pcm[:half])
    engine.commit("a")
    outputs = drained(engine)["a"]
    [first] = finals(outputs)
    assert first.end_samples <= half
    assert outputs[-1] == Committed(half)
    engine.feed("a", pcm[half:])
    engine.finish("a")
    [second] = finals(drained(engine)["a"])
    assert second.start_samples >= first.resume_samples
    assert (first.segment, second.segment) == (0, 1)


def test_every_turn_is_answered_where_a_session_has_turns(engine: WhisperEngine) -> None:
    engine.open("a", SessionOptions(turns=True))
    engine.commit("a")
    engine.feed("a", noise(1, 0.003))
    engine.commit("a")
    assert drained(engine)["a"] == [Committed(0), Committed(SAMPLE_RATE_HZ)]
    cough = synthesise(SENTENCES[0])[4000:6500]
    engine.feed("a", np.concatenate([silence(0.3), cough, silence(1)]))
    outputs = drained(engine)["a"]
    assert [type(output) for output in outputs] == [SpeechStarted, SpeechStopped, Final]
    assert finals(outputs)[0].text == ""


def test_finish_without_audio_is_answered(engine: WhisperEngine) -> None:
    engine.open("a", SessionOptions())
    engine.finish("a")
    assert drained(engine)["a"] == [Finished()]


def test_close_in_speech_says_nothing_more(engine: WhisperEngine) -> None:
    engine.open("a", SessionOptions())
    engine.feed("a", synthesise(SENTENCES[0]))
    engine.close("a")
    engine.close("a")
    assert drained(engine) == {}


def test_slots_are_limited_and_used_again(engine: WhisperEngine) -> None:
    for session_id in ("a", "b", "c"):
        engine.open(session_id, SessionOptions())
    with pytest.raises(ServerBusyError, match="3 slots"):
        engine.open("d", SessionOptions())
    engine.close("b")
    engine.open("d", SessionOptions())


def test_session_goes_on_from_its_checkpoint(engine: WhisperEngine) -> None:
    pcm = synthesise(SENTENCES[4])
    engine.open("a", FILE, start_samples=160_000, segment=7)
    engine.feed("a", pcm)
    engine.finish("a")
    [final] = finals(drained(engine)["a"])
    assert final.segment == 7
    assert 160_000 <= final.start_samples < final.end_samples <= 160_000 + len(pcm)
    assert engine.absorbed_samples("a") == 160_000 + len(pcm)


def test_checkpoint_moves_on_in_silence_and_waits_in_speech(engine: WhisperEngine) -> None:
    engine.open("a", SessionOptions())
    engine.feed("a", silence(10))
    drained(engine)
    assert engine.checkpoint_samples("a") > 9 * SAMPLE_RATE_HZ
    assert engine.absorbed_samples("a") > 9.9 * SAMPLE_RATE_HZ
    engine.feed("a", synthesise(SENTENCES[4])[: 2 * SAMPLE_RATE_HZ])
    drained(engine)
    assert engine.checkpoint_samples("a") < 11 * SAMPLE_RATE_HZ


def test_configure_takes_effect_with_the_next_segment(engine: WhisperEngine) -> None:
    options = QUIET
    engine.open("a", replace(options, language="en"))
    engine.feed("a", synthesise(SENTENCES[4])[:48_000])
    before = finals(drained(engine).get("a", []))
    engine.configure("a", replace(options, language="de"))
    engine.commit("a")
    engine.feed("a", synthesise(SENTENCES[5]))
    engine.finish("a")
    found = before + finals(drained(engine)["a"])
    assert [found[0].language, found[-1].language] == ["en", "de"]


def test_prompt_guides_spelling(engine: WhisperEngine) -> None:
    pcm = synthesise("Our colleague Katherine called this morning.")
    plain, prompted = (
        text_of(heard(engine, pcm, replace(FILE, prompt=prompt)))
        for prompt in (None, "Kathryn and Kathryn, Kathryn's team.")
    )
    assert "Kathryn" in prompted
    assert plain


def test_prompt_may_be_as_long_as_the_model_takes(engine: WhisperEngine) -> None:
    """Beside the answer to a long window, too, there is room for it."""
    pcm = conversation(sentences=SENTENCES[:4])[: 22 * SAMPLE_RATE_HZ]
    outputs = heard(engine, pcm, replace(FILE, prompt=" ".join(SENTENCES * 3)), chunk_samples=16_000)
    assert errors(outputs, *SENTENCES[:4]) <= 4
    engine.open("a", replace(FILE, prompt="word " * 223))
    assert not drained(engine)


@pytest.mark.parametrize("options", [LIVE, FILE])
def test_longer_prompt_is_reported(engine: WhisperEngine, options: SessionOptions) -> None:
    engine.open("a", replace(options, prompt="Zephyrine" + " word" * 223))
    engine.configure("a", replace(options, prompt="word " * 224))
    first, second = drained(engine)["a"]
    assert first == Notice(
        "prompt_cut",
        "prompt is too long, and its beginning, up to 'Zephyrine', has no effect: this model uses its last 223 tokens.",
    )
    assert isinstance(second, Notice)
    assert "up to 'word', has" in second.message


@pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")
@pytest.mark.parametrize(
    ("language", "text", "word"),
    [
        ("de", "Guten Morgen, heute ist das Wetter sehr schön und wir gehen in den Garten.", "Guten Morgen"),
        ("es", "Buenos días, me gustaría reservar una mesa para cuatro personas.", "reservar una mesa"),
    ],
)
def test_language_is_detected(engine: WhisperEngine, language: str, text: str, word: str) -> None:
    outputs = heard(engine, spoken(text, language), QUIET)
    assert {final.language for final in finals(outputs)} == {language}
    assert word in text_of(outputs)


@pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")
def test_translation_is_english_and_shares_a_batch_with_transcription(engine: WhisperEngine) -> None:
    pcm = spoken("Buenos días, me gustaría reservar una mesa para cuatro personas.", "es")
    for session_id, mode in (("a", Mode.TRANSLATE), ("b", Mode.TRANSCRIBE)):
        engine.open(session_id, replace(FILE, mode=mode, language="es"))
        engine.feed(session_id, pcm)
        engine.finish(session_id)
    outputs = drained(engine)
    assert "Buenos días" in text_of(outputs["b"])
    assert {"morning", "table"} <= {*normalised(text_of(outputs["a"]))}
    [word, *_] = [word for final in finals(outputs["a"]) for word in final.words]
    assert 0 <= word.start_samples <= word.end_samples <= len(pcm)


def test_unknown_language_is_told_and_detected(engine: WhisperEngine) -> None:
    outputs = heard(engine, synthesise(SENTENCES[5]), replace(QUIET, language="xx", delay_ms=480))
    notices = [output.code for output in outputs if isinstance(output, Notice)]
    assert notices == ["delay_ignored", "language_ignored"]
    assert finals(outputs)[0].language == "en"
