"""`voxtral transcribe`: transcribes recordings one after another; an error of one does not stop the others."""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

import click

from frontend.cli.choices import Choices
from frontend.cli.live import Hearing, say_captions, say_reconnecting
from frontend.cli.recording import Recording, opened, paced
from frontend.cli.screen import screen_for
from frontend.cli.transcript import Transcript, output_paths, write_whole
from frontend.client import ConnectionLostError, ServerError, TranscriptionClient
from shared.errors import UnauthorizedError, VoxtralError


@dataclass(frozen=True, slots=True)
class Job:
    """How to transcribe every recording."""

    url: str
    key: str | None
    tls: ssl.SSLContext | None
    """The accepted certificates; None: those of the system's authorities."""
    choices: Choices
    text_format: str
    live: bool
    captions: str | None
    """Address of the page on which others can view the session."""
    chunk_samples: int
    """Samples sent at a time in real time."""
    strict: bool = False
    """Whether a damaged recording is an error."""


def transcribe_all(job: Job, sources: tuple[str, ...], output: str | None) -> int:
    """Transcribe each source; returns how many failed, after printing which and why.

    Raises `OutputError` before anything is sent, and `ClientError` if the server is unreachable or rejects the key,
    because every other recording would fail too.
    """
    failures = 0
    paths = output_paths(sources, output, job.text_format)
    for source, path in zip(sources, paths, strict=True):
        try:
            with opened(source) as recording:
                if len(sources) > 1 and path is None and job.text_format == "text":
                    click.echo(f"==> {source} <==")
                _transcribe(job, recording, path)
        except (VoxtralError, ServerError, ConnectionLostError) as error:
            if isinstance(error, ServerError) and error.code == UnauthorizedError.code:
                raise
            failures += 1
            click.echo(f"{source}: {error}", err=True)
        except BrokenPipeError:
            raise  # the reader of stdout has gone
        except OSError as error:
            failures += 1
            elsewhere = f" ({error.filename})" if error.filename not in {None, source} else ""
            click.echo(f"{source}: {error.strerror or error}{elsewhere}.", err=True)
    return failures


def _transcribe(job: Job, recording: Recording, path: Path | None) -> None:
    """Raises the error of this recording. In that case nothing is written to `path`."""
    transcript = Transcript(recording.name, job.choices.mode)
    wants_text = job.text_format == "text" if path is None else job.live
    # An answer about a whole recording needs the whole file; live, each segment is answered separately.
    if job.live or job.choices.mode in ("transcribe", "translate"):
        asyncio.run(_hear(job, recording, transcript, text=wants_text))
    else:
        asyncio.run(_ask(job, recording, transcript))
    if path is not None:
        write_whole(path, transcript.written(job.text_format))
    elif transcript.answer or job.text_format != "text":
        click.echo(transcript.written(job.text_format), nl=False)


async def _hear(job: Job, recording: Recording, transcript: Transcript, *, text: bool) -> None:
    """Send the audio through a live session, in real time or as fast as the server accepts it."""
    async with (
        recording.decoded(strict=job.strict) as blocks,
        TranscriptionClient(job.url, key=job.key, tls=job.tls, on_reconnect=say_reconnecting) as client,
        client.live(**job.choices.spoken, commit_delay=job.choices.commit_delay, partials=job.live) as session,
    ):
        say_captions(job.captions, session)
        with screen_for(Path(recording.name).name, live=job.live, text=text) as screen:
            hearing = Hearing(session, screen, transcript)
            await hearing.run(paced(blocks, job.chunk_samples) if job.live else blocks)
    transcript.warnings = [warning.wire() for warning in recording.warnings]
    for warning in (*hearing.warnings, *(one.message for one in recording.warnings)):
        click.echo(f"{recording.name}: {warning}", err=True)


async def _ask(job: Job, recording: Recording, transcript: Transcript) -> None:
    """Send the file itself as one request, and receive one answer."""
    with screen_for(Path(recording.name).name, live=False, text=False):
        async with TranscriptionClient(job.url, key=job.key, tls=job.tls) as client:
            reply = await client.transcribe(
                recording.content(),
                **job.choices.spoken,
                encoding="container",
                strict=job.strict,
            )
    transcript.warnings = [{"code": warning.code, "message": warning.message} for warning in reply.warnings]
    for warning in reply.warnings:
        click.echo(f"{recording.name}: {warning.message}", err=True)
    transcript.answer = reply.text
    transcript.duration_s = reply.audio_duration_ms / 1000
