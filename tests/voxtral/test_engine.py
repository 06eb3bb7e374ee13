"""Many sessions in one engine, and its limits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from shared.errors import ServerBusyError, StartupError
from shared.session_options import Mode, SessionOptions
from tests.engine_sessions import Outputs, drained, finals, heard
from tests.speech import SENTENCES, conversation
from tests.voxtral.driving import CONTEXT_TOKENS, FILE, NAME, answer_text, asked, loaded, samples, spoken_text
from tests.voxtral.reference import Reference, murmur
from worker.engines.base import Failed, Finished, Notice
from worker.engines.voxtral.engine import VoxtralEngine, limits_of
from worker.engines.voxtral.session import pcm16


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


def test_close_during_an_answer_ends_its_outputs(engine: VoxtralEngine, reference: Reference) -> None:
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
    assert f"at most {CONTEXT_TOKENS - 375 - 5} tokens" in str(failed.error)


def test_answer_ends_where_the_context_does(engine: VoxtralEngine) -> None:
    seconds = engine._model.limit_s - 20
    outputs = heard(engine, samples(murmur(53, seconds)), asked("why? " * 400, limit=4096), chunk_samples=160_000)
    assert len(finals(outputs)) == 1


def test_options_without_effect_are_reported(engine: VoxtralEngine) -> None:
    engine.open("a", SessionOptions(language="xx", delay_ms=480, prompt="Names.", temperature=0.5))
    engine.open("b", SessionOptions(mode=Mode.GENERAL, prompt="Names.", temperature=0.5))
    found = {
        key: [output.code for output in outputs if isinstance(output, Notice)]
        for key, outputs in drained(engine).items()
    }
    assert found == {
        "a": ["delay_ignored", "prompt_ignored", "sampling_ignored", "language_ignored"],
        "b": ["prompt_ignored"],
    }


def test_limits_follow_the_free_memory() -> None:
    token_bytes = 122_880  # of Voxtral Mini 3B in bfloat16
    roomy = limits_of(60_000_000_000, token_bytes, 16, 131_072, 375)
    assert roomy.limit_s == 2400
    tight = limits_of(5_000_000_000, token_bytes, 16, 131_072, 375)
    assert 30 <= tight.limit_s < 2400
    assert tight.budget_tokens * token_bytes <= 5_000_000_000
    with pytest.raises(StartupError, match=r"model\.slots is 16, which needs 3\.0 GB .* but 2\.5 GB are free"):
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


def test_info_describes_the_engine(engine: VoxtralEngine) -> None:
    info = engine.info
    assert (info.engine, info.model, info.device, info.compute_type) == ("voxtral", NAME, "cpu", "float32")
    assert info.modes == tuple(Mode)
    assert "en" in info.languages
    assert engine.spectrogram == {"n_mels": 128, "hop_length": 160, "win_length": 400, "n_fft": 400}
    assert torch.get_num_threads() == 1
