"""Whispers whose `config.json` lists no alignment heads: their words have times all the same."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import StartupError
from shared.events import SAMPLE_RATE_HZ, Word
from shared.session_options import SessionOptions
from tests.engine_sessions import finals, heard
from tests.integration.whisper_sessions import errors, shared_model
from tests.speech import SENTENCES, silence, synthesise
from tests.tiny.whisper import Shape, write_whisper
from tests.whisper_engines import load
from worker.engines.whisper.decoder import WhisperDecoder
from worker.engines.whisper.engine import WhisperEngine
from worker.engines.whisper.jobs import Job
from worker.engines.whisper.placement import Placement
from worker.engines.whisper.settings import WhisperSettings
from worker.engines.whisper.weights import model_directory

SAID = SENTENCES[:4]
SPEECH = np.concatenate([silence(0.4), *map(synthesise, SAID), silence(1.0)])
LIVE = SessionOptions(language="en")
FILE = SessionOptions(language="en", recording=True, partials=False, words=True)
NOISE = np.random.default_rng(1).standard_normal(3 * SAMPLE_RATE_HZ).astype(np.float32) * 0.1
SHAPE = Shape(heads=2, decoder_layers=3)


def relisted(directory: Path, copy: Path, heads: Any) -> Path:
    """The model with these heads in its `config.json`; None: without any."""
    copy.mkdir()
    for file in directory.iterdir():
        (copy / file.name).symlink_to(file)
    config = {**json.loads((directory / "config.json").read_text()), "alignment_heads": heads}
    (copy / "config.json").unlink()
    (copy / "config.json").write_text(json.dumps(config))
    return copy


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> WhisperEngine:
    """The embedded model, without its list."""
    copy = relisted(model_directory(None), tmp_path_factory.mktemp("models") / "headless", None)
    return load(path=copy, threads=1, settings=WhisperSettings(partial_interval_ms=900, load_share=0))


def test_live_speech_without_pauses_is_written_once(engine: WhisperEngine) -> None:
    assert errors(heard(engine, SPEECH, LIVE), *SAID) <= 1


def test_words_begin_where_they_are_spoken(engine: WhisperEngine) -> None:
    def words(model: WhisperEngine) -> list[Word]:
        return [word for final in finals(heard(model, SPEECH, FILE)) for word in final.words]

    found, known = words(engine), words(shared_model())
    assert [word.text for word in found] == [word.text for word in known]
    late_s = [
        (one.start_samples - other.start_samples) / SAMPLE_RATE_HZ for one, other in zip(found, known, strict=True)
    ]
    assert np.median(np.abs(late_s)) <= 0.1
    assert np.abs(late_s).max() <= 0.3
    assert all(word.confidence is not None for word in found)


@pytest.mark.parametrize("compute_type", ["int8", "float32"])
@pytest.mark.parametrize("heads", [None, []])
def test_heads_are_by_default_those_of_the_second_half(tmp_path: Path, heads: Any, compute_type: str) -> None:
    directory = write_whisper(tmp_path / "tiny", SHAPE)
    later = [[1, 0], [1, 1], [2, 0], [2, 1]]
    places = [relisted(directory, tmp_path / name, list_) for name, list_ in (("none", heads), ("later", later))]
    job = Job(NOISE, language="en", is_live=True, cap_tokens=20)
    none, listed = (WhisperDecoder(place, Placement(compute_type=compute_type, threads=1)) for place in places)
    assert none.run([job]) == listed.run([job])
    assert none.run([job])[0].words


def test_nothing_temporary_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = relisted(write_whisper(tmp_path / "tiny", SHAPE), tmp_path / "none", None)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    WhisperDecoder(directory, Placement(threads=1))
    assert list((tmp_path / "temporary").iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(StartupError, match=r"^No temporary directory .*/none could be made: No such file or directory"):
        WhisperDecoder(directory, Placement(threads=1))


def test_weights_in_an_unknown_format_have_no_default(tmp_path: Path) -> None:
    directory = write_whisper(tmp_path / "tiny", SHAPE, alignment_heads=False)
    (directory / "model.bin").write_bytes(b"\x63\0\0\0")
    with pytest.raises(StartupError, match=r"lists no alignment_heads, and they have no default \(.*version is 99"):
        WhisperDecoder(directory, Placement(threads=1))
