from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.errors import ServerBusyError
from shared.events import SAMPLE_RATE_HZ, Mode, SessionOptions
from tests.bench.engine_live import edits, normalised
from tests.speech import SENTENCES, can_speak, conversation, music, noise, silence, spoken, synthesise
from worker.engines.base import Committed, Final, Finished, Notice, Output, Partial, SpeechStarted, SpeechStopped
from worker.engines.whisper.engine import MAX_TURNS_BESIDE_LIVE, WhisperEngine, load

Outputs = dict[str, list[Output]]
FILE = SessionOptions(partials=False)


@pytest.fixture(scope="module")
def model() -> WhisperEngine:
    engine = load(threads=2, slots=3)
    engine.warm_up()
    return engine


@pytest.fixture
def engine(model: WhisperEngine) -> Iterator[WhisperEngine]:
    """The shared model without sessions of an earlier test."""
    yield model
    for session_id in ("a", "b", "c", "d"):
        model.close(session_id)


def drained(engine: WhisperEngine) -> Outputs:
    outputs: Outputs = {}
    while engine.ready():
        for session_id, output in engine.step():
            outputs.setdefault(session_id, []).append(output)
    return outputs


def heard(
    engine: WhisperEngine, pcm: NDArray[np.float32], options: SessionOptions, chunk_samples: int = 4800
) -> list[Output]:
    engine.open("a", options)
    outputs: list[Output] = []
    for start in range(0, len(pcm), chunk_samples):
        engine.feed("a", pcm[start : start + chunk_samples])
        outputs += drained(engine).get("a", [])
    engine.finish("a")
    outputs += drained(engine).get("a", [])
    engine.close("a")
    return outputs


def dict_of(step: list[tuple[str, Output]]) -> Outputs:
    outputs: Outputs = {}
    for session_id, output in step:
        outputs.setdefault(session_id, []).append(output)
    return outputs


def finals(outputs: list[Output]) -> list[Final]:
    return [output for output in outputs if isinstance(output, Final)]


def text_of(outputs: list[Output]) -> str:
    return " ".join(final.text for final in finals(outputs))


@pytest.mark.parametrize("options", [SessionOptions(), FILE], ids=["live", "file"])
@pytest.mark.parametrize("length_samples", [100, 1600, 5120, 80_001])
def test_audio_that_waits_for_more_is_no_backlog(
    engine: WhisperEngine, length_samples: int, options: SessionOptions
) -> None:
    engine.open("a", options)
    engine.feed("a", conversation(sentences=SENTENCES[:2])[:length_samples])
    drained(engine)
    assert engine.absorbed_samples("a") == length_samples


def test_file_is_transcribed_without_partials(engine: WhisperEngine) -> None:
    sentences = SENTENCES[:8]
    outputs = heard(engine, conversation(sentences=sentences), FILE, chunk_samples=16_000)
    reference = normalised(" ".join(sentences))
    assert edits(reference, normalised(text_of(outputs))) <= 0.06 * len(reference)
    assert not any(isinstance(output, Partial) for output in outputs)
    assert [final.segment for final in finals(outputs)] == list(range(len(finals(outputs))))
    assert isinstance(outputs[-1], Finished)


def test_live_speech_gives_events_in_order(engine: WhisperEngine) -> None:
    outputs = heard(engine, np.concatenate([synthesise(SENTENCES[0]), silence(1)]), SessionOptions())
    kinds = [type(output) for output in outputs]
    assert kinds[0] is SpeechStarted
    assert kinds[1] is Partial
    assert kinds[-3:] == [SpeechStopped, Final, Finished]
    [final] = finals(outputs)
    partials = [output for output in outputs if isinstance(output, Partial)]
    assert len(partials) > 3
    assert all(partial.start_samples == final.start_samples for partial in partials)
    assert [partial.heard_samples for partial in partials] == sorted(partial.heard_samples for partial in partials)
    assert normalised(final.text) == normalised(SENTENCES[0])
    assert final.language == "en"


@pytest.mark.parametrize("partials", [False, True])
def test_words_lie_in_their_speech(engine: WhisperEngine, partials: bool) -> None:
    pcm = np.concatenate([silence(1), synthesise(SENTENCES[2]), silence(1)])
    [final] = finals(heard(engine, pcm, SessionOptions(partials=partials)))
    assert " ".join(word.text for word in final.words) == final.text
    times = [time for word in final.words for time in (word.start_samples, word.end_samples)]
    assert times == sorted(times)
    assert abs(times[0] - SAMPLE_RATE_HZ) < 0.4 * SAMPLE_RATE_HZ
    assert abs(times[-1] - (len(pcm) - SAMPLE_RATE_HZ)) < 0.5 * SAMPLE_RATE_HZ


def test_words_are_left_out_on_request(engine: WhisperEngine) -> None:
    [final] = finals(heard(engine, synthesise(SENTENCES[2]), SessionOptions(words=False, partials=False)))
    assert final.words == ()


@pytest.mark.parametrize(
    "pcm",
    [silence(4), noise(4, 0.003), noise(4, 0.2), music(6), 0.3 * np.sin(np.arange(64_000) / 6).astype(np.float32)],
    ids=["silence", "hiss", "noise", "music", "tone"],
)
def test_sound_without_speech_gives_no_text(engine: WhisperEngine, pcm: NDArray[np.float32]) -> None:
    outputs = heard(engine, pcm, SessionOptions())
    assert not any(isinstance(output, Partial) and output.text for output in outputs)
    assert text_of(outputs) == ""
    assert isinstance(outputs[-1], Finished)


def test_open_segment_of_a_file_is_no_backlog(engine: WhisperEngine) -> None:
    """The reader stops at 10 s of backlog; a segment without partials is decoded only when it ends, at 12 s."""
    pcm = np.concatenate([synthesise(sentence)[4000:-6000] for sentence in SENTENCES[:3]])
    engine.open("a", FILE)
    for start in range(0, 11 * SAMPLE_RATE_HZ, 16_000):
        engine.feed("a", pcm[start : start + 16_000])
        drained(engine)
        assert start + 16_000 - engine.absorbed_samples("a") < SAMPLE_RATE_HZ


def test_finals_do_not_depend_on_chunks(engine: WhisperEngine) -> None:
    pcm = conversation(sentences=SENTENCES[10:13], pause_s=0.6)
    results = [finals(heard(engine, pcm, FILE, chunk_samples=size)) for size in (777, 16_000, len(pcm))]
    plain = [[(final.text, final.start_samples, final.end_samples, final.words) for final in one] for one in results]
    assert plain[0] == plain[1] == plain[2]


def test_live_finals_equal_those_of_a_file(engine: WhisperEngine) -> None:
    pcm = conversation(sentences=SENTENCES[13:15])
    assert text_of(heard(engine, pcm, SessionOptions())) == text_of(heard(engine, pcm, FILE))


def test_sessions_in_one_batch_stay_apart(engine: WhisperEngine) -> None:
    chosen = {"a": SENTENCES[3], "b": SENTENCES[8], "c": SENTENCES[20]}
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
    engine.open("a", SessionOptions(words=False, partials=False))
    engine.feed("a", synthesise(SENTENCES[4]))
    drained(engine)
    engine.configure("a", SessionOptions(words=True, partials=False))
    engine.commit("a")
    engine.feed("a", synthesise(SENTENCES[5]))
    engine.finish("a")
    found = finals(drained(engine)["a"])
    assert found[0].words == ()
    assert found[-1].words


def test_prompt_guides_spelling(engine: WhisperEngine) -> None:
    pcm = synthesise("Our colleague Katherine called this morning.")
    plain, prompted = (
        text_of(heard(engine, pcm, SessionOptions(partials=False, prompt=prompt)))
        for prompt in (None, "Kathryn and Kathryn, Kathryn's team.")
    )
    assert "Kathryn" in prompted
    assert plain


@pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")
@pytest.mark.parametrize(
    ("language", "text", "word"),
    [
        ("de", "Guten Morgen, heute ist das Wetter sehr schön und wir gehen in den Garten.", "Guten Morgen"),
        ("es", "Buenos días, me gustaría reservar una mesa para cuatro personas.", "reservar una mesa"),
    ],
)
def test_language_is_detected(engine: WhisperEngine, language: str, text: str, word: str) -> None:
    outputs = heard(engine, spoken(text, language), SessionOptions())
    assert {final.language for final in finals(outputs)} == {language}
    assert word in text_of(outputs)


def test_recording_fills_a_step_only_while_nobody_speaks(engine: WhisperEngine) -> None:
    pcm = conversation(sentences=SENTENCES[:4])
    for session_id, options in (("a", replace(FILE, language="en")), ("b", SessionOptions())):
        engine.open(session_id, options)
    engine.feed("a", pcm)
    engine.finish("a")
    beside_live = len(finals(dict_of(engine.step()).get("a", [])))
    assert beside_live == MAX_TURNS_BESIDE_LIVE
    engine.close("b")
    assert len(finals(dict_of(engine.step()).get("a", []))) == len(SENTENCES[:4]) - beside_live


@pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")
def test_translation_is_english_and_shares_a_batch_with_transcription(engine: WhisperEngine) -> None:
    pcm = spoken("Guten Morgen, heute ist das Wetter sehr schön und wir gehen in den Garten.", "de")
    for session_id, mode in (("a", Mode.TRANSLATE), ("b", Mode.TRANSCRIBE)):
        engine.open(session_id, SessionOptions(mode=mode, language="de", partials=False))
        engine.feed(session_id, pcm)
        engine.finish(session_id)
    outputs = drained(engine)
    assert "Guten Morgen" in text_of(outputs["b"])
    assert "good morning" in text_of(outputs["a"]).casefold()
    [word, *_] = [word for final in finals(outputs["a"]) for word in final.words]
    assert 0 <= word.start_samples <= word.end_samples <= len(pcm)


def test_unknown_language_is_told_and_detected(engine: WhisperEngine) -> None:
    outputs = heard(engine, synthesise(SENTENCES[5]), SessionOptions(language="xx", delay_ms=480))
    notices = [output.code for output in outputs if isinstance(output, Notice)]
    assert notices == ["delay_ignored", "language_ignored"]
    assert finals(outputs)[0].language == "en"
