"""Usage of the command line: what is refused before anything is done, and help."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from frontend.access.key_list import parse_keys
from frontend.access.tokens import digest
from frontend.cli.choices import Choices, choice_options
from frontend.cli.failures import OutputError, ServiceError, SourceError, failure
from frontend.cli.main import cli
from frontend.protocols.options import WORDING
from shared.errors import InvalidAudioError, StartupError
from tests.stack import PROJECT
from voxtral_client import ConnectionLostError, ServerError, UnreachableError


@pytest.mark.parametrize(
    "arguments",
    [
        ["transcribe"],
        ["transcribe", "--format", "docx", "a.wav"],
        ["transcribe", "--format", "srt", "a.wav", "b.wav"],
        ["transcribe", "--format", "vtt", "--mode", "general", "a.wav"],
        ["transcribe", "--url", "localhost", "a.wav"],
        ["transcribe", "--language", "klingon", "a.wav"],
        ["transcribe", "--redact", "names", "a.wav"],
        ["transcribe", "--profanity", "shout", "a.wav"],
        ["transcribe", "--sample-rate", "8000", "-"],
        ["transcribe", "--encoding", "mp3", "-"],
        ["transcribe", "--encoding", "pcmu", "--sample-rate", "1", "-"],
        ["transcribe", "--encoding", "pcmu", "--sample-rate", "0", "-"],
        ["transcribe", "--encoding", "pcmu", "--channels", "0", "-"],
        ["transcribe", "--encoding", "pcmu", "--channels", "3", "-"],
        ["transcribe", "--live", "--encoding", "pcmu", "http://127.0.0.1:1/a.raw"],
        ["transcribe", "--format", "all", "a.wav"],
        ["transcribe", "--format", "all", "-o", ".", "--mode", "general", "a.wav"],
        ["transcribe", "-o", "a.docx", "a.wav"],
        ["serve", "--workers", "0"],
        ["completion", "tcsh"],
        ["models", "--url", "host"],
        ["models", "--ca-file", "none.pem"],
        ["transcribe", "--mode", "summarise", "a.wav"],
        ["transcribe", "--captions", "a.wav"],
        ["transcribe", "--languages", "en,", "a.wav"],
        ["transcribe", "--languages", "en,klingon", "a.wav"],
        ["transcribe", "--commit-delay", "fast", "a.wav"],
        ["listen", "--commit-delay", "soon"],
        ["keys", "new", "--name", "an na"],
        ["keys", "new", "--name", "a b{"],
        ["keys", "new", "--name", ""],
        ["keys", "new", "--name", "anna", "--expires", "soon"],
        ["keys", "new", "--name", "anna", "--expires", "2026-01-31"],
        ["keys", "new", "--name", "anna", "--expires", "0d"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, arguments)

    assert done.exit_code == 2
    assert "Usage:" in done.stderr


def test_new_key_says_what_a_name_may_hold() -> None:
    done = CliRunner().invoke(cli, ["keys", "new", "--name", "a b{"])

    assert "'name' is 'a b{'; allowed: 1 to 64 letters, digits, dots, dashes and underscores." in done.stderr


@pytest.mark.parametrize("name", ["anna", "1", "-", "---", "...", "-.a_1", "null"])
def test_new_key_prints_its_line_alone_on_standard_output(name: str) -> None:
    done = CliRunner().invoke(cli, ["keys", "new", f"--name={name}", "--expires", "90d", "--sessions", "4"])

    assert done.exit_code == 0
    (key,) = re.findall(r"vox_\S+", done.stderr)
    (listed,) = parse_keys(done.stdout, "keys.yaml")
    assert (listed.name, listed.digest, listed.limits.sessions) == (name, digest(key), 4)
    assert key not in done.stdout


@pytest.mark.parametrize("command", ["transcribe", "listen", "serve", "status", "models", "doctor", "completion"])
def test_help_describes_every_option(command: str) -> None:
    done = CliRunner().invoke(cli, [command, "--help"])

    assert done.exit_code == 0
    assert f"Usage: cli {command}" in done.stdout


def test_version_is_shown() -> None:
    assert CliRunner().invoke(cli, ["--version"]).stdout.startswith("voxtral, version ")


def test_what_is_chosen_reaches_the_session_and_the_request() -> None:
    seen: list[Choices] = []

    @click.command()
    @choice_options
    def command(**choices: Any) -> None:
        seen.append(Choices.of(choices))

    CliRunner().invoke(command, ["--languages", "en, German,en", "--commit-delay", "accurate", "--language", "english"])
    CliRunner().invoke(command, ["--languages", "auto", "--no-numerals", "--redact", "cards,phones"])
    CliRunner().invoke(command, ["--profanity", "mask", "--filler-words", "drop", "--redact-terms", "Anna, Acme Ltd"])
    CliRunner().invoke(command, ["--keyterms", "Kowalczyk, Ann  Lee"])

    assert (seen[0].others["languages"], seen[0].others["language"]) == (("en", "de"), "en")
    assert seen[0].of_sessions["commit_delay"] == "accurate"
    assert "commit_delay" not in seen[0].of_requests
    assert seen[0].of_requests["mode"] == "transcribe"
    assert seen[1].others["languages"] is None
    assert (seen[1].others["numerals"], seen[1].others["redact"]) == (False, ("cards", "phones"))
    assert {name: seen[2].others[name] for name in WORDING} == {
        "numerals": None,
        "profanity": "mask",
        "filler_words": "drop",
        "redact": None,
        "redact_terms": ("Anna", "Acme Ltd"),
        "revise": None,
    }
    assert [one["term"] for one in seen[3].of_requests["keyterms"]] == ["Kowalczyk", "Ann Lee"]


@pytest.mark.parametrize(
    ("shell", "part"), [("zsh", "#compdef voxtral"), ("fish", "complete --no-files --command voxtral")]
)
def test_completion_prints_the_script_of_the_shell(shell: str, part: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])

    assert done.exit_code == 0
    assert part in done.stdout
    assert "_VOXTRAL_COMPLETE" in done.stdout


def test_serve_shows_the_settings_with_their_defaults() -> None:
    assert CliRunner().invoke(cli, ["serve", "--show-config"]).stdout == (PROJECT / "config.yaml").read_text()


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.wav")
    done = CliRunner().invoke(cli, ["speakers", "enroll", "Ann", missing])

    assert (done.exit_code, done.stderr) == (1, f"Error: {missing}: No such file or directory.\n")


def test_hint_to_start_a_service_is_given_only_if_none_listens() -> None:
    refused = UnreachableError("ws://host", "connection refused", cause=ConnectionRefusedError())
    unknown = UnreachableError("ws://host", "Name or service not known", cause=OSError())

    assert "Start one with `voxtral serve`" in str(failure(refused, has_key=True))
    assert str(failure(unknown, has_key=True)) == str(unknown)


@pytest.mark.parametrize(
    ("status", "body", "is_wrong"),
    [
        (404, b"", True),
        (426, b"Use wss://.", True),
        (403, b"", True),
        (403, b"Not from here.", False),
        (503, b"", False),
    ],
)
def test_hint_to_another_port_is_given_only_for_statuses_of_a_wrong_address(
    status: int, body: bytes, is_wrong: bool
) -> None:
    cause = InvalidStatus(Response(status, "", Headers(), body))
    error = UnreachableError("ws://host", str(cause), status, cause=cause)

    assert ("--url names the page" in str(failure(error, has_key=True))) == is_wrong


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnreachableError("ws://host", "refused"), 3),
        (ConnectionLostError("ws://host", "cut"), 3),
        (ServiceError("no"), 3),
        (ServerError("server_busy", "busy"), 4),
        (ServerError("unauthorized", "key"), 4),
        (ServerError("invalid_audio", "no samples"), 1),
        (InvalidAudioError("no samples"), 1),
        (SourceError("not found"), 1),
        (OutputError("two"), 2),
        (StartupError("setting"), 1),
    ],
)
def test_exit_status_says_whose_fault_it_was(error: Exception, status: int) -> None:
    assert failure(error, has_key=True).exit_code == status
