"""What the benches of speech rest on: word ends in long audio, streams on a virtual clock, the command itself."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import tests.bench.__main__ as bench
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.bench.alignment import last_sound_samples, long_token_ends, token_ends
from tests.bench.figures import Figure
from tests.bench.scoring import normalised
from tests.bench.screen import Script, measured
from tests.bench.transcripts import transcribe_recording
from tests.bench.virtual_time import Clock, play
from tests.forking import captured
from tests.integration.whisper_sessions import shared_model
from tests.speech import SENTENCES, noise, silence, synthesise
from tests.stack import PROJECT
from worker.engines.echo import EchoEngine
from worker.engines.whisper.engine import WhisperEngine


@pytest.fixture
def engine() -> WhisperEngine:
    return shared_model()


def test_long_audio_is_aligned_like_its_sentences(engine: WhisperEngine) -> None:
    sentences = SENTENCES[:3]
    parts, expected, position = [], [], 0
    for sentence in sentences:
        pcm = synthesise(sentence)
        ends = token_ends(engine._decoder, pcm, sentence, "en")
        expected += [position + end for end in ends if end is not None]
        parts += [pcm, silence(7.0)]
        position += len(pcm) + len(parts[-1])
    long = np.concatenate(parts)
    assert len(long) > 33 * SAMPLE_RATE_HZ  # more than a window of the model
    heard = transcribe_recording(engine, long, "en").words
    found = long_token_ends(engine._decoder, long, " ".join(sentences), "en", heard)
    assert len(found) == len(expected) == len(normalised(" ".join(sentences)))
    late_s = [abs(end - right) / SAMPLE_RATE_HZ for end, right in zip(found, expected, strict=True) if end is not None]
    assert len(late_s) == len(expected)
    assert np.quantile(late_s, 0.9) < 0.1


def test_words_end_where_the_voice_does_though_the_room_sounds_on(engine: WhisperEngine) -> None:
    first, second = (synthesise(sentence) for sentence in SENTENCES[:2])
    text = " ".join(SENTENCES[:2])
    quiet = np.concatenate([first, silence(1.5), second])
    room = noise(len(quiet) / SAMPLE_RATE_HZ, level=0.015 * np.abs(quiet).max())
    count = len(normalised(SENTENCES[0]))
    for pcm in (quiet, quiet + room):
        end = token_ends(engine._decoder, pcm, text, "en")[count - 1]
        assert end is not None
        assert end <= len(first)


def test_last_sound_is_speech_though_the_room_sounds_on() -> None:
    spoken = synthesise(SENTENCES[0])
    quiet = np.concatenate([spoken[: last_sound_samples(spoken)], silence(2.0)])
    end = len(quiet) - 2 * SAMPLE_RATE_HZ
    assert abs(last_sound_samples(quiet) - end) < 0.05 * SAMPLE_RATE_HZ
    room = noise(len(quiet) / SAMPLE_RATE_HZ, level=0.015 * np.abs(quiet).max())
    assert end - 0.1 * SAMPLE_RATE_HZ < last_sound_samples(quiet + room) < end + 0.3 * SAMPLE_RATE_HZ


def test_long_audio_without_a_pause_takes_the_ends_of_its_transcript(engine: WhisperEngine) -> None:
    pcm = synthesise(SENTENCES[0])
    heard = transcribe_recording(engine, pcm, "en").words
    padded = np.concatenate([pcm, silence(30.0)])
    found = long_token_ends(engine._decoder, padded, "Strangely " + SENTENCES[0], "en", heard[:1])
    assert found[:2] == [None, heard[0].end_samples]
    assert set(found[2:]) == {None}


def test_waiting_scripts_follow_those_that_end() -> None:
    engine = EchoEngine(slots=2)
    scripts = [Script(silence(length_s), [], []) for length_s in (4, 3, 5)]
    clock = Clock(engine, "fixed")
    screens, busy_s, clock_s = play(engine, clock, scripts, [SessionOptions()] * 3, streams=2)
    assert [screen.text for screen in screens] == ["4 seconds", "3 seconds", "5 seconds"]
    assert 4 + 3 < clock_s < 4 + 3 + 5 + busy_s
    assert clock.cpu_s > 0
    assert clock.audio_s == pytest.approx(4 + 3 + 5)


def test_the_load_stays_the_same_until_the_last_script_ends() -> None:
    engine = EchoEngine(slots=2)
    clock = Clock(engine, "fixed")
    scripts = [Script(silence(length_s), [], []) for length_s in (4, 12)]
    screens, _, clock_s = play(engine, clock, scripts, [SessionOptions()] * 2, streams=2, refill=True)
    assert all(screen.done for screen in screens)
    assert clock.audio_s > 0.9 * 2 * clock_s


def test_committed_words_are_measured(engine: WhisperEngine) -> None:
    text = " ".join(SENTENCES[:2])
    pcm = np.concatenate([synthesise(sentence) for sentence in SENTENCES[:2]])
    pcm = pcm[: last_sound_samples(pcm)]
    script = Script(pcm, normalised(text), token_ends(engine._decoder, pcm, text, "en"))
    [screen], _, _ = play(engine, Clock(engine, "fixed"), [script], [SessionOptions(language="en")])
    result = measured(script, screen)
    assert len(result.commit_ms) == len(result.first_ms) >= 0.8 * len(script.words)
    assert all(first <= commit for first, commit in zip(result.first_ms, result.commit_ms, strict=True))


def test_section_without_a_folder_is_skipped(tmp_path: Path) -> None:
    answer = captured("tests.bench", ["real-speech"], folder=tmp_path, env={"PYTHONPATH": str(PROJECT)})
    assert answer.returncode == 0, answer.stderr
    assert b"real-speech is skipped: SPEECH is not set" in answer.stdout
    assert json.loads((tmp_path / "build/bench.json").read_text())["figures"] == []


def test_figures_are_kept_when_a_later_section_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> list[Figure]:
        raise RuntimeError("out of luck")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench", "real-speech", "no-speech"])
    sections = {"real-speech": lambda _: [Figure("words", 1.0, "")], "no-speech": fail}
    monkeypatch.setattr(bench, "OF_ENGINE", sections)
    monkeypatch.setattr(bench, "allow_open_files", lambda: None)
    with pytest.raises(RuntimeError, match="out of luck"):
        bench.main()
    [kept] = json.loads((tmp_path / "build/bench.json").read_text())["figures"]
    assert kept["name"] == "words"
