"""`voxtral speakers`: the voices of known speakers, which the user keeps."""

import click

from frontend.cli.commands.command import Command
from frontend.cli.commands.connection import Service, service_options
from frontend.cli.speakers import ALL
from frontend.protocols.options import MAX_SPEAKER_NAME_CHARS


@click.group()
def speakers() -> None:
    """Keep the voices of speakers to recognise: their embeddings, in a file of yours."""


def _checked_name(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= MAX_SPEAKER_NAME_CHARS or "," in name or name == ALL or not name.isprintable():
        raise click.BadParameter(f"allowed: 1 to {MAX_SPEAKER_NAME_CHARS} characters without commas, not {ALL!r}.")
    return name


@speakers.command(cls=Command)
@click.argument("name", callback=_checked_name)
@click.argument("file", type=click.Path(allow_dash=True))
@service_options
def enroll(*, service: Service, name: str, file: str) -> None:
    """Add NAME, whose voice a recording has; its first 10 s are used. The recording itself is not kept."""
    from frontend.cli.interrupts import run_interruptible
    from frontend.cli.speakers import enroll as enroll_speaker
    from frontend.cli.speakers import speakers_path

    run_interruptible(enroll_speaker(name, file, url=service.websocket_url, key=service.key, tls=service.tls))
    click.echo(f"Enrolled {name} in {speakers_path()}.")


@speakers.command(cls=Command, name="list")
def list_speakers() -> None:
    """Print the names of the enrolled speakers."""
    from frontend.cli.speakers import enrolled

    for name in enrolled():
        click.echo(name)


@speakers.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(*, names: tuple[str, ...]) -> None:
    """Delete the voices of speakers."""
    from frontend.cli.speakers import remove as remove_speakers

    remove_speakers(names)
