"""Standard output with colours and tables, for commands that show more than text."""

import sys
from typing import Final, NoReturn

from rich.console import Console

PIPE_COLUMNS: Final = 200
"""Width without a terminal, where lines should not be wrapped."""


class _Output(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError  # rich would exit with 1; `frontend.cli.main` ends all commands in the same way


def output(*, soft_wrap: bool = False) -> Console:
    """With `soft_wrap` the terminal breaks lines, wherever its window ends."""
    return _Output(highlight=False, soft_wrap=soft_wrap, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
