"""The examples of docs/integrations, with the real LiveKit Agents and Pipecat, against a running service."""

from pathlib import Path

import pytest

from tests.integration.api_clients import wav_of
from tests.plugins.running import INSTALLED, printed_by
from tests.speech import SENTENCES, synthesise
from tests.stack import Stack

pytestmark = pytest.mark.skipif(not INSTALLED.exists(), reason="`make .venv-plugins/installed` has not been run")


@pytest.mark.parametrize("program", ["livekit_stt", "pipecat_stt"])
def test_example_prints_interim_text_finals_and_turns(program: str, stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(wav_of(synthesise(SENTENCES[9])))
    url = stack.web_url if program == "livekit_stt" else stack.web_url.replace("http", "ws", 1)
    printed = printed_by(program, file, url=url)
    assert [way.partition(", ")[2] for _, way, _ in printed] == ["openai", "deepgram"]
    for _, way, lines in printed:
        kinds = [line.partition(": ")[0] for line in lines]
        assert kinds[-2:] == ["final", "turn"], way
        assert set(kinds[:-2]) == {"interim"} or way == "Pipecat, deepgram", way  # it needs two partials
        assert lines[-2].removeprefix("final: ") == lines[-1].removeprefix("turn: "), way
