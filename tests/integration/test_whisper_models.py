"""Whispers other than the embedded one: English-only, large-v3's front end, distilled, from a directory or the Hub.

The models are tiny and have random weights: what they say is noise, but when, in which language and on which device is
the engine's own doing.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from structlog.testing import capture_logs

from shared.config.settings import Settings
from shared.errors import StartupError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode, SessionOptions
from shared.whisper_models import WHISPER_MODELS
from tests.limits import limit_s
from tests.speech import SENTENCES, synthesise
from tests.stack import PROJECT
from tests.tiny.whisper import ENGLISH, LARGE_V3, MULTILINGUAL, write_whisper
from worker.engines.base import Finished, Notice, Output
from worker.engines.registry import load_engine
from worker.engines.whisper.batches import CPU_LIMITS
from worker.engines.whisper.decoder import WhisperDecoder
from worker.engines.whisper.engine import WhisperEngine
from worker.engines.whisper.jobs import Job
from worker.engines.whisper.pace import warm_up
from worker.engines.whisper.placement import Placement

NOISE = np.random.default_rng(1).standard_normal(3 * SAMPLE_RATE_HZ).astype(np.float32) * 0.1
FLOAT = Placement(compute_type="float32", threads=1)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for each kind of model."""
    directory = tmp_path_factory.mktemp("models")
    write_whisper(directory / "english", ENGLISH)
    write_whisper(directory / "large-v3", LARGE_V3)
    write_whisper(directory / "headless", MULTILINGUAL, alignment_heads=False)
    return directory


def loaded(spectrogram: dict[str, int] | None = None, **model: Any) -> WhisperEngine:
    values = {"name": "whisper", "device": "cpu", "threads": 1} | model
    engine = load_engine(Settings(model=values, spectrogram=spectrogram or {}))  # type: ignore[arg-type]
    assert isinstance(engine, WhisperEngine)
    return engine


def outputs_of(engine: WhisperEngine, options: SessionOptions) -> list[Output]:
    engine.open("a", options)
    engine.feed("a", synthesise(SENTENCES[0]))
    engine.finish("a")
    outputs = []
    while engine.ready():
        outputs += [output for _, output in engine.step()]
    engine.close("a")
    return outputs


def test_model_of_english_knows_nothing_else(models: Path) -> None:
    engine = loaded(path=models / "english")
    engine.warm_up()
    info = engine.info
    assert (info.engine, info.model, info.device, info.compute_type) == ("whisper", "english", "cpu", "int8")
    assert (info.modes, info.languages) == ((Mode.TRANSCRIBE,), ("en",))
    outputs = outputs_of(engine, SessionOptions(language="de"))
    assert [output.code for output in outputs if isinstance(output, Notice)] == ["language_ignored"]
    assert outputs[-1] == Finished()


def test_model_of_english_is_started_without_language_and_task(models: Path) -> None:
    decoder = WhisperDecoder(models / "english", FLOAT)
    [heard] = decoder.run([Job(NOISE, language="de")])
    assert heard.language == "en"
    assert decoder.detect([NOISE, NOISE[:8000]]) == [{"en": 1.0}] * 2
    tokenizer = decoder._tokenizer("en")
    assert tokenizer.sot_sequence == [tokenizer.sot]
    assert all(0 <= word.start_samples <= word.end_samples <= len(NOISE) for word in heard.words)


def test_front_end_of_large_v3_has_128_bands_and_its_languages_cantonese(models: Path) -> None:
    engine = loaded({"n_mels": 128}, path=models / "large-v3")
    engine.warm_up()
    assert engine.info.modes == (Mode.TRANSCRIBE, Mode.TRANSLATE)
    assert {"en", "yue"} <= set(engine.info.languages)
    assert outputs_of(engine, SessionOptions(language="yue"))[-1] == Finished()
    with pytest.raises(StartupError, match=r"spectrogram\.n_mels is 80, but the model large-v3 uses 128"):
        loaded({"n_mels": 80}, path=models / "large-v3")


def test_languages_and_tasks_share_a_batch_and_are_timed_each_in_its_own(models: Path) -> None:
    """Rows of the encoder's output are chosen for each language; alone and together the times are the same."""
    decoder = WhisperDecoder(models / "large-v3", FLOAT)
    jobs = [Job(NOISE, language=language, cap_tokens=12) for language in ("en", "de", "en")]
    jobs.append(Job(NOISE[::-1].copy(), language="de", translate=True, cap_tokens=12))
    together = decoder.run(jobs)
    alone = [heard for job in jobs for heard in decoder.run([job])]
    assert [heard.words for heard in together] == [heard.words for heard in alone]
    assert all(heard.words for heard in together)
    assert [heard.language for heard in together] == ["en", "de", "en", "de"]


def test_spectrograms_computed_side_by_side_are_the_same(models: Path) -> None:
    jobs = [Job(NOISE[: 16_000 + 4000 * row], language="en", cap_tokens=12) for row in range(6)]
    answers = [
        WhisperDecoder(models / "large-v3", replace(FLOAT, feature_threads=threads)).run(jobs) for threads in (1, 3)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("heads", "fault"),
    [
        ([[9, 0]], r"name layer 9, head 0, but the model has \d layers of \d heads"),
        ([[0, 0], [0, 99]], r"name layer 0, head 99, but"),
        ([[-1, 0]], "are not pairs of a layer and a head"),
        ([[1]], "are not pairs of a layer and a head"),
        ("all", "are not pairs of a layer and a head"),
    ],
)
@pytest.mark.parametrize("compute_type", ["int8", "float32"])
def test_alignment_heads_that_the_model_lacks_are_refused(
    models: Path, tmp_path: Path, heads: Any, fault: str, compute_type: str
) -> None:
    config = json.loads((models / "english" / "config.json").read_text())
    shutil.copytree(models / "english", tmp_path / "copied")
    (tmp_path / "copied" / "config.json").write_text(json.dumps({**config, "alignment_heads": heads}))
    with pytest.raises(StartupError, match=rf"^The alignment_heads in .*config\.json {fault}"):
        loaded(path=tmp_path / "copied", compute_type=compute_type)


@pytest.mark.parametrize(
    ("name", "modes", "one_language"),
    [
        ("whisper-large-v3", (Mode.TRANSCRIBE, Mode.TRANSLATE), False),
        ("whisper-turbo", (Mode.TRANSCRIBE,), False),
        ("whisper-distil-large-v3", (Mode.TRANSCRIBE,), True),
    ],
)
def test_named_model_keeps_its_name_and_claims_what_it_was_trained_for(
    models: Path, name: str, modes: tuple[Mode, ...], one_language: bool
) -> None:
    info = loaded(name=name, path=models / "large-v3").info
    assert info.model == name.replace("turbo", "large-v3-turbo")
    assert info.modes == modes
    assert (info.languages == ("en",)) == one_language


def test_model_that_was_trained_on_english_detects_nothing(models: Path) -> None:
    decoder = WhisperDecoder(models / "large-v3", Placement(compute_type="float32", threads=1, english=True))
    [heard] = decoder.run([Job(NOISE, language="de")])
    assert heard.language == "en"
    assert decoder.detect([NOISE]) == [{"en": 1.0}]


def test_detected_language_does_not_depend_on_what_is_detected_with_it(models: Path) -> None:
    decoder = WhisperDecoder(models / "large-v3", replace(FLOAT, threads=2))
    pcms = [np.resize(NOISE, seconds * SAMPLE_RATE_HZ) for seconds in (1, 25, 2, 12)]
    alone = [decoder.detect([pcm])[0] for pcm in pcms]
    assert decoder.detect(pcms) == [pytest.approx(one, rel=1e-4) for one in alone]
    assert alone[0] != pytest.approx(alone[1], rel=1e-2)


@pytest.mark.parametrize("name", ["whisper", "whisper-base", "auto"])
def test_path_gives_its_name_to_a_model_that_has_none(models: Path, name: str) -> None:
    info = loaded(name=name, path=models / "english").info
    assert info.model == "english"
    assert bool(info.reason) == (name == "auto")


def test_whisper_without_a_path_names_those_that_can_be_named() -> None:
    with pytest.raises(StartupError, match=r"loads the model in model\.path.*whisper-tiny.*whisper-large-v3\."):
        loaded(name="whisper")
    with pytest.raises(StartupError, match=r"model\.name is 'whisper-huge'; allowed: auto, .*whisper-large-v3-turbo"):
        loaded(name="whisper-huge")


@pytest.mark.parametrize(
    ("settings", "compute_type"),
    [({}, "int8"), ({"compute_type": "float32"}, "float32"), ({"torch_dtype": "float32"}, "float32")],
)
def test_precision_is_what_was_asked_for(models: Path, settings: dict[str, str], compute_type: str) -> None:
    assert loaded(path=models / "english", **settings).info.compute_type == compute_type


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"compute_type": "float16"},
            r"compute_type is 'float16', which cpu does not support; .*: auto, int8, float32",
        ),
        ({"torch_dtype": "bfloat16"}, r"torch_dtype is 'bfloat16'.* model\.compute_type .*\(allowed here: auto, int8,"),
        (
            {"torch_dtype": "float32", "compute_type": "int8"},
            r"model\.torch_dtype is 'float32', which applies to Voxtral",
        ),
        (
            {"device": "cuda:1"},
            r"model\.device is 'cuda:1', but no NVIDIA GPU was found; .* or set model\.device to cpu",
        ),
    ],
)
def test_what_the_device_cannot_do_is_refused(models: Path, settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(StartupError, match=sentence):
        loaded(path=models / "english", **settings)


def test_precision_is_checked_before_a_model_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StartupError, match=r"^Setting model\.compute_type is 'float16'"):
        loaded(name="whisper-large-v3", compute_type="float16")


def test_precision_of_whisper_is_refused_for_voxtral() -> None:
    with pytest.raises(StartupError, match=r"model\.compute_type is 'int8', which is only for Whisper models"):
        load_engine(Settings(model={"name": "mistralai/Voxtral-Mini-3B-2507", "compute_type": "int8"}))  # type: ignore[arg-type]


def test_missing_file_is_named(models: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(models / "english", tmp_path / "copy")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(
        StartupError, match=r"model\.path is .*, which lacks tokenizer\.json; a Whisper in CTranslate2's"
    ):
        loaded(path=copy)
    (copy / "vocabulary.json").unlink()
    with pytest.raises(
        StartupError, match=r"which lacks tokenizer\.json, vocabulary\.json or vocabulary\.txt; a Whisper"
    ):
        loaded(path=copy)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("model.safetensors", r"holds a model of transformers; convert it with `ct2-transformers-converter"),
        ("model-00001-of-00002.safetensors", r"holds a model of transformers; convert it with `ct2-transformers-conv"),
        ("ggml-base.bin", r"which holds ggml-base\.bin, a file in another format; a Whisper in CTranslate2's format"),
        ("turbo.pt", r"which holds turbo\.pt, a file in another format; a Whisper in CTranslate2's format is a dir"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, file: str, sentence: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(StartupError, match=sentence):
        loaded(path=tmp_path)
    with pytest.raises(
        StartupError, match=r"which is not a directory; a Whisper in CTranslate2's format is a directory"
    ):
        loaded(path=tmp_path / file)


def test_file_with_a_relative_path_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.bin").touch()
    with pytest.raises(StartupError, match=r"^Setting model\.path is 'model\.bin', which is not a directory"):
        loaded(path="model.bin")


def test_clone_without_its_large_files_is_named(models: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(models / "english", tmp_path / "copy")
    (copy / "model.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n")
    with pytest.raises(
        StartupError, match=r"model\.path is .*, whose model\.bin is only a pointer of Git LFS; run `git"
    ):
        loaded(path=copy)


@pytest.mark.parametrize(("other", "mark"), [("english", "endoftext"), ("large-v3", "notimestamps")])
def test_tokenizer_of_another_model_is_refused(models: Path, tmp_path: Path, other: str, mark: str) -> None:
    copy = shutil.copytree(models / "headless", tmp_path / "copy")
    shutil.copy(models / other / "tokenizer.json", copy)
    with pytest.raises(StartupError, match=rf"tokenizer\.json in .* is of another model: <\|{mark}\|> has the number"):
        loaded(path=copy)


@pytest.mark.parametrize(
    ("name", "files", "difference"),
    [
        ("whisper-large-v3", "headless", r"has 128 mel filters, but the model in .* has 80"),
        ("whisper-small", "large-v3", r"has 80 mel filters, but the model in .* has 128"),
        ("whisper-small", "english", r"has a multilingual vocabulary, but the model in .* has an English-only one"),
        ("whisper-small.en", "headless", r"has an English-only vocabulary, but the model in .* has a multilingual one"),
    ],
)
def test_files_of_another_model_are_refused(models: Path, name: str, files: str, difference: str) -> None:
    with pytest.raises(
        StartupError, match=rf"model\.name is '{name}', which {difference}; set model\.name to whisper, or"
    ):
        loaded(name=name, path=models / files)


def test_hub_is_asked_only_for_what_its_cache_lacks(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        StartupError, match=r"^Setting model\.name is 'whisper-small\.en', which is not complete in the cache"
    ):
        loaded(name="whisper-small.en")
    with pytest.raises(
        StartupError, match=r"^Setting model\.path is 'our/whisper' \(not a directory, .* not complete in"
    ):
        loaded(name="whisper", path="our/whisper")
    for repository in ("Systran/faster-whisper-small.en", "our/whisper"):
        folder = tmp_path / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("1234")
        shutil.copytree(models / "english", folder / "snapshots" / "1234")
    assert loaded(name="whisper-small.en").info.model == "whisper-small.en"
    assert loaded(name="whisper", path="small.en").info.model == "whisper-small.en"
    assert loaded(name="whisper", path="our/whisper").info.model == "our/whisper"


def test_every_named_model_is_one_of_faster_whispers() -> None:
    from faster_whisper.utils import _MODELS

    own = {f"whisper-{name}" for name in _MODELS}
    assert own - {"whisper-large", "whisper-turbo"} == set(WHISPER_MODELS)


def test_slow_machine_is_warned_about(models: Path) -> None:
    engine = loaded(path=models / "english")
    for pass_s, event in ((0.5, "pass_measured"), (2.5, "model_slow")):
        clock = iter((10.0, 10.0 + pass_s)).__next__
        with capture_logs() as logs:
            warm_up(engine._decoder.run, engine.info, CPU_LIMITS, clock)
        assert [(log["event"], log["pass_s"]) for log in logs] == [(event, pass_s)]
    assert "2.5 s at best" in logs[0]["message"]


@pytest.mark.parametrize(("memory_mib", "model"), [(4096, "whisper-large-v3-turbo"), (8192, "whisper-large-v3")])
def test_auto_takes_a_whisper_on_a_small_gpu_or_says_why_not(tmp_path: Path, memory_mib: int, model: str) -> None:
    """A driver that lists a GPU which CTranslate2 cannot use: nothing else is chosen in its stead."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\n[ "$1" = -L ] && echo "GPU 0: NVIDIA" || echo "5, {memory_mib}"\n')
    tool.chmod(0o755)
    variables = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    variables |= {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "VOXTRAL_LOGS__DIR": str(tmp_path)}
    code = (
        "from shared.config.settings import load_settings\n"
        "from worker.engines.registry import _choose, load_engine\n"
        "print(_choose(load_settings())[0].model)\n"
        "try: load_engine(load_settings())\n"
        "except Exception as error: print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=limit_s(60),
    )
    assert model in answer.stdout.splitlines()
    assert "model.device is 'cuda:0', but CTranslate2" in answer.stdout.splitlines()[-1]
    assert "although the driver lists 1 GPU; update NVIDIA's driver" in answer.stdout.splitlines()[-1]
