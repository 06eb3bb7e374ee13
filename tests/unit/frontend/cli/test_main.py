"""Usage of the command line: what is refused before anything is done, and help."""

import re
from typing import Any

import click
import pytest
from click.testing import CliRunner

from frontend.access.key_list import parse_keys
from frontend.access.tokens import digest
from frontend.cli.choices import Choices, choice_options
from frontend.cli.main import cli


@pytest.mark.parametrize(
    "arguments",
    [
        ["transcribe"],
        ["transcribe", "--format", "docx", "a.wav"],
        ["transcribe", "--format", "srt", "a.wav", "b.wav"],
        ["transcribe", "--format", "vtt", "--mode", "general", "a.wav"],
        ["transcribe", "--url", "localhost:8765", "a.wav"],
        ["transcribe", "--mode", "summarise", "a.wav"],
        ["transcribe", "--captions", "http://host:8000", "a.wav"],
        ["transcribe", "--live", "--captions", "a.wav", "b.wav"],
        ["listen", "--captions", "ws://host:8000"],
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


@pytest.mark.parametrize("command", ["transcribe", "listen", "status", "doctor"])
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
        seen.append(Choices(**choices))

    CliRunner().invoke(command, ["--languages", "en, German,en", "--commit-delay", "accurate"])
    CliRunner().invoke(command, ["--languages", "auto"])

    assert (seen[0].languages, seen[0].commit_delay) == (("en", "de"), "accurate")
    assert seen[0].spoken == {
        "mode": "transcribe", "language": None, "languages": ("en", "de"), "prompt": None, "model": None
    }  # fmt: skip
    assert seen[1] == Choices("transcribe")
