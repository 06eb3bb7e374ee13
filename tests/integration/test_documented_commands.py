"""The commands and Python examples of the documentation do what it says, against a running service."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from shared.webhooks.signing import encoded
from tests.documentation import PAGES, PROJECT, blocks, commands
from tests.integration.native_clients import tone, wav
from tests.integration.node import needs_node, printed_by
from tests.integration.viewers import Speaker
from tests.limits import limit_s
from tests.stack import Stack
from tests.telephony import LOUD, streaming, tell
from tests.unit.frontend.protocols.telephony.messages import STOP, STREAM, start, twilio_media

NOT_RUN: Final = {
    "make run": "starts a service; tests/integration/test_launch.py does that",
    "make .venv/installed-base": "is how the tests were installed",
    ".venv/bin/voxtral keys new --name anna >> /workspace": "needs that folder; without it the same command is run",
    "VOXTRAL_ACCESS__KEYS_FILE=keys.yaml make run": "starts a service, as well",
    "VOXTRAL_SERVER__HOST=0.0.0.0 ": "the same",
    "VOXTRAL_TRACING__OTLP_ENDPOINT=": "the same",
    "VOXTRAL_WEBHOOKS__ENABLED=true": "the same",
    "(cd frontend/client-js && npm install": "installs a compiler; tests/integration/test_javascript_client.py packs",
    "npm install": "the same",
    "prometheus ": "runs until it is stopped; tests/integration/test_prometheus.py starts it",
    "VOXTRAL_MODEL__NAME=": "needs a model that is not installed",
    "export ": "only sets variables",
    "docker ": "needs Docker",
    "kubectl ": "needs a cluster",
    "helm ": "the same; tests/integration/test_helm_chart.py renders the chart",
    "sudo ": "changes the machine; tests/systemd does the same in namespaces",
    "curl https://rest.runpod.io": "needs an account",
    "REDIS_URL=redis://main-host": "needs another machine",
    ".venv/bin/hf download": "downloads 1.6 GB",
    ".venv/bin/pip install": "changes the environment that runs the tests",
    "voxtral listen": "needs a microphone",
    "voxtral serve": "starts a service; tests/integration/test_wheel.py does that",
    "voxtral transcribe http://127.0.0.1:8080": "needs a web server; tests/integration/test_cli_sources.py has one",
    "voxtral transcribe --live https://": "needs a stream; the same has one",
    "ffmpeg ": "is another program; the same has pipes",
    "uv tool install": "installs the project",
    "pip install": "changes the environment that runs the tests",
    "voxtral transcribe talk.wav --mode understand": "needs Voxtral 3B",
    ".venv/bin/python -m tests.gpu": "needs a GPU",
    "cat keys.yaml": "shows a file",
    "python -m livekit.agents": "needs a LiveKit server; tests/integration/test_integrations.py runs the agent",
    "VOXTRAL_URL=": "needs a microphone; the same runs the bot",
}
RUN: Final = sorted({command for page in PAGES for command in commands(page) if not command.startswith(tuple(NOT_RUN))})
EXAMPLES: Final = [
    (page, block)
    for page in (
        "README.md",
        "docs/apis.md",
        "docs/python-client.md",
        "docs/other-clients.md",
        "frontend/client/README.md",
    )
    for block in blocks(PROJECT / page)
    if block.language == "python" and "whisper_live" not in block.text  # which is not installed
]


def placed(text: str, stack: Stack) -> str:
    """The text with the addresses and the model of this service."""
    addressed = text.replace("http://127.0.0.1:8000", stack.web_url).replace("ws://127.0.0.1:8765", stack.ws_url)
    addressed = addressed.replace("127.0.0.1:8000", stack.web_url.removeprefix("http://"))
    addressed = addressed.replace("10300", str(stack.settings.wyoming.port))
    return addressed.replace('"whisper-1"', '"auto"').replace('"gpt-4o-transcribe-diarize"', '"auto"')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("speech.wav", "talk.wav", "talk.mp3", "call.wav"):
        (tmp_path / name).write_bytes(wav(1))
    (tmp_path / "webhook-secret.txt").write_text(encoded(bytes(32)))
    return tmp_path


@pytest.fixture(scope="module")
def session(stack: Stack) -> dict[str, str]:
    """The variables of a session and a call that have ended."""
    speaker = Speaker(stack)
    speaker.say()
    speaker.stop()
    with streaming(stack.web_url, "twilio") as call:
        tell(call, start(), twilio_media(LOUD), STOP)
        assert list(call) == []
    return {
        "STREAM_SID": STREAM,
        "SESSION_ID": speaker.session_id,
        "VIEWER_TOKEN": speaker.token,
        "RESUME_TOKEN": speaker.ready["resume_token"],
        "KEY": "none",
    }


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed (Debian and Ubuntu: apt install curl)")
@pytest.mark.parametrize("command", RUN)
def test_commands_succeed(command: str, stack: Stack, folder: Path, session: dict[str, str]) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    words = re.sub(r"^\.venv/bin/", "", placed(command, stack)).replace("curl ", "curl --silent --show-error --fail ")
    done = subprocess.run(
        ["bash", "-c", words],
        cwd=folder,
        env=stack.env | session | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=limit_s(60),
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the SDKs' examples close no client
@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")  # of OpenAI's
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example[0]}-{example[1].text.splitlines()[-1]}")
def test_python_examples_run(
    example: tuple[str, Any],
    stack: Stack,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    exec(compile(placed(example[1].text, stack), example[0], "exec"), {"pcm": tone(1), "rate": 16_000})
    printed = capsys.readouterr().out
    assert ("language is 'klingon'" if "klingon" in example[1].text else "1 seconds") in printed


@needs_node
def test_javascript_example_runs(stack: Stack) -> None:
    (example,) = (block for block in blocks(PROJECT / "README.md") if block.language == "javascript")
    speaking = """
        socket.addEventListener("open", () => { socket.send(new Int16Array(16000)); socket.send('{"type": "stop"}'); });
        socket.addEventListener("message", (event) => { if (JSON.parse(event.data).type === "done") socket.close(); });
    """
    kinds = re.findall(r"type: '(\w+)'", printed_by(placed(example.text, stack) + speaking))
    assert (kinds[0], kinds[-1]) == ("ready", "done")


def test_reasons_not_to_run_a_command_are_needed() -> None:
    shown = [command for page in PAGES for command in commands(page)]
    assert [start for start in NOT_RUN if not any(command.startswith(start) for command in shown)] == []
