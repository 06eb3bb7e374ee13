"""`voxtral transcribe` and `voxtral listen`: their arguments, and what does not go together.

Only what a help text needs is imported here; the rest when a command runs.
"""

import sys
from typing import TYPE_CHECKING, Any

import click

from frontend.cli.choices import Choices, choice_options
from frontend.cli.commands.command import Command
from frontend.cli.commands.connection import Service, service_options
from frontend.cli.failures import OutputError
from frontend.cli.outputs import ALL, SUFFIXES, is_url, outputs
from shared.session_options import ChannelMode, Mode

if TYPE_CHECKING:
    from shared.audio.pcm import AudioFormat

_CAPTIONS = click.option("--captions", is_flag=True, help="Print the link to the live captions of the session.")


@click.command(cls=Command)
@click.argument("sources", nargs=-1, required=True, type=click.Path(allow_dash=True), metavar="FILE|URL|-...")
@click.option("--live", is_flag=True, help="Send in real time, and show words before they are final.")
@_CAPTIONS
@click.option("--strict", is_flag=True, help="Reject damaged recordings instead of transcribing their intact part.")
@click.option(
    "--channel-mode",
    type=click.Choice([mode.value for mode in ChannelMode]),
    default=ChannelMode.MIX.value,
    show_default=True,
    help="separate transcribes each channel on its own, such as the two parties of a telephone call.",
)
@click.option(
    "--format",
    "text_format",
    type=click.Choice([*SUFFIXES, ALL]),
    help="What to write; all: a file for each.  [default: by the suffix of --output, or text]",
)
@click.option("-o", "--output", type=click.Path(), help="Output file, or folder/.  [default: standard output]")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@click.option("--encoding", metavar="NAME", help="The input is raw samples: pcm_s16le, pcm_f32le, pcmu, pcma, ….")
@click.option("--sample-rate", type=int, metavar="HZ", help="Of raw samples.  [default: 16000]")
@click.option(
    "--channels",
    type=int,
    metavar="N",
    help="Of raw samples: 1, or 2 interleaved; up to 4 with --channel-mode separate.  [default: 1]",
)
@service_options
@choice_options
def transcribe(
    sources: tuple[str, ...],
    *,
    service: Service,
    live: bool,
    captions: bool,
    text_format: str | None,
    output: str | None,
    force: bool,
    strict: bool,
    channel_mode: str,
    encoding: str | None,
    sample_rate: int | None,
    channels: int | None,
    **choices: Any,
) -> None:
    """Transcribe recordings, http(s) addresses of recordings, or standard input (`-`).

    Reads WAV, FLAC, MP3, M4A, Ogg, WebM and all other formats that ffmpeg decodes, including videos, and raw samples
    with --encoding. The intact part of a damaged recording is transcribed, with a warning. With --live, addresses may
    be streams (HLS, RTSP, …), and standard input is transcribed while it arrives. With --format json each file is one
    line, with word times.

    Exit status: 0 done, 1 an input cannot be transcribed, 2 wrong usage, 3 no server can be reached, 4 the server
    rejects the request, 130 interrupted.
    """
    chosen = Choices.of(choices)
    separates = channel_mode == ChannelMode.SEPARATE
    raw = _raw_format(encoding, sample_rate, channels, separates=separates)
    try:
        planned = outputs(sources, output, text_format, overwrites=force)
    except OutputError as error:
        raise click.UsageError(str(error)) from None
    _check_usage(chosen, {one.text_format for documents in planned for one in documents}, live=live, captions=captions)
    if raw is not None and any(map(is_url, sources)) and live:
        raise click.UsageError("Raw samples are read from files and standard input with --live, not from an address.")
    url, tls, chunk_samples = service.websocket_url, service.tls, service.chunk_samples

    from frontend.cli.transcribe import Job, transcribe_all

    job = Job(
        url=url,
        key=service.key,
        tls=tls,
        choices=chosen,
        live=live,
        captions=_page(service) if captions else None,
        chunk_samples=chunk_samples,
        strict=strict,
        audio_format=raw,
        separates=separates,
    )
    sys.exit(transcribe_all(job, sources, planned))


def _raw_format(
    encoding: str | None, sample_rate: int | None, channels: int | None, *, separates: bool
) -> "AudioFormat | None":
    if encoding is None:
        if sample_rate is not None or channels is not None:
            raise click.UsageError("--sample-rate and --channels describe raw samples: they need --encoding.")
        return None

    from shared.audio.pcm import AudioFormat
    from shared.errors import InvalidFieldError

    try:
        return AudioFormat(
            encoding,
            16_000 if sample_rate is None else sample_rate,
            1 if channels is None else channels,
            separate=separates,
        )
    except InvalidFieldError as error:
        raise click.UsageError(str(error)) from None


def _check_usage(choices: Choices, formats: set[str], *, live: bool, captions: bool) -> None:
    if live:
        return
    if choices.mode in (Mode.UNDERSTAND, Mode.GENERAL) and (timed := sorted(formats & {"srt", "vtt"})):
        raise click.UsageError(f"An answer about a whole recording has no times: --format {timed[0]} needs --live.")
    if captions:
        raise click.UsageError("Only live sessions have captions: --captions needs --live.")
    if choices.commit_delay is not None:
        raise click.UsageError("Only live sessions commit words before they are final: --commit-delay needs --live.")


def _page(service: Service) -> str:
    """The address of the page, as others may see it. Raises `ServiceError` if the user's address has none."""
    from frontend.cli.failures import ServiceError
    from frontend.cli.http_get import HttpError, get_json
    from voxtral_client.addresses import without_password

    if service.url is not None:
        try:
            get_json(f"{service.base_url}/config.json", service.tls)
        except HttpError as error:
            raise ServiceError(
                f"{error} The link to the captions needs the address of the web page, such as --url http://host:8000."
            ) from None
    return without_password(service.base_url)


@click.command(cls=Command)
@_CAPTIONS
@click.option("--device", help="Name or number of the microphone.  [default: the system's]")
@service_options
@choice_options
def listen(*, service: Service, captions: bool, device: str | None, **choices: Any) -> None:
    """Transcribe the microphone until Ctrl-C."""
    from frontend.cli.interrupts import run_interruptible
    from frontend.cli.listen import listen as hear

    run_interruptible(
        hear(
            service.websocket_url,
            key=service.key,
            tls=service.tls,
            choices=Choices.of(choices),
            captions=_page(service) if captions else None,
            device=device,
            chunk_samples=service.chunk_samples,
        )
    )
