"""Options of a session on the command line: those of `transcribe` and of `listen`, from the table of the protocols."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeAlias

import click

from frontend.cli.speakers import ALL, known_speakers
from frontend.protocols import keyterms
from frontend.protocols.kinds import Choice, Flag
from frontend.protocols.options import OPTIONS, SPEAKERS, WORDING, Option, parse_text
from shared.errors import InvalidFieldError
from shared.session_options import CommitDelay, Mode


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of one command. None leaves the choice to the server."""

    mode: str = Mode.TRANSCRIBE.value
    commit_delay: str | None = None
    """Of live sessions."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Named as in the table; `known_speakers` are names of enrolled speakers, or `all`."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Choices":
        """From the arguments of a command with `choice_options`."""
        others = {name: value for name, value in given.items() if name not in ("mode", "commit_delay")}
        return cls(given["mode"], given["commit_delay"], others)

    @property
    def names_speakers(self) -> bool:
        return any(self.others.get(name) for name in SPEAKERS)

    @property
    def of_requests(self) -> dict[str, Any]:
        """Arguments of the client's `transcribe`. Raises SpeakersError if a known speaker is not enrolled."""
        names = self.others.get("known_speakers")
        known = known_speakers(names) if names else None
        speakers = {"diarize": self.names_speakers or None, "known_speakers": known or None}
        return {"mode": self.mode, **self.others, **speakers}

    @property
    def of_sessions(self) -> dict[str, Any]:
        """Arguments of the client's `live`, with the same error."""
        return {**self.of_requests, "commit_delay": self.commit_delay}


def _checked(name: str) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Checks a value as the server would, before anything is sent."""

    def check(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
        try:
            return parse_text(name, text, OPTIONS[name].kind)
        except InvalidFieldError as error:
            raise click.BadParameter(str(error)) from None

    return check


def _terms(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    return keyterms.written(_checked("keyterms")(context, parameter, text))


def _names(_context: click.Context, _parameter: click.Parameter, listed: str | None) -> tuple[str, ...] | None:
    return None if listed is None else tuple(name.strip() for name in listed.split(",") if name.strip())


_Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
_NAMED: tuple[_Decorator, ...] = (
    click.option(
        "--language",
        metavar="LANGUAGE",
        callback=_checked("language"),
        help="A code or an English name: en, en-US, english, ….  [default: detected]",
    ),
    click.option(
        "--languages",
        metavar="LANGUAGE,…",
        callback=_checked("languages"),
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
    click.option(
        "--keyterms",
        metavar="TERM,…",
        callback=_terms,
        help="Words and names that the model prefers if it may hear them.",
    ),
    click.option("--diarize", is_flag=True, help="Name the speakers: A, B, ….  [implied by the next two]"),
    click.option(
        "--max-speakers",
        metavar="N",
        callback=_checked("max_speakers"),
        help="Most speakers, of each channel if channels are separate.  [default: the server's]",
    ),
    click.option(
        "--known-speakers",
        metavar="NAME,…",
        callback=_names,
        help=f"Enrolled speakers to recognise, or '{ALL}'; see voxtral speakers.",
    ),
)


def _from_table(option: Option) -> _Decorator:
    """How text is written: the option of the command for an option of the table."""
    name = f"--{option.name.replace('_', '-')}"
    text = option.description.replace("`", "")
    if isinstance(option.kind, Flag):
        return click.option(f"{name}/--no-{name[2:]}", default=None, help=text)
    if isinstance(option.kind, Choice):
        return click.option(name, type=click.Choice([str(value) for value in option.kind.of]), help=text)
    allowed = "" if option.kind.schema()["type"] != "array" else f" Separated by commas: {option.kind.allowed}."
    return click.option(
        name, metavar="VALUE,…" if allowed else "VALUE", callback=_checked(option.name), help=text + allowed
    )


def choice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for each field of `Choices`, by its name."""
    wording = [_from_table(OPTIONS[name]) for name in WORDING]
    return reduce(lambda decorated, option: option(decorated), reversed((*_NAMED, *wording)), command)
