"""What the first message of a media stream says about its call, and what parts the messages of all services share.
Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from frontend.protocols.options import CHANNELS, OPTIONS, START, check_language, options_of, parse_text
from shared.errors import InvalidFieldError, MissingFieldError
from shared.session_options import SessionOptions

TRACKS: Final = ("inbound", "outbound")
"""The audio of the person on the phone, and the audio that this person hears."""
MAX_ID_CHARS: Final = 128
PARAMETERS: Final = tuple(
    option.name for option in options_of(START) if option.name not in (*CHANNELS, "known_speakers")
)
"""The custom parameters of a stream that choose options."""
FREE_TEXT: Final = ("prompt", "keyterms", "redact_terms")
"""Those whose values errors do not show, since errors are logged."""


@dataclass(frozen=True, slots=True)
class Call:
    stream_id: str
    call_id: str
    tracks: tuple[str, ...]
    """In the order of `TRACKS`."""
    encoding: str
    """A key of `tracks.SILENCE`."""
    options: SessionOptions
    names: Mapping[str, str]
    """The service's names of what chooses options, by ours; see `VoxtralError.rename`."""


def object_field(wire: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Raises MissingFieldError and InvalidFieldError."""
    value = wire.get(name)
    if value is None:
        raise MissingFieldError(f"The field {name} is missing; the event requires it.")
    if not isinstance(value, dict):
        raise InvalidFieldError(name, value, "an object")
    return value


def id_field(wire: Mapping[str, Any], name: str, path: str) -> str:
    """Raises InvalidFieldError, which names `path`."""
    value = wire.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS:
        raise InvalidFieldError(path, value, f"a string of 1 to {MAX_ID_CHARS} characters")
    return value


def names_below(path: str, tracks: str) -> dict[str, str]:
    """`Call.names`, if the custom parameters are at `path` and `tracks` chooses the tracks."""
    return {"channels": tracks, **{name: f"{path}.{name}" for name in PARAMETERS}}


def options(parameters: object, path: str, tracks: tuple[str, ...], names: Mapping[str, str]) -> SessionOptions:
    """The options of custom parameters. Others are for the user's own programs, and ignored.

    Raises InvalidFieldError, which names the parameter as `names` does.
    """
    given = {} if parameters is None else parameters
    if not isinstance(given, dict):
        raise InvalidFieldError(path, given, "an object")
    chosen = {name: _parsed(names[name], given.get(name), name) for name in PARAMETERS}
    wanted: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    found = SessionOptions(**wanted, channels=len(tracks) if len(tracks) > 1 else None)
    try:
        check_language(found)
    except InvalidFieldError as error:
        error.rename(names)
        raise
    return found


def _parsed(field: str, value: object, name: str) -> Any:
    if not isinstance(value, str | None):
        raise InvalidFieldError(field, value, "a string")
    try:
        return parse_text(field, value or None, OPTIONS[name].kind)
    except InvalidFieldError:
        if name not in FREE_TEXT:
            raise
        raise InvalidFieldError(field, "…", OPTIONS[name].kind.allowed) from None
