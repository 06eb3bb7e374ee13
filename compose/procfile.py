"""The Procfile: one process per line, `name: command`. honcho, foreman and RunPod read the same file."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StartupError

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    """Additional environment variables."""


def read_procfile(path: Path) -> list[Program]:
    """The programs in the order of the file. Raises a `StartupError` that names an invalid line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StartupError(f"The Procfile {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise StartupError(f"The Procfile {path} cannot be read: it is not UTF-8.") from None
    programs: dict[str, Program] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        command = _words(match[2]) if match else ()
        if match is None or match[1] in programs or not command:
            raise StartupError(f"Line {number} of {path} is {line.strip()!r}; allowed: a new name, a colon, a command.")
        programs[match[1]] = Program(match[1], command)
    return list(programs.values())


def _words(command: str) -> tuple[str, ...]:
    """Those of a command; none if a quotation mark is not closed."""
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return ()


def scaled(
    programs: list[Program], name: str, copies: int, environments: Sequence[Mapping[str, str]] = ()
) -> list[Program]:
    """The programs with `copies` of the named one: `worker.1`, `worker.2`, … if there are several.

    The copies take `environments` in turn.
    """
    if copies == 1:
        return programs
    return [
        copy
        for program in programs
        for copy in (
            [
                Program(f"{name}.{number}", program.command, _in_turn(environments, number))
                for number in range(1, copies + 1)
            ]
            if program.name == name
            else [program]
        )
    ]


def _in_turn(environments: Sequence[Mapping[str, str]], number: int) -> tuple[tuple[str, str], ...]:
    return tuple(environments[(number - 1) % len(environments)].items()) if environments else ()
