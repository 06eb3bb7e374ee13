"""What clients of the native protocol can ask for, and how their JSON becomes it.

Knows the fields of every message and nothing of when a message is allowed; see `native` for that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, TypeAlias

import orjson

from frontend.protocols.fields import Fields, is_request_id
from shared.audio.pcm import AudioFormat
from shared.config import AudioSettings
from shared.errors import InvalidJsonError, MissingFieldError, UnknownTypeError, shown
from shared.events import Mode, SessionOptions

FILE: Final = "file"
"""The `encoding` of a recording that is a file, whatever it begins with."""
MAX_VALUES: Final = 16_384
"""Commas and brackets in one message. All known messages are flat objects, and their largest part, base64, holds
none of these; a list of millions of values would take many times its size in memory."""

DEFAULT_PROMPTS: Final = {Mode.UNDERSTAND: "Describe what you hear in this audio."}


@dataclass(frozen=True, slots=True)
class Auth:
    kind: ClassVar[str] = "auth"
    request_id: str | int | None
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OneShot:
    """One recording, to be answered by one reply."""

    kind: ClassVar[str] = "audio"
    request_id: str | int | None
    options: SessionOptions
    audio: bytes
    """A file, or raw samples."""
    encoding: str | None
    """Of raw samples; None is to be guessed, and `file` is a file for certain."""
    sample_rate: int
    channels: int
    stream: bool
    """Whether partials are wanted before the reply."""
    strict: bool = False
    """Whether a damaged recording is an error."""


@dataclass(frozen=True, slots=True)
class Ping:
    kind: ClassVar[str] = "ping"
    request_id: str | int | None


@dataclass(frozen=True, slots=True)
class Status:
    kind: ClassVar[str] = "status"
    request_id: str | int | None


@dataclass(frozen=True, slots=True)
class Start:
    kind: ClassVar[str] = "start"
    options: SessionOptions
    audio_format: AudioFormat
    acknowledge: bool = False
    """Whether the client wants to be told how much of its audio is safe."""


@dataclass(frozen=True, slots=True)
class Resume:
    kind: ClassVar[str] = "resume"
    session_id: str
    resume_token: str
    seq: int
    """The last event that the client has."""
    audio_format: AudioFormat
    acknowledge: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    kind: ClassVar[str] = "chunk"
    audio: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    kind: ClassVar[str] = "commit"
    number: int | None = None
    """A client that counts these messages may send one again: it is obeyed once."""


@dataclass(frozen=True, slots=True)
class Configure:
    kind: ClassVar[str] = "configure"
    changes: Mapping[str, Any]
    """Fields of `SessionOptions` that are to change, and only those."""
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    kind: ClassVar[str] = "stop"
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    kind: ClassVar[str] = "cancel"


Command: TypeAlias = Auth | OneShot | Ping | Status | Start | Resume | Chunk | Commit | Configure | Stop | Cancel


def decode_message(text: str) -> dict[str, Any]:
    """A text message as a JSON object. Raises InvalidJsonError. Memory is bounded by a small multiple of the text."""
    if sum(map(text.count, ",[{")) > MAX_VALUES:
        raise InvalidJsonError(f"The message holds more than {MAX_VALUES} values; a message is one flat object.")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidJsonError(f"The message is not JSON: {error.msg} at character {error.pos}.") from None
    if not isinstance(message, dict):
        raise InvalidJsonError(f"The message is {shown(message)}; it must be a JSON object.")
    return message


def parse_command(message: dict[str, Any], defaults: AudioSettings) -> Command:
    """The command that a message stands for.

    `defaults` says what raw audio is whose sender does not say it. Raises MissingFieldError, UnknownTypeError,
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
    """The id that a reply to this message carries; None where it has none, or none that is allowed."""
    value = None if message is None else message.get("id")
    return value if is_request_id(value) else None


def _one_shot(fields: Fields, defaults: AudioSettings) -> OneShot:
    request_id = fields.request_id()
    stream = fields.flag("stream", default=False)
    options = replace(_options(fields), words=False, partials=stream, recording=True)
    encoding = fields.text("encoding")
    audio_format = _audio_format(fields, defaults, others=(FILE,))
    return OneShot(
        request_id=request_id,
        options=options,
        audio=fields.audio(),
        encoding=encoding,
        sample_rate=audio_format.sample_rate,
        channels=audio_format.channels,
        stream=stream,
        strict=fields.flag("strict", default=False),
    )


def _start(fields: Fields, defaults: AudioSettings) -> Start:
    options = replace(
        _options(fields),
        delay_ms=fields.delay_ms(),
        commit_delay=fields.commit_delay(),
        words=fields.flag("words", default=True),
        partials=fields.flag("partials", default=True),
    )
    return Start(options, _audio_format(fields, defaults), fields.flag("acknowledge", default=False))


def _resume(fields: Fields, defaults: AudioSettings) -> Resume:
    return Resume(
        session_id=fields.session_id(),
        resume_token=fields.token("resume_token"),
        seq=fields.sequence_number("seq"),
        audio_format=_audio_format(fields, defaults),
        acknowledge=fields.flag("acknowledge", default=False),
    )


def _configure(fields: Fields, _defaults: AudioSettings) -> Configure:
    fields.refuse("model", "in start only, where the model of a session is chosen")
    readers = {
        "language": fields.language,
        "languages": fields.languages,
        "prompt": fields.prompt,
        "delay_ms": fields.delay_ms,
        "commit_delay": fields.commit_delay,
        "max_new_tokens": fields.max_new_tokens,
        "temperature": fields.temperature,
        "top_p": fields.top_p,
    }
    changes = {name: read() for name, read in readers.items() if fields.given(name)}
    if not changes:
        raise MissingFieldError(f"configure changes nothing; it takes at least one of {', '.join(readers)}.")
    return Configure(changes, fields.number())


def _options(fields: Fields) -> SessionOptions:
    """The options that live sessions and recordings share."""
    mode = fields.mode()
    return SessionOptions(
        mode=mode,
        language=fields.language(),
        languages=fields.languages(),
        prompt=_prompt(fields, mode),
        model=fields.model(),
        max_new_tokens=fields.max_new_tokens(),
        temperature=fields.temperature(),
        top_p=fields.top_p(),
    )


def _audio_format(fields: Fields, defaults: AudioSettings, others: tuple[str, ...] = ()) -> AudioFormat:
    encoding = fields.text("encoding")
    return AudioFormat(
        encoding="pcm_s16le" if encoding is None or encoding in others else encoding,
        sample_rate=fields.integer("sample_rate", defaults.sample_rate),
        channels=fields.integer("channels", defaults.channels),
    )


def _prompt(fields: Fields, mode: Mode) -> str | None:
    return fields.prompt() or DEFAULT_PROMPTS.get(mode)


_PARSERS: Final[dict[str, Callable[[Fields, AudioSettings], Command]]] = {
    OneShot.kind: _one_shot,
    Ping.kind: lambda fields, _: Ping(fields.request_id()),
    Status.kind: lambda fields, _: Status(fields.request_id()),
    Start.kind: _start,
    Resume.kind: _resume,
    Chunk.kind: lambda fields, _: Chunk(fields.audio()),
    Commit.kind: lambda fields, _: Commit(fields.number()),
    Configure.kind: _configure,
    Stop.kind: lambda fields, _: Stop(fields.number()),
    Cancel.kind: lambda _fields, _: Cancel(),
    Auth.kind: lambda fields, _: Auth(fields.request_id(), fields.key()),
}
KINDS: Final = tuple(_PARSERS)
"""Every `type` that a client may send."""
