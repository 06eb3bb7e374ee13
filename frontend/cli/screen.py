"""The output of a command: finished text on stdout, and on a terminal also progress.

On a terminal the unfinished line is grey as long as it may change, and becomes finished text. Without a terminal only
finished text is written, one line each, so that pipes receive nothing else. Knows no server and no file.
"""

import sys
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.text import Text


class Screen(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def partial(self, text: str, committed: str = "") -> None:
        """The unfinished text so far, and the beginning of it that will not change."""

    def final(self, text: str) -> None:
        """Finished text, which replaces the unfinished text."""

    def progress(self, heard_s: float, total_s: float) -> None:
        """How much of a recording has been processed, and its estimated length."""


class PlainScreen:
    """Finished text on stdout (if `text`), and nothing else."""

    def __init__(self, *, text: bool) -> None:
        self._text = text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def partial(self, text: str, committed: str = "") -> None: ...

    def final(self, text: str) -> None:
        if self._text:
            print(text, flush=True)

    def progress(self, heard_s: float, total_s: float) -> None: ...


class ProgressScreen(PlainScreen):
    """A progress bar on stderr. If stdout is the same terminal, text scrolls above the bar."""

    def __init__(self, name: str, *, text: bool) -> None:
        super().__init__(text=text)
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[heard]}", style="dim"),
            console=self._console,
            transient=True,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task(name, total=None, heard="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def final(self, text: str) -> None:
        if self._text and sys.stdout.isatty():
            self._console.print(Text(text), soft_wrap=True)
        else:
            super().final(text)

    def progress(self, heard_s: float, total_s: float) -> None:
        heard = f"{clock(heard_s)} of {clock(total_s)}"
        self._bar.update(self._task, completed=heard_s, total=max(total_s, heard_s), heard=heard)


class LiveScreen(PlainScreen):
    """A terminal on which words appear in grey and become final."""

    def __init__(self) -> None:
        super().__init__(text=True)
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, transient=True, auto_refresh=False, vertical_overflow="visible")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def partial(self, text: str, committed: str = "") -> None:
        self._live.update(Text.assemble(committed, (text[len(committed) :], "bright_black")), refresh=True)

    def final(self, text: str) -> None:
        self._live.update(Text(""), refresh=True)
        self._console.print(Text(text), soft_wrap=True)


def screen_for(name: str, *, live: bool, text: bool) -> Screen:
    """The screen for this terminal, or for none. `text` says whether text is written to stdout."""
    if live and text and sys.stdout.isatty():
        return LiveScreen()
    if not live and sys.stderr.isatty():
        return ProgressScreen(name, text=text)
    return PlainScreen(text=text)


def clock(time_s: float) -> str:
    """A time in the usual form: 1:05, 1:02:03."""
    minutes, seconds = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
