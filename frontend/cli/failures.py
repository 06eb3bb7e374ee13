"""Errors of commands: the exit status and the one sentence of each.

Statuses: 0 done, 1 the input is wrong, 2 wrong usage, 3 no server can be reached, 4 the server rejects the request, 130
interrupted by Ctrl-C, 141 the reader of the output is gone.
"""

import ssl
from enum import IntEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import click

from shared.variables import KEY_VARIABLE

if TYPE_CHECKING:
    from voxtral_client import UnreachableError

START_HINT: Final = "Start one with `voxtral serve`, or give its address with --url."
CA_HINT: Final = "--ca-file names certificates to trust."
PORT_HINT: Final = "--url names the page of the service (port 8000) or its WebSocket port (8765)."
KEY_NEEDED: Final = f"The service requires a key: set {KEY_VARIABLE}, or use --key."
_WRONG_ADDRESS: Final = frozenset({200, 404, 405, 426})
"""Statuses of a server, or of a port of this service, that opens no WebSocket at the address."""
_OF_THE_INPUT: Final = frozenset({"audio_too_long", "invalid_audio", "message_too_large", "unsupported_audio"})
"""Codes of the server's errors that are about the recording itself."""


class Status(IntEnum):
    DONE = 0
    INPUT = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 130
    READER_GONE = 141


class CommandError(Exception):
    """A command cannot do its work. The message is one sentence."""

    status = Status.INPUT


class OutputError(CommandError):
    """The requested inputs and output cannot be combined."""

    status = Status.USAGE


class SourceError(CommandError):
    """A recording or stream cannot be read."""


class MicrophoneError(CommandError):
    """There is no microphone. The message says what to do."""


class ServiceError(CommandError):
    """The service does not answer as it should."""

    status = Status.UNREACHABLE


class _Failure(click.ClickException):
    def __init__(self, sentence: str, status: Status) -> None:
        super().__init__(sentence)
        self.exit_code = status  # type: ignore[misc]


def status_of(error: Exception) -> Status:
    """The exit status for an error."""
    from voxtral_client import ConnectionLostError, ServerError, UnreachableError  # noqa: PLC0415 -- most need it not

    if isinstance(error, CommandError):
        return error.status
    if isinstance(error, (ConnectionLostError, UnreachableError)):
        return Status.UNREACHABLE
    if isinstance(error, ServerError) and error.code not in _OF_THE_INPUT:
        return Status.REFUSED
    return Status.INPUT


def _advice(error: "UnreachableError") -> str | None:
    if isinstance(error.cause, ConnectionRefusedError):
        return START_HINT
    if isinstance(error.cause, ssl.SSLCertVerificationError):
        return CA_HINT
    return PORT_HINT if _is_wrong_address(error) else None


def _is_wrong_address(error: "UnreachableError") -> bool:
    from websockets.exceptions import InvalidStatus  # noqa: PLC0415

    if error.http_status == HTTPStatus.FORBIDDEN and isinstance(error.cause, InvalidStatus):
        return not error.cause.response.body  # that of the health port; others give a reason
    return error.http_status in _WRONG_ADDRESS


def failure(error: Exception, *, has_key: bool) -> click.ClickException:
    """What ends the command: prints one sentence. `has_key` says whether the command sends a key."""
    from shared.errors import StartupError, UnauthorizedError  # noqa: PLC0415
    from voxtral_client import ClientError, ServerError, UnreachableError  # noqa: PLC0415

    if isinstance(error, UnreachableError):
        sentence = " ".join(filter(None, [str(error), _advice(error)]))
    elif isinstance(error, ServerError) and error.code == UnauthorizedError.code and not has_key:
        sentence = KEY_NEEDED
    elif isinstance(error, (ClientError, CommandError, StartupError)):
        sentence = str(error)
    elif isinstance(error, OSError) and error.strerror:
        sentence = f"{error.strerror}." if error.filename is None else f"{error.filename}: {error.strerror}."
    else:
        sentence = f"voxtral failed: {type(error).__name__}: {error} (`voxtral --debug …` shows the traceback)."
    return _Failure(sentence, status_of(error))
