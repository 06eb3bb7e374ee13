"""The command line as users run it, against a real service: recordings to text, usage, errors."""

import json
import re
import signal
import subprocess
import time
import urllib.request
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.bench.scoring import normalised
from tests.command import RUN_TIMEOUT_S, VOXTRAL, counted_s, run, run_on_terminal, running
from tests.limits import limit_s
from tests.speech import SENTENCES, synthesise
from tests.stack import Stack, free_ports


def write_wav(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    """Twelve seconds that the echo engine counts."""
    return write_wav(tmp_path / "quiet.wav", np.zeros(12 * 16_000))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One spoken sentence: `SENTENCES[0]`."""
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", synthesise(SENTENCES[0], seed=1))


def test_transcribe_prints_text(stack: Stack, quiet: Path) -> None:
    done = run(stack, "transcribe", quiet)

    assert (done.returncode, done.stderr) == (0, "")
    assert counted_s(done.stdout) == pytest.approx(12)


def test_transcribe_reads_pipes(stack: Stack, quiet: Path) -> None:
    command = f"{VOXTRAL} transcribe <(cat {quiet}) /dev/stdin"
    with quiet.open("rb") as file:
        cat = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
        done = subprocess.run(
            ["bash", "-c", command],
            env=stack.env,
            stdin=cat.stdout,
            capture_output=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
        cat.communicate()

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"==> /dev/") == 2
    assert counted_s(done.stdout.decode()) == pytest.approx(24)


def test_transcribe_prints_json(stack: Stack, quiet: Path) -> None:
    done = run(stack, "transcribe", "--format", "json", quiet)

    document = json.loads(done.stdout)
    assert (done.returncode, document["file"]) == (0, str(quiet))
    assert document["duration"] == pytest.approx(12)
    assert document["segments"][-1]["end"] == pytest.approx(12)
    assert document["segments"][0]["words"]


@pytest.mark.parametrize(
    ("text_format", "head"), [("srt", "1\n00:00:00,000 --> 00:00:"), ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:")]
)
def test_transcribe_prints_captions(stack: Stack, quiet: Path, text_format: str, head: str) -> None:
    done = run(stack, "transcribe", "--format", text_format, quiet)

    assert done.returncode == 0
    assert done.stdout.startswith(head)


def test_transcribe_continues_after_a_broken_file(stack: Stack, quiet: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(quiet.read_bytes()[:40])
    missing = tmp_path / "missing.wav"

    done = run(stack, "transcribe", broken, missing, quiet)

    assert done.returncode == 1
    assert counted_s(done.stdout) == pytest.approx(12)
    complaints = done.stderr.splitlines()
    assert complaints[0].startswith(f"{broken}: ")
    assert complaints[1] == f"{missing}: No such file or directory."
    assert len(complaints) == 2


def test_transcribe_reads_standard_input(stack: Stack, quiet: Path) -> None:
    done = run(stack, "transcribe", "-", stdin=quiet.read_bytes())

    assert done.returncode == 0
    assert counted_s(done.stdout) == pytest.approx(12)


def test_transcribe_writes_a_folder(stack: Stack, quiet: Path, tmp_path: Path) -> None:
    done = run(stack, "transcribe", "--format", "srt", "-o", tmp_path / "out", quiet, "-", stdin=quiet.read_bytes())

    assert (done.returncode, done.stdout) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["quiet.srt", "stdin.srt"]


def test_transcribe_writes_nothing_for_a_file_that_failed(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")

    done = run(stack, "transcribe", "-o", tmp_path / "out.txt", tmp_path / "broken.wav")

    assert done.returncode == 1
    assert not (tmp_path / "out.txt").exists()


def test_transcribe_asks_about_a_whole_recording(stack: Stack, quiet: Path) -> None:
    done = run(stack, "transcribe", "--mode", "understand", "--prompt", "What?", "--format", "json", quiet)

    document = json.loads(done.stdout)
    assert (done.returncode, document["mode"], document["segments"]) == (0, "understand", [])
    assert document["text"]
    assert document["duration"] == pytest.approx(12)


@pytest.mark.parametrize("mode", ["transcribe", "understand"])
def test_transcribe_asks_for_a_model(stack: Stack, quiet: Path, mode: str) -> None:
    served = run(stack, "transcribe", "--mode", mode, "--model", "echo", quiet)
    refused = run(stack, "transcribe", "--mode", mode, "--model", "other", quiet)

    assert (served.returncode, refused.returncode) == (0, 4)
    assert "model is 'other'; allowed: auto, echo." in refused.stderr


def test_transcribe_live_takes_as_long_as_the_recording(stack: Stack, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "short.wav", np.zeros(2 * 16_000))

    begun_s = time.monotonic()
    done = run(stack, "transcribe", "--live", path)

    assert time.monotonic() - begun_s >= 2.0
    assert (done.returncode, counted_s(done.stdout)) == (0, pytest.approx(2))


def test_transcribe_live_prints_the_link_of_its_captions(stack: Stack, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "short.wav", np.zeros(16_000))

    done = run(stack, "transcribe", "--live", "--captions", "--url", f"{stack.web_url}/", path)

    link = re.fullmatch(rf"Captions: {stack.web_url}/captions\?session=(\w+)#token=(\S+)\n", done.stderr)
    assert link is not None, done.stderr
    assert counted_s(done.stdout) == pytest.approx(1)
    session_id, token = link.groups()
    url = f"{stack.web_url}/v1/sessions/{session_id}/transcript.txt?token={token}"
    with urllib.request.urlopen(url, timeout=limit_s(5)) as response:
        assert counted_s(response.read().decode()) == pytest.approx(1)


def test_transcribe_hands_languages_and_the_commit_delay_to_the_session(whisper_stack: Stack, speech: Path) -> None:
    chosen = ["--languages", "de,en", "--format", "json"]
    done = run(whisper_stack, "transcribe", "--live", *chosen, "--commit-delay", "fast", speech)
    outside = run(whisper_stack, "transcribe", *chosen, "--language", "fr", speech)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["language"] == "en"
    assert outside.returncode == 4
    assert "one of languages (de, en)" in outside.stderr


def test_transcribe_says_what_the_server_refuses(stack: Stack, quiet: Path) -> None:
    done = run(stack, "transcribe", "--language", "fr", "--languages", "en", quiet)

    assert done.returncode == 4
    assert "language" in done.stderr
    assert done.stderr.count("\n") == 1


def test_transcribe_without_a_server_says_where_and_how_to_start_it(stack: Stack, quiet: Path) -> None:
    url = f"ws://127.0.0.1:{free_ports(1)[0]}"

    done = run(stack, "transcribe", "--url", url, quiet, quiet)

    assert (done.returncode, done.stdout.startswith("{")) == (3, False)
    assert url in done.stderr
    assert "voxtral serve" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["transcribe"], ["models"], ["status"]])
def test_one_address_serves_every_command(stack: Stack, quiet: Path, command: list[str]) -> None:
    files = [quiet] if command == ["transcribe"] else []
    page = stack.web_url.removeprefix("http://")
    for address in (stack.web_url, page, stack.ws_url, f"ws://{page}/ws", stack.ws_url.removeprefix("ws://")):
        done = run(stack, *command, *files, VOXTRAL_URL=address, http_proxy="http://127.0.0.1:1")
        assert (done.returncode, done.stderr) == (0, ""), address
        assert "echo" in done.stdout or counted_s(done.stdout) == pytest.approx(12)


def test_transcribe_makes_no_folder_for_a_single_file(stack: Stack, quiet: Path, tmp_path: Path) -> None:
    done = run(stack, "transcribe", quiet, "-o", tmp_path / "none" / "x.txt")

    assert (done.returncode, done.stdout) == (2, "")
    assert f"The folder {tmp_path / 'none'} of --output" in done.stderr
    assert not (tmp_path / "none").exists()
    assert run(stack, "transcribe", quiet, "-o", f"{tmp_path}/none/").returncode == 0
    assert (tmp_path / "none" / "quiet.txt").exists()


def test_transcribe_with_a_bad_setting_names_it(stack: Stack, quiet: Path) -> None:
    done = run(stack, "transcribe", quiet, VOXTRAL_MODEL__SLOTS="many")

    assert done.returncode == 1
    assert "model.slots" in done.stderr


def test_transcribe_can_be_interrupted_quietly(stack: Stack, quiet: Path) -> None:
    earlier = stack.received_s()
    with running(stack, "transcribe", "--live", quiet, quiet) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the name of the first file: it is being heard
        stack.receives(0.3, earlier)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=limit_s(10))

    assert (process.returncode, output, errors) == (130, b"", b"")


def test_transcribe_ends_quietly_when_the_reader_is_gone(stack: Stack, quiet: Path) -> None:
    with running(stack, "transcribe", quiet) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()

        assert (process.wait(limit_s(RUN_TIMEOUT_S)), errors) == (141, b"")


def test_transcribe_shows_a_progress_bar_on_a_terminal(stack: Stack, quiet: Path) -> None:
    status, shown = run_on_terminal(stack, "transcribe", quiet)

    assert status == 0
    assert "quiet.wav" in shown
    assert counted_s(shown) == pytest.approx(12)


def test_transcribe_turns_recorded_speech_into_text(whisper_stack: Stack, speech: Path) -> None:
    done = run(whisper_stack, "transcribe", "--language", "en", "--format", "json", speech)

    document = json.loads(done.stdout)
    assert "station at 7" in " ".join(normalised(document["text"]))
    assert document["language"] == "en"
    words = [word for segment in document["segments"] for word in segment["words"]]
    assert len(words) == len(SENTENCES[0].split())
    assert all(word["start"] <= word["end"] for word in words)


def test_transcribe_live_shows_words_in_grey_until_they_are_final(whisper_stack: Stack, speech: Path) -> None:
    status, shown = run_on_terminal(whisper_stack, "transcribe", "--live", "--language", "en", speech)

    assert status == 0
    assert re.search(r"\x1b\[90m[^\x1b]*train", shown)
    final = shown.rpartition("\x1b[90m")[2].partition("\x1b[0m")[2]
    assert "station at 7" in " ".join(normalised(final))


def test_debug_shows_where_an_error_comes_from(stack: Stack) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    command = [VOXTRAL, "--debug", "status", "--url", url]
    done = subprocess.run(command, env=stack.env, cwd=stack.folder, capture_output=True, check=False)

    assert b"Traceback" in done.stderr
