"""What commands show on a terminal and without one."""

import io
import sys

import pytest

from frontend.cli.screen import LiveScreen, PlainScreen, ProgressScreen, clock, screen_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """One terminal for stdout and stderr, from here to the end of the test."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return screen


@pytest.mark.parametrize(("time_s", "shown"), [(0, "0:00"), (65.9, "1:05"), (3723, "1:02:03")])
def test_clock_reads_as_people_write_it(time_s: float, shown: str) -> None:
    assert clock(time_s) == shown


@pytest.mark.parametrize("live", [True, False])
def test_screen_without_a_terminal_writes_finals_only(live: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with screen_for("a.wav", live=live, text=True) as screen:
        screen.partial("the quick")
        screen.progress(1.0, 2.0)
        screen.final("The quick brown fox.")

    assert capsys.readouterr() == ("The quick brown fox.\n", "")


def test_screen_keeps_stdout_for_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainScreen(text=False) as screen:
        screen.final("The quick brown fox.")

    assert capsys.readouterr() == ("", "")


def test_live_screen_shows_partials_in_grey_and_finals_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with screen_for("a.wav", live=True, text=True) as screen:
        assert isinstance(screen, LiveScreen)
        screen.partial("the quick")
        screen.partial("the [quick brown", "the [quick")
        screen.final("The [quick] brown fox. " * 10)

    shown = terminal.getvalue()
    assert "\x1b[90mthe quick\x1b[0m" in shown
    assert "the [quick\x1b[90m brown\x1b[0m" in shown
    assert "The [quick] brown fox. " * 10 in shown  # neither wrapped nor taken for markup


def test_progress_screen_shows_how_much_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with screen_for("a[1].wav", live=False, text=True) as screen:
        assert isinstance(screen, ProgressScreen)
        screen.final("Hello.")
        screen.progress(30.0, 60.0)

    shown = terminal.getvalue()
    assert "Hello.\n" in shown
    assert "a[1].wav" in shown
    assert "0:30 of 1:00" in shown
