"""Usage of the command line: what is refused before anything is done, and help."""

import pytest
from click.testing import CliRunner

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
        ["keys", "new", "--name", "an na"],
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


@pytest.mark.parametrize("command", ["transcribe", "listen", "status", "doctor"])
def test_help_describes_every_option(command: str) -> None:
    done = CliRunner().invoke(cli, [command, "--help"])

    assert done.exit_code == 0
    assert f"Usage: cli {command}" in done.stdout


def test_version_is_shown() -> None:
    assert CliRunner().invoke(cli, ["--version"]).stdout.startswith("voxtral, version ")
