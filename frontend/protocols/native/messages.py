"""How the JSON messages of the native protocol are parsed into actions.

Knows the fields of every message, but not when a message is allowed; see `states` for that.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from frontend.protocols.audio_formats import changed_format, checked_format
from frontend.protocols.dialect import (
    Action,
    Append,
    Cancel,
    Change,
    Commit,
    Embed,
    Finish,
    Identify,
    OneShot,
    Open,
    Resume,
    Status,
)
from frontend.protocols.fields import Fields, valid_request_id
from frontend.protocols.options import CHANNELS, CONFIGURE, ONE_SHOT, START, options_of
from shared.audio.pcm import MAX_CHANNELS, AudioFormat
from shared.config.sections import AudioSettings
from shared.errors import MissingFieldError, UnknownTypeError, shown
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import MAX_TRACKS, ChannelMode, Mode, SessionOptions

DEFAULT_PROMPTS: Final = {Mode.UNDERSTAND: "Describe what you hear in this audio."}


@dataclass(frozen=True, slots=True)
class Ping:
    """Send the reply to a `ping`."""

    request_id: str | int | None


def parse_message(message: dict[str, Any], defaults: AudioSettings) -> Action | Ping:
    """What a message requests.

    `defaults` gives the format of raw audio if the client does not. Raises MissingFieldError, UnknownTypeError,
    InvalidFieldError, InvalidAudioError.
    """
    kind = message.get("type")
    if kind is None:
        raise MissingFieldError(f"The field type is missing; allowed: {', '.join(KINDS)}.")
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    if parse is None:
        raise UnknownTypeError(f"type is {shown(kind)}; allowed: {', '.join(KINDS)}.")
    return parse(Fields(message), defaults)


def request_id_of(message: dict[str, Any] | None) -> str | int | None:
    """The id for the reply to this message; None if it has none, or an invalid one."""
    return None if message is None else valid_request_id(message.get("id"))


def _identify(fields: Fields, _: AudioSettings) -> Identify:
    fields.request_id()  # raises for an invalid one, before the key is used
    return Identify(fields.key())


def _one_shot(fields: Fields, defaults: AudioSettings) -> OneShot:
    request_id = fields.request_id()
    stream = fields.flag("stream", default=False)
    separate, options = _separates(fields), _options(fields, ONE_SHOT)
    options = replace(options, words=stream or bool(options.diarize), partials=stream, recording=True)
    encoding = fields.text("encoding")
    audio_format = _audio_format(fields, defaults, separate=separate)
    if separate:  # a file has its own number of channels
        options = replace(options, channels=fields.integer("channels", MAX_TRACKS))
    return OneShot(
        request_id=request_id,
        options=options,
        audio=fields.audio(),
        encoding=encoding,
        sample_rate=SAMPLE_RATE_HZ if audio_format is None else audio_format.sample_rate,
        channels=1 if audio_format is None else audio_format.channels,
        stream=stream,
        strict=fields.flag("strict", default=False),
    )


def _start(fields: Fields, defaults: AudioSettings) -> Open:
    separate, options = _separates(fields), _options(fields, START)
    audio_format = _audio_format(fields, defaults, separate=separate)
    if separate:
        options = replace(options, channels=_tracks(fields, defaults, audio_format))
    if options.recording and options.turn_detection is not None:
        fields.refuse("turn_detection", "nothing with recording: only live speech has turns")
    return Open(options, audio_format, fields.flag("acknowledge", default=False), is_native=True)


def _resume(fields: Fields, defaults: AudioSettings) -> Resume:
    return Resume(
        session_id=fields.session_id(),
        resume_token=fields.token("resume_token"),
        seq=fields.sequence_number("seq"),
        # Its number of channels counts only if they are mixed: otherwise the session knows it.
        audio_format=_audio_format(
            fields, defaults, separate=_separates(fields) or fields.integer("channels", 1) > MAX_CHANNELS
        ),
        acknowledge=fields.flag("acknowledge", default=False),
    )


def _configure(fields: Fields, defaults: AudioSettings) -> Change:
    taken = [option.name for option in options_of(CONFIGURE)]
    for option in options_of(START):
        if option.name not in taken:
            fields.refuse(option.name, "in start only: a session keeps it to its end")
    changes = {name: fields.option(name) for name in taken if fields.given(name)}
    audio_readers: dict[str, Callable[[], Any]] = {
        "encoding": lambda: fields.text("encoding") or "pcm_s16le",
        "sample_rate": lambda: fields.integer("sample_rate", defaults.sample_rate),
        "channels": lambda: fields.integer("channels", defaults.channels),
    }
    audio_changes = {name: read() for name, read in audio_readers.items() if fields.given(name)}
    if not changes and not audio_changes:
        names = ", ".join((*taken, *audio_readers))
        raise MissingFieldError(f"configure changes nothing; it requires at least one of {names}.")
    changed_format(None, audio_changes)  # raises for values that no format has
    return Change(changes, fields.number(), audio_changes)


def _options(fields: Fields, message: str) -> SessionOptions:
    given = {one.name: fields.option(one.name) for one in options_of(message) if one.name not in CHANNELS}
    options = SessionOptions(**{name: value for name, value in given.items() if value is not None})
    return replace(options, prompt=options.prompt or DEFAULT_PROMPTS.get(options.mode))


def _separates(fields: Fields) -> bool:
    return fields.option("channel_mode") is ChannelMode.SEPARATE


def _tracks(fields: Fields, defaults: AudioSettings, audio_format: AudioFormat | None) -> int:
    """The number of tracks of a live session with separate channels."""
    channels = fields.integer("channels", 0)
    if audio_format is None and not channels:
        raise MissingFieldError("The field channels is missing; channel_mode separate requires it for a container.")
    return channels or defaults.channels


def _audio_format(fields: Fields, defaults: AudioSettings, *, separate: bool) -> AudioFormat | None:
    """None for audio in a container, which describes its own format."""
    sample_rate = fields.integer("sample_rate", defaults.sample_rate)
    channels = fields.integer("channels", defaults.channels)
    encoding = fields.text("encoding")
    return checked_format("pcm_s16le" if encoding is None else encoding, sample_rate, channels, separate=separate)


_PARSERS: Final[dict[str, Callable[[Fields, AudioSettings], Action | Ping]]] = {
    "audio": _one_shot,
    "ping": lambda fields, _: Ping(fields.request_id()),
    "status": lambda fields, _: Status(fields.request_id()),
    "start": _start,
    "resume": _resume,
    "chunk": lambda fields, _: Append(fields.audio()),
    "commit": lambda fields, _: Commit(fields.number()),
    "configure": _configure,
    "stop": lambda fields, _: Finish(fields.number()),
    "cancel": lambda _fields, _: Cancel(),
    "auth": _identify,
    "voice": lambda fields, _: Embed(fields.request_id(), fields.audio()),
}
KINDS: Final = tuple(_PARSERS)
"""Every `type` that a client may send."""
