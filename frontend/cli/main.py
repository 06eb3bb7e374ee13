"""The command line `voxtral`: its commands and options, and the handling of errors.

Users see one sentence and an exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. `voxtral --debug` shows
tracebacks.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import click
import structlog

from frontend.cli.address import health_url, page_url, websocket_url
from frontend.cli.certificates import trusted
from frontend.cli.choices import Choices, choice_options
from frontend.cli.doctor import repair_store, run_doctor
from frontend.cli.keys import new_key
from frontend.cli.listen import MicrophoneError, listen
from frontend.cli.status import ServiceError, show_status
from frontend.cli.transcribe import Job, transcribe_all
from frontend.cli.transcript import SUFFIXES, OutputError
from frontend.client import ClientError, ServerError, UnreachableError
from shared.config import CA_VARIABLE, KEY_VARIABLE, AudioSettings, load_settings
from shared.errors import StartupError, UnauthorizedError
from shared.events import Mode
from shared.version import VERSION

START_HINT = "Start one with `make run`, or give its address with --url."
KEY_NEEDED = f"The service requires a key: set {KEY_VARIABLE}, or use --key."
WS_PATH = "/ws"
INTERRUPTED = 130
READER_GONE = 141
"""The exit status of a process that SIGPIPE ended."""


class _Voxtral(click.Group):
    """Turns exceptions of a command into one sentence and an exit status."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            context.exit(INTERRUPTED)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise the flush at exit fails too
            context.exit(READER_GONE)
        except Exception as error:
            if context.obj:
                raise
            raise click.ClickException(_sentence(error)) from None


def _sentence(error: Exception) -> str:
    if isinstance(error, UnreachableError):
        return f"{error} {_hint(error)}"
    if isinstance(error, (ClientError, StartupError, MicrophoneError, ServiceError)):
        return str(error)
    return f"voxtral failed: {type(error).__name__}: {error} (`voxtral --debug …` shows the traceback)."


def _hint(error: UnreachableError) -> str:
    parts = urlsplit(error.url)
    if error.http_status is None or parts.path == WS_PATH:
        return START_HINT
    return f"The port of the web page serves the protocol at {WS_PATH}: --url {parts.scheme}://{parts.netloc}{WS_PATH}"


@click.group(cls=_Voxtral, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="voxtral")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Transcribe speech, live or recorded, and answer questions about it."""
    context.obj = debug


_URL = click.option("--url", help="Address of the service, such as ws://host:8765.  [default: from the settings]")
_KEY = click.option(
    "--key",
    envvar=KEY_VARIABLE,
    help=f"API key, if one is required; safer as {KEY_VARIABLE}, because other users can see options.",
)
_CA_FILE = click.option(
    "--ca-file",
    envvar=CA_VARIABLE,
    metavar="FILE",
    help="Certificate authorities to trust for the service, in PEM format.  [default: the system's]",
)
_CAPTIONS = click.option(
    "--captions",
    metavar="URL",
    callback=lambda _context, _option, url: None if url is None else page_url(url),
    help="Address of the web page, such as http://host:8000: print the link to the live captions.",
)


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True), metavar="FILE...")
@click.option("--live", is_flag=True, help="Send in real time, and show words before they are final.")
@_CAPTIONS
@click.option("--strict", is_flag=True, help="Reject damaged recordings instead of transcribing their intact part.")
@click.option("--format", "text_format", type=click.Choice(list(SUFFIXES)), default="text", show_default=True)
@click.option("-o", "--output", type=click.Path(), help="Output file, or folder/.  [default: standard output]")
@_URL
@_KEY
@_CA_FILE
@choice_options
def transcribe(
    files: tuple[str, ...],
    *,
    live: bool,
    captions: str | None,
    text_format: str,
    output: str | None,
    url: str | None,
    key: str | None,
    ca_file: str | None,
    strict: bool,
    **choices: Any,
) -> None:
    """Transcribe recordings (`-` is standard input).

    Reads WAV, FLAC, MP3, M4A, Ogg, WebM and all other formats that ffmpeg decodes, including videos. The intact part of
    a damaged recording is transcribed, with a warning. With --format json each file is one line, with word times.
    """
    chosen = Choices(**choices)
    if text_format in {"srt", "vtt"} and chosen.mode in (Mode.UNDERSTAND, Mode.GENERAL) and not live:
        raise click.UsageError(f"An answer about a whole recording has no times: --format {text_format} needs --live.")
    if captions is not None and not live:
        raise click.UsageError("Only live sessions have captions: --captions needs --live.")
    if chosen.commit_delay is not None and not live:
        raise click.UsageError("Only live sessions commit words before they are final: --commit-delay needs --live.")
    address, chunk_samples = websocket_url(url), _chunk_samples(url)
    tls = trusted(url, ca_file)
    job = Job(address, key, tls, chosen, text_format, live, captions, chunk_samples, strict)
    try:
        with _asking_for_key(key):
            failures = transcribe_all(job, files, output)
    except OutputError as error:
        raise click.UsageError(str(error)) from None
    sys.exit(1 if failures else 0)


@cli.command(name="listen")
@_CAPTIONS
@click.option("--device", help="Name or number of the microphone.  [default: the system's]")
@_URL
@_KEY
@_CA_FILE
@choice_options
def listen_command(
    *,
    captions: str | None,
    device: str | None,
    url: str | None,
    key: str | None,
    ca_file: str | None,
    **choices: Any,
) -> None:
    """Transcribe the microphone."""
    with _asking_for_key(key):
        asyncio.run(
            listen(
                websocket_url(url),
                key=key,
                tls=trusted(url, ca_file),
                choices=Choices(**choices),
                captions=captions,
                device=device,
                chunk_samples=_chunk_samples(url),
            )
        )


@cli.command()
@click.option("--url", help="Address of the health service, such as http://host:8005.  [default: from the settings]")
@_CA_FILE
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status(*, url: str | None, ca_file: str | None, as_json: bool) -> None:
    """Show the status of the service. The exit status is 1 if it would not accept a session now."""
    sys.exit(0 if show_status(health_url(url), as_json=as_json, tls=trusted(url, ca_file)) else 1)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per check.")
@click.option("--repair-store", "repairs", is_flag=True, help="Move a damaged append-only file of the server aside.")
def doctor(*, as_json: bool, repairs: bool) -> None:
    """Check what the service needs, and say how to fix problems."""
    if repairs:
        click.echo(repair_store())
        return
    sys.exit(0 if run_doctor(as_json=as_json) else 1)


@cli.group()
def keys() -> None:
    """Create keys for your own service."""


@keys.command()
@click.option("--name", required=True, help="Name of the key: letters, digits, dots, dashes and underscores.")
@click.option("--expires", metavar="WHEN", help="Days such as 90d, or a time such as 2027-01-31.  [default: never]")
@click.option("--sessions", type=click.IntRange(min=1), help="Limit of concurrent sessions.")
@click.option("--audio-s-per-minute", type=click.IntRange(min=1), help="Limit of audio per minute, in seconds.")
@click.option("--requests-per-minute", type=click.IntRange(min=1), help="Limit of requests per minute.")
@click.option("--upload-bytes", type=click.IntRange(min=1), help="Limit of the size of a recording.")
def new(*, name: str, expires: str | None, **limits: int | None) -> None:
    """Print a new key, and its line for the file access.keys_file. The key itself is not stored.

    Only the line goes to standard output: `voxtral keys new --name anna >> keys.yaml`.
    """
    key, line = new_key(name, expires, limits)
    click.echo(f"Key (shown only once): {key}", err=True)
    click.echo("Line for the list of keys (standard output):", err=True)
    click.echo(line)


@contextmanager
def _asking_for_key(key: str | None) -> Iterator[None]:
    """Replaces the error for a missing key: it says how a command takes a key, not how the protocol does."""
    try:
        yield
    except ServerError as error:
        if error.code != UnauthorizedError.code or key is not None:
            raise
        raise click.ClickException(KEY_NEEDED) from None


def _chunk_samples(url: str | None) -> int:
    """The settings here say nothing about a service elsewhere, and need not be valid."""
    return (load_settings().audio if url is None else AudioSettings()).chunk_size


def main() -> None:
    """The entry point of `voxtral`."""
    # Commands report errors themselves; log lines are for services.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    cli(prog_name="voxtral")
