"""`voxtral transcribe`: transcribes recordings one after another; an error of one does not stop the others."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from frontend.cli.choices import Choices
from frontend.cli.failures import SourceError, Status, status_of
from frontend.cli.interrupts import run_interruptible
from frontend.cli.live import Hearing, say_captions, say_reconnecting
from frontend.cli.outputs import Output, name_of, write_whole
from frontend.cli.recording import RawAudio, Recording, Source, opened, paced, shown
from frontend.cli.screen import screen_for
from frontend.cli.stream import LiveStream
from frontend.cli.transcript import Transcript
from shared.audio.pcm import AudioFormat
from shared.audio.tracks import Separation
from shared.errors import UnauthorizedError, VoxtralError
from shared.session_options import MAX_TRACKS, ChannelMode
from voxtral_client import ConnectionLostError, ServerError, TranscriptionClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How to transcribe every recording."""

    url: str
    key: str | None
    tls: ssl.SSLContext | None
    """The accepted certificates; None: those of the system's authorities."""
    choices: Choices
    live: bool
    captions: str | None
    """Address of the page on which others can view the session."""
    chunk_samples: int
    """Samples sent at a time in real time."""
    strict: bool = False
    """Whether a damaged recording is an error."""
    audio_format: AudioFormat | None = None
    """Of raw samples; None for files of any kind."""
    separates: bool = False
    """Whether each channel is transcribed on its own."""

    def separation(self) -> Separation | None:
        return Separation(MAX_TRACKS) if self.separates else None


def transcribe_all(job: Job, sources: Sequence[str], planned: Sequence[Sequence[Output]]) -> Status:
    """Transcribe each source into its planned documents; returns the highest status of their errors, after printing
    each.

    Raises `ClientError` if the server is unreachable or rejects the key, because every other recording would fail too.
    """
    status = Status.DONE
    for source, documents in zip(sources, planned, strict=True):
        try:
            with opened(source, live=job.live, audio_format=job.audio_format) as recording:
                if len(sources) > 1 and documents == [Output("text")]:
                    click.echo(f"==> {shown(source)} <==")
                _transcribe(job, recording, documents)
        except (VoxtralError, ServerError, ConnectionLostError, SourceError) as error:
            if isinstance(error, ServerError) and error.code == UnauthorizedError.code:
                raise
            status = max(status, status_of(error))
            click.echo(f"{shown(source)}: {error}", err=True)
        except BrokenPipeError:
            raise  # the reader of stdout has gone
        except OSError as error:
            status = max(status, Status.INPUT)
            elsewhere = f" ({error.filename})" if error.filename not in {None, source} else ""
            click.echo(f"{shown(source)}: {error.strerror or error}{elsewhere}.", err=True)
    return status


def _transcribe(job: Job, recording: Source, documents: Sequence[Output]) -> None:
    """Raises the error of this recording. In that case no file is written."""
    transcript = Transcript(recording.name, job.choices.mode)
    # Otherwise the text is ordered, or revised, when it is complete.
    is_lasting = job.live or not (job.separates or job.choices.others.get("revise"))
    shows_text = documents == [Output("text")] and is_lasting
    to_files = all(document.path is not None for document in documents)
    # An answer about a whole recording needs the whole file; live, each segment is answered separately.
    if job.live or isinstance(recording, LiveStream) or job.choices.mode in ("transcribe", "translate"):
        run_interruptible(_hear(job, recording, transcript, text=shows_text or (job.live and to_files)))
    else:
        run_interruptible(_ask(job, recording, transcript))
    for document in documents:
        written = transcript.written(document.text_format)
        if document.path is not None:
            write_whole(document.path, written)
        elif transcript.answer or not shows_text:
            click.echo(written, nl=False)


async def _hear(job: Job, recording: Source, transcript: Transcript, *, text: bool) -> None:
    """Send the audio through a session, in real time or as fast as the server accepts it."""
    separation = job.separation()
    async with (
        recording.decoded(strict=job.strict, separation=separation) as blocks,
        TranscriptionClient(job.url, key=job.key, tls=job.tls, on_reconnect=say_reconnecting) as client,
        client.live(
            **{
                **job.choices.of_sessions,
                "partials": job.live,
                "recording": recording.is_whole and not job.live,
                **_channels(separation),
            }
        ) as session,
    ):
        say_captions(job.captions, session)
        with screen_for(name_of(recording.name), live=job.live, text=text) as screen:
            hearing = Hearing(session, screen, transcript, names_speakers=job.choices.names_speakers)
            await hearing.run(paced(blocks, job.chunk_samples) if job.live else blocks)
    transcript.warnings = [warning.wire() for warning in recording.warnings]
    for warning in (*hearing.warnings, *(one.message for one in recording.warnings)):
        click.echo(f"{recording.name}: {warning}", err=True)


async def _ask(job: Job, recording: Recording | RawAudio, transcript: Transcript) -> None:
    """Send the file itself as one request, and receive one answer."""
    with screen_for(name_of(recording.name), live=False, text=False):
        separation = job.separation()
        content, encoding = await recording.content(separation)
        async with TranscriptionClient(job.url, key=job.key, tls=job.tls) as client:
            options = {**job.choices.of_requests, **_channels(separation), "strict": job.strict}
            reply = await client.transcribe(content, encoding=encoding, **options)
    transcript.warnings = [{"code": warning.code, "message": warning.message} for warning in reply.warnings]
    for warning in reply.warnings:
        click.echo(f"{recording.name}: {warning.message}", err=True)
    transcript.answer = reply.text
    transcript.duration_s = reply.audio_duration_ms / 1000


def _channels(separation: Separation | None) -> dict[str, Any]:
    """The options of a session or request with these tracks; an unknown number is left to the server."""
    return {} if separation is None else {"channels": separation.found, "channel_mode": ChannelMode.SEPARATE}
