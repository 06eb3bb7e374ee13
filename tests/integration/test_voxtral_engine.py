"""The whole engine on a tiny checkpoint with random weights, against transformers' `generate`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.config import ModelSettings
from shared.errors import ServerBusyError, StartupError
from shared.events import SAMPLE_RATE_HZ, Mode, SessionOptions
from tests.speech import SENTENCES, conversation, silence, synthesise
from tests.tiny.reference import Reference, murmur
from tests.tiny.voxtral import write_checkpoint
from worker.engines.base import Failed, Final, Finished, Notice, Output, Partial, SpeechStarted, SpeechStopped
from worker.engines.voxtral import answering
from worker.engines.voxtral.engine import VoxtralEngine, limits_of, load
from worker.engines.voxtral.session import pcm16
from worker.engines.voxtral.transcribing import SPARE_TOKENS, TOKENS_PER_S

NAME = "mistralai/Voxtral-Mini-3B-2507"
SLOTS = 8
CONTEXT_TOKENS = 8192
"""Enough for 17 windows of audio, so that prompts go in pieces."""
FILE = SessionOptions(partials=False)
Outputs = dict[str, list[Output]]


@pytest.fixture(scope="module", params=[0, 4])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoint")
    return write_checkpoint(directory, seed=request.param, context_tokens=CONTEXT_TOKENS)


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Reference:
    return Reference(checkpoint)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> VoxtralEngine:
    return loaded(checkpoint)


@pytest.fixture
def engine(model: VoxtralEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[VoxtralEngine]:
    """The shared model without sessions of an earlier test; every token of an answer makes a partial."""
    monkeypatch.setattr(answering, "PARTIAL_INTERVAL_S", 0.0)
    yield model
    for session_id in "abcdefghi":
        model.close(session_id)


def loaded(checkpoint: Path, **settings: str) -> VoxtralEngine:
    engine = load(ModelSettings(path=checkpoint, device="cpu", **settings), name=NAME, slots=SLOTS, threads=1)
    engine.warm_up()
    return engine


def samples(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    return pcm.astype(np.float32) / 32_768


def speech(sentence: int) -> NDArray[np.float32]:
    """As it comes over the wire: in steps of s16."""
    return samples(pcm16(synthesise(SENTENCES[sentence])))


def drained(engine: VoxtralEngine) -> Outputs:
    outputs: Outputs = {}
    while engine.ready():
        for session_id, output in engine.step():
            outputs.setdefault(session_id, []).append(output)
    return outputs


def heard(
    engine: VoxtralEngine, pcm: NDArray[np.float32], options: SessionOptions, chunk_samples: int = 4800
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


def finals(outputs: list[Output]) -> list[Final]:
    return [output for output in outputs if isinstance(output, Final)]


def partials(outputs: list[Output]) -> list[Partial]:
    return [output for output in outputs if isinstance(output, Partial)]


def asked(text: str | None, limit: int = 40, **options: float) -> SessionOptions:
    mode = Mode.GENERAL if text is None else Mode.UNDERSTAND
    return SessionOptions(mode=mode, prompt=text, max_new_tokens=limit, **options)


def spoken_text(reference: Reference, pcm: NDArray[np.float32], final: Final, language: str | None) -> str:
    """What `generate` makes of the audio of one final."""
    segment = pcm16(pcm[final.start_samples : final.end_samples])
    cap = SPARE_TOKENS + round(TOKENS_PER_S * len(segment) / SAMPLE_RATE_HZ)
    return reference.text(reference.tokens(segment, reference.transcription_prompt(segment, language), cap))


def answer_text(reference: Reference, pcm: NDArray[np.int16], text: str | None, limit: int = 40) -> str:
    return reference.text(reference.tokens(pcm, reference.message_prompt(pcm, text), limit))


# Transcription


@pytest.mark.parametrize("language", [None, "en"])
def test_transcript_is_that_of_generate(engine: VoxtralEngine, reference: Reference, language: str | None) -> None:
    pcm = samples(pcm16(conversation(sentences=SENTENCES[:3], pause_s=0.8)))
    outputs = heard(engine, pcm, SessionOptions(partials=False, language=language))
    assert len(finals(outputs)) > 1
    for number, final in enumerate(finals(outputs)):
        assert final.text == spoken_text(reference, pcm, final, language)
        assert (final.segment, final.language, final.words) == (number, language, ())
    assert partials(outputs) == []
    assert isinstance(outputs[-1], Finished)


def test_live_speech_gives_events_in_order(engine: VoxtralEngine) -> None:
    pcm = np.concatenate([speech(0), silence(1)])
    outputs = heard(engine, pcm, SessionOptions())
    kinds = [type(output) for output in outputs]
    assert kinds[0] is SpeechStarted
    assert kinds[-3:] == [SpeechStopped, Final, Finished]
    [final] = finals(outputs)
    assert partials(outputs)
    assert all(partial.start_samples == final.start_samples for partial in partials(outputs))
    positions = [partial.heard_samples for partial in partials(outputs)]
    assert positions == sorted(positions)
    assert [final.text] == [one.text for one in finals(heard(engine, pcm, FILE))]


def test_pause_that_ends_the_segment_is_decoded_once(engine: VoxtralEngine) -> None:
    """The text of the audio up to the pause is there before the endpoint is: the final costs no pass of its own."""
    pcm = np.concatenate([speech(0), silence(1)])
    engine.open("a", SessionOptions())
    outputs: list[Output] = []
    for start in range(0, len(pcm), 512):
        engine.feed("a", pcm[start : start + 512])
        before = len(finals(outputs))
        steps = 0
        while engine.ready():
            outputs += [output for _, output in engine.step()]
            steps += 1
        if len(finals(outputs)) > before:
            assert steps == 1
    assert len(finals(outputs)) == 1


def test_sound_without_speech_gives_no_text(engine: VoxtralEngine) -> None:
    outputs = heard(engine, np.concatenate([silence(2), samples(murmur(3, 3.0)) * 0.05]), SessionOptions())
    assert [type(output) for output in outputs] == [Finished]


def test_long_speech_is_cut_within_a_window(engine: VoxtralEngine) -> None:
    pcm = np.concatenate([speech(index)[4000:-6000] for index in range(12)])
    outputs = heard(engine, pcm, FILE, chunk_samples=16_000)
    found = finals(outputs)
    assert all(final.end_samples - final.start_samples <= 30 * SAMPLE_RATE_HZ for final in found)
    assert max(final.end_samples - final.start_samples for final in found) > 12 * SAMPLE_RATE_HZ


def test_open_segment_of_a_file_is_no_backlog(engine: VoxtralEngine) -> None:
    """The reader stops at 10 s of backlog; a file's segment is longer and is decoded only when it ends."""
    pcm = np.concatenate([speech(index)[4000:-6000] for index in range(4)])
    engine.open("a", FILE)
    for start in range(0, len(pcm), 16_000):
        engine.feed("a", pcm[start : start + 16_000])
        drained(engine)
        assert min(start + 16_000, len(pcm)) - engine.absorbed_samples("a") < SAMPLE_RATE_HZ


# Questions


@pytest.mark.parametrize("text", ["What is said?", None])
def test_answer_is_that_of_generate_and_grows(engine: VoxtralEngine, reference: Reference, text: str | None) -> None:
    pcm = murmur(11, 41.5)
    outputs = heard(engine, samples(pcm), asked(text))
    *shown, final, finished = outputs
    assert isinstance(final, Final)
    assert final.text == answer_text(reference, pcm, text)
    assert (final.segment, final.start_samples, final.end_samples) == (0, 0, len(pcm))
    assert final.resume_samples == final.heard_samples == len(pcm)
    assert isinstance(finished, Finished)
    texts = [partial.text for partial in shown if isinstance(partial, Partial)]
    assert len(texts) == len(shown) > 3
    assert all(later.startswith(earlier) for earlier, later in zip(texts, [*texts[1:], final.text], strict=True))


def test_answer_of_ten_windows_goes_in_pieces(engine: VoxtralEngine, reference: Reference) -> None:
    pcm = murmur(12, 290)
    [final] = finals(heard(engine, samples(pcm), asked("And then?", limit=12), chunk_samples=160_000))
    assert final.text == answer_text(reference, pcm, "And then?", limit=12)


def test_every_commit_is_a_question(engine: VoxtralEngine, reference: Reference) -> None:
    pieces = [murmur(seed, seconds) for seed, seconds in ((21, 2.0), (22, 31.0), (23, 0.4))]
    engine.open("a", asked("Why?"))
    for piece in pieces:
        engine.feed("a", samples(piece))
        engine.commit("a")
        engine.commit("a")
    engine.finish("a")
    outputs = drained(engine)["a"]
    assert [final.text for final in finals(outputs)] == [answer_text(reference, piece, "Why?") for piece in pieces]
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    assert [(final.segment, final.end_samples) for final in finals(outputs)] == list(enumerate(ends))
    segments = [output.segment for output in outputs if isinstance(output, Partial | Final)]
    assert segments == sorted(segments)
    assert isinstance(outputs[-1], Finished)


def test_configure_takes_effect_with_the_next_question(engine: VoxtralEngine, reference: Reference) -> None:
    first, second = murmur(24, 3), murmur(25, 3)
    engine.open("a", asked("Why?"))
    engine.feed("a", samples(first))
    engine.configure("a", asked("How?"))
    engine.commit("a")
    engine.feed("a", samples(second))
    engine.finish("a")
    expected = [answer_text(reference, first, "Why?"), answer_text(reference, second, "How?")]
    assert [final.text for final in finals(drained(engine)["a"])] == expected


def test_drawn_answers_are_the_same_for_a_new_owner(engine: VoxtralEngine) -> None:
    pcm = samples(murmur(26, 5))
    options = asked("Why?", temperature=1.5, top_p=0.95)
    first, again = (finals(heard(engine, pcm, options))[0].text for _ in range(2))
    assert first == again
    assert first != finals(heard(engine, pcm, asked("Why?")))[0].text


def test_new_owner_reads_the_unanswered_audio_again(engine: VoxtralEngine, reference: Reference) -> None:
    first, second = murmur(27, 3), murmur(28, 4)
    engine.open("a", asked("Why?"))
    engine.feed("a", samples(first))
    engine.commit("a")
    drained(engine)
    assert engine.checkpoint_samples("a") == len(first)
    engine.feed("a", samples(second))
    engine.commit("a")
    engine.step()
    assert engine.checkpoint_samples("a") == len(first)
    assert engine.absorbed_samples("a") == len(first) + len(second)
    engine.close("a")
    engine.open("b", asked("Why?"), start_samples=len(first), segment=1)
    engine.feed("b", samples(second))
    engine.finish("b")
    [final] = finals(drained(engine)["b"])
    assert (final.segment, final.start_samples) == (1, len(first))
    assert final.text == answer_text(reference, second, "Why?")
    assert engine.checkpoint_samples("b") == len(first) + len(second)


# Many sessions


def test_sessions_that_come_and_go_get_what_they_get_alone(engine: VoxtralEngine, reference: Reference) -> None:
    random = np.random.default_rng(5)
    questions = {
        key: (murmur(seed, seconds), text)
        for key, seed, seconds, text in (
            ("a", 31, 4, "Why?"),
            ("b", 32, 61, None),
            ("c", 33, 29, "Describe what you hear in this audio."),
            ("d", 34, 95, "What is it about, and who would say such a thing?"),
        )
    }
    talk = samples(pcm16(conversation(sentences=SENTENCES[5:7], pause_s=0.8)))
    sources = {key: samples(pcm) for key, (pcm, _) in questions.items()} | {"e": talk, "f": talk}
    options = {key: asked(text, limit=50) for key, (_, text) in questions.items()}
    options |= {"e": FILE, "f": SessionOptions(language="de")}
    outputs: Outputs = {key: [] for key in sources}
    waiting, fed = list(random.permutation([*sources])), dict.fromkeys(sources, 0)
    while waiting or engine.ready():
        if waiting and random.random() < 0.3:
            engine.open(waiting[-1], options[waiting.pop()])
        for key in [key for key in engine._sessions if fed[key] < len(sources[key]) and random.random() < 0.7]:
            size = int(random.integers(8000, 200_000))
            engine.feed(key, sources[key][fed[key] : fed[key] + size])
            fed[key] += size
            if fed[key] >= len(sources[key]):
                engine.finish(key)
        for key, output in engine.step():
            outputs[key].append(output)
            if isinstance(output, Finished):
                engine.close(key)
    for key, (pcm, text) in questions.items():
        [final] = finals(outputs[key])
        assert final.text == answer_text(reference, pcm, text, limit=50)
    for key, language in (("e", None), ("f", "de")):
        assert len(finals(outputs[key])) > 1
        for final in finals(outputs[key]):
            assert final.text == spoken_text(reference, talk, final, language)


def test_close_in_an_answer_says_nothing_more(engine: VoxtralEngine, reference: Reference) -> None:
    stays = murmur(41, 3)
    for key, pcm in (("a", stays), ("b", murmur(42, 40)), ("c", murmur(43, 2))):
        engine.open(key, asked("Why?"))
        engine.feed(key, samples(pcm))
        engine.finish(key)
    for _ in range(3):
        engine.step()
    engine.close("b")
    engine.close("c")
    engine.close("c")
    outputs = drained(engine)
    assert set(outputs) == {"a"}
    assert finals(outputs["a"])[0].text == answer_text(reference, stays, "Why?")


def test_slots_are_limited_and_used_again(engine: VoxtralEngine) -> None:
    for session_id in "abcdefgh":
        engine.open(session_id, SessionOptions())
    with pytest.raises(ServerBusyError, match="8 slots"):
        engine.open("i", SessionOptions())
    engine.close("b")
    engine.open("i", asked("Why?"))


# Limits


@pytest.mark.parametrize("options", [FILE, asked("Why?")], ids=["transcribe", "understand"])
def test_finish_without_audio_is_answered(engine: VoxtralEngine, options: SessionOptions) -> None:
    assert [type(output) for output in heard(engine, np.empty(0, np.float32), options)][-1] is Finished


def test_audio_past_the_limit_fails_the_session(engine: VoxtralEngine) -> None:
    limit_s = engine._model.limit_s
    assert limit_s == (CONTEXT_TOKENS - 1536) // 375 * 30
    engine.open("a", asked("Why?"))
    piece = samples(murmur(51, 10))
    for _ in range(limit_s // 10):
        engine.feed("a", piece)
    assert drained(engine) == {}
    engine.feed("a", piece[:1])
    engine.feed("a", piece)
    engine.commit("a")
    engine.finish("a")
    [failed] = drained(engine)["a"]
    assert isinstance(failed, Failed)
    assert failed.error.code == "audio_too_long"
    assert f"{limit_s} s" in str(failed.error)


def test_question_that_leaves_no_room_fails_the_session(engine: VoxtralEngine) -> None:
    [failed] = heard(engine, samples(murmur(52, 1)), asked("七" * CONTEXT_TOKENS))
    assert isinstance(failed, Failed)
    assert failed.error.code == "invalid_field"
    assert str(failed.error).startswith("prompt is '七七")


def test_answer_ends_where_the_context_does(engine: VoxtralEngine) -> None:
    seconds = engine._model.limit_s - 20
    outputs = heard(engine, samples(murmur(53, seconds)), asked("why? " * 400, limit=4096), chunk_samples=160_000)
    assert len(finals(outputs)) == 1


def test_options_without_effect_are_told(engine: VoxtralEngine) -> None:
    engine.open("a", SessionOptions(language="xx", delay_ms=480, prompt="Names.", temperature=0.5))
    engine.open("b", SessionOptions(mode=Mode.GENERAL, prompt="Names.", temperature=0.5))
    found = {
        key: [output.code for output in outputs if isinstance(output, Notice)]
        for key, outputs in drained(engine).items()
    }
    assert found == {
        "a": ["delay_ignored", "language_ignored", "prompt_ignored", "sampling_ignored"],
        "b": ["prompt_ignored"],
    }


def test_limits_follow_the_free_memory() -> None:
    token_bytes = 122_880  # of Voxtral Mini 3B in bfloat16
    roomy = limits_of(60_000_000_000, token_bytes, 16, 131_072, 375)
    assert roomy.limit_s == 2400
    tight = limits_of(5_000_000_000, token_bytes, 16, 131_072, 375)
    assert 30 <= tight.limit_s < 2400
    assert tight.budget_tokens * token_bytes <= 5_000_000_000
    with pytest.raises(StartupError, match=r"model\.slots is 16, for which 3\.0 GB are needed .* but 2\.5 GB are free"):
        limits_of(2_500_000_000, token_bytes, 16, 131_072, 375)


@pytest.mark.parametrize("settings", [{"attn_implementation": "eager"}, {"torch_dtype": "bfloat16"}])
def test_other_precisions_and_attention_work(checkpoint: Path, reference: Reference, settings: dict[str, str]) -> None:
    engine = loaded(checkpoint, **settings)
    pcm = murmur(61, 33)
    [final] = finals(heard(engine, samples(pcm), asked("Why?")))
    if "torch_dtype" in settings:
        assert engine.info.compute_type == "bfloat16"
        assert final.text
    else:
        assert final.text == answer_text(reference, pcm, "Why?")


def test_info_says_what_is_served(engine: VoxtralEngine) -> None:
    info = engine.info
    assert (info.engine, info.model, info.device, info.compute_type) == ("voxtral", NAME, "cpu", "float32")
    assert info.modes == tuple(Mode)
    assert "en" in info.languages
    assert engine.spectrogram == {"n_mels": 128, "hop_length": 160, "win_length": 400, "n_fft": 400}
    assert torch.get_num_threads() == 1
