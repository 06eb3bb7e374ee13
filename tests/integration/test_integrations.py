"""The examples of docs/integrations, with the real LiveKit Agents and Pipecat, against a running service."""

from pathlib import Path

import pytest

from tests.integration.api_clients import wav_of
from tests.plugins.running import INSTALLED, printed
from tests.speech import SENTENCES, synthesise
from tests.stack import Stack

pytestmark = pytest.mark.skipif(not INSTALLED.exists(), reason="`make .venv-plugins/installed` has not been run")


@pytest.mark.parametrize("program", ["livekit_stt", "pipecat_stt"])
def test_example_prints_interim_text_finals_and_turns(program: str, stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(wav_of(synthesise(SENTENCES[7])))
    for _, way, lines in printed(stack.web_url, program, file):
        kinds = [line.partition(": ")[0] for line in lines]
        assert kinds[0] == "interim", way
        assert kinds[-2:] == ["final", "turn"], way
        assert lines[-2].removeprefix("final: ") == lines[-1].removeprefix("turn: "), way
