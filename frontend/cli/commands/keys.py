"""`voxtral keys`: keys for one's own service."""

import click

from frontend.cli.commands.command import Command


@click.group()
def keys() -> None:
    """Create keys for your own service."""


@keys.command(cls=Command)
@click.option("--name", required=True, help="Name of the key: letters, digits, dots, dashes and underscores.")
@click.option("--expires", metavar="WHEN", help="Days such as 90d, or a time such as 2027-01-31.  [default: never]")
@click.option("--sessions", type=click.IntRange(min=1), help="Limit of concurrent sessions.")
@click.option("--audio-s-per-minute", type=click.IntRange(min=1), help="Limit of audio per minute, in seconds.")
@click.option("--requests-per-minute", type=click.IntRange(min=1), help="Limit of requests per minute.")
@click.option("--upload-bytes", type=click.IntRange(min=1), help="Limit of the size of a recording.")
@click.option("--operator", is_flag=True, help="It may end sessions and drain workers on the page of operators.")
def new(*, name: str, expires: str | None, operator: bool, **limits: int | None) -> None:
    """Print a new key, and its line for the file access.keys_file. The key itself is not stored.

    Only the line goes to standard output: `voxtral keys new --name anna >> keys.yaml`.
    """
    from frontend.cli.keys import new_key

    key, line = new_key(name, expires, limits, operator=operator)
    click.echo(f"Key (shown only once): {key}", err=True)
    click.echo("Line for the list of keys (standard output):", err=True)
    click.echo(line)
