"""Options of a session on the command line: those of `transcribe` and of `listen`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypedDict

import click

from frontend.protocols.options import OPTIONS, parse_text
from shared.errors import InvalidFieldError
from shared.events import CommitDelay, Mode


class Spoken(TypedDict):
    """Options of sessions and of requests, as arguments of the client."""

    mode: str
    language: str | None
    languages: tuple[str, ...] | None
    prompt: str | None
    model: str | None


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of one command. None leaves the choice to the server."""

    mode: str
    language: str | None = None
    languages: tuple[str, ...] | None = None
    prompt: str | None = None
    model: str | None = None
    commit_delay: str | None = None
    """Of live sessions."""

    @property
    def spoken(self) -> Spoken:
        return Spoken(
            mode=self.mode, language=self.language, languages=self.languages, prompt=self.prompt, model=self.model
        )


def _listed(_context: click.Context, _option: click.Parameter, listed: str | None) -> tuple[str, ...] | None:
    try:
        languages: tuple[str, ...] | None = parse_text("languages", listed, OPTIONS["languages"].kind)
        return languages
    except InvalidFieldError as error:
        raise click.BadParameter(str(error)) from None


_OPTIONS = (
    click.option("--language", metavar="CODE", help="en, en-US, english, ….  [default: detected]"),
    click.option(
        "--languages",
        metavar="CODE,…",
        callback=_listed,
        help="The only languages to detect, such as en,de.  [default: all of the model's]",
    ),
    click.option(
        "--mode", type=click.Choice([mode.value for mode in Mode]), default=Mode.TRANSCRIBE.value, show_default=True
    ),
    click.option("--prompt", help="Words to expect, or the question of the other modes."),
    click.option("--model", metavar="NAME", help="One of the running models.  [default: the best for the mode]"),
    click.option(
        "--commit-delay",
        type=click.Choice([delay.value for delay in CommitDelay]),
        help="How soon words of live speech are committed; later ones are more accurate.  [default: the server's]",
    ),
)


def choice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for each field of `Choices`, by its name."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)
