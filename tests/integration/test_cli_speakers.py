"""Speakers on the command line, against a real service."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.command import run
from tests.integration.api_clients import wav_of
from tests.speech import SENTENCES
from tests.stack import Stack
from tests.two_voices import high, low


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "voice.wav"
    path.write_bytes(wav_of(high(SENTENCES[5])))
    return path


def test_enrolled_speaker_is_named_and_another_one_gets_a_letter(stack: Stack, voice: Path, tmp_path: Path) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    done = run(stack, "speakers", "enroll", "Ann Lee", voice, **home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Ann Lee" in done.stdout
    other = tmp_path / "other.wav"
    other.write_bytes(wav_of(low(SENTENCES[4])))
    done = run(stack, "transcribe", voice, "--known-speakers", "Ann Lee", **home)
    assert done.stdout.startswith("Ann Lee: ")
    assert done.stdout.endswith(" seconds\n")
    done = run(stack, "transcribe", other, "--known-speakers", "all", "--format", "json", **home)
    assert [segment["speaker"] for segment in json.loads(done.stdout)["segments"]] == ["A"]
    done = run(stack, "transcribe", voice, "--known-speakers", "Bo", **home)
    assert (done.returncode, "No speaker 'Bo' is enrolled" in done.stderr) == (1, True)


def test_only_the_beginning_of_a_recording_is_sent(stack: Stack, voice: Path, tmp_path: Path) -> None:
    silence = np.zeros(stack.settings.server.max_message_bytes // 2, np.float32)
    voice.write_bytes(wav_of(np.concatenate([high(SENTENCES[5]), silence])))
    done = run(stack, "speakers", "enroll", "Ann", voice, XDG_CONFIG_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_file_that_is_no_recording_is_named(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    done = run(stack, "speakers", "enroll", "Ann", tmp_path / "a.txt", XDG_CONFIG_HOME=str(tmp_path))
    assert (done.returncode, done.stderr.startswith(f"Error: {tmp_path / 'a.txt'}: ")) == (1, True)
