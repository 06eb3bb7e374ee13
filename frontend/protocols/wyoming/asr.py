"""Speech to text in the Wyoming protocol, as Home Assistant uses it: its events, and the answers to them. No I/O.

A client may ask which models run (`describe`), and then sends recordings over the same connection: `transcribe` with
the options, `audio-start`, `audio-chunk`s and `audio-stop`. Committed text is sent as `transcript-chunk`s at once, and
the whole text as `transcript`. After an error the connection is closed, because clients wait only for a `transcript`.
Unknown events are ignored, as the protocol requires.
"""

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Any, Final

from frontend.protocols.deltas import TranscriptDeltas
from frontend.protocols.dialect import Action, Append, AwaitEnd, Finish, Hangup, ListModels, OfferedModel, Open, Send
from frontend.protocols.keyterms import distinct
from frontend.protocols.kinds import Text
from frontend.protocols.languages import NAMES
from frontend.protocols.long_text import Message
from frontend.protocols.options import KEYWORDS, MAX_KEYTERMS, OPTIONS, parse_json
from frontend.protocols.wyoming.framing import MAX_DATA_BYTES, Event, event_bytes, parse_event
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import InvalidFieldError, MissingFieldError, VoxtralError
from shared.events import EventType
from shared.session_options import KeyTerm, Mode, SessionOptions
from shared.version import VERSION

PROGRAM: Final = "voxtral"
ENCODINGS: Final = {1: "pcm_u8", 2: "pcm_s16le", 3: "pcm_s24le", 4: "pcm_s32le"}
"""By the bytes of a sample."""
TEXT: Final = Text(MAX_DATA_BYTES)
AUDIO_FIELDS: Final = ("rate", "width", "channels")
ATTRIBUTION: Final = {"name": "Voxtral Real-time Streaming", "url": "https://mistral.ai"}
TERM_LISTS: Final = ("transcript_names", "transcript_terms")
"""The more important ones first."""
FIELD_NAMES: Final = {"model": "name", "sample_rate": "rate"}
"""Wyoming's names of fields, by ours; see `VoxtralError.rename`."""


class Stage(Enum):
    IDLE = auto()
    LIVE = auto()
    """A session has been requested, and its audio follows."""
    ENDING = auto()
    """The client has ended its audio; `transcript` has not been sent."""


class WyomingAsr:
    """A `dialect.Dialect`. Its messages are whole events, as `framing` reads and writes them."""

    quiet_s = 0.0
    linger_s = 0.0
    """The transport reads the rest by itself while it closes."""
    resumes = False

    def __init__(self) -> None:
        self._stage = Stage.IDLE
        self._options = SessionOptions()
        """For the next recording."""
        self._format: AudioFormat | None = None
        """Of the current recording."""
        self._deltas = TranscriptDeltas()
        self._language: str | None = None
        """Of the current recording: the language of its last segment with text."""

    def greet(self) -> Iterable[Action]:
        return ()

    def receive(self, message: Message) -> Iterable[Action]:
        assert isinstance(message, bytes)
        event = parse_event(message)
        match event.type:
            case "describe":
                return [ListModels(_info)]
            case "ping":
                return [Send(event_bytes("pong", {"text": parse_json("text", event.data.get("text"), TEXT)}))]
            case "select-program":
                return _selected(event)
            case "transcribe":
                self._options = _options(event)
                return ()
        return self._audio(event)

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        wire = event.wire
        match event.type:
            case EventType.READY:
                self._deltas, self._language = TranscriptDeltas(), None
                return [Send(event_bytes("transcript-start", self._spoken(self._options.language)))]
            case EventType.PARTIAL | EventType.FINAL:
                if event.type == EventType.FINAL and wire["text"]:
                    self._language = wire.get("language")
                delta = self._deltas.hear(wire)
                return [Send(event_bytes("transcript-chunk", {"text": delta}))] if delta else ()
            case EventType.DONE:
                return self._done()
            case EventType.ERROR:
                return _fatal(VoxtralError.from_wire(wire))
        return ()

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:  # noqa: ARG002 -- see _fatal
        error.rename(FIELD_NAMES)
        return _fatal(error)

    def _audio(self, event: Event) -> Iterable[Action]:
        match event.type:
            case "audio-start":
                return self._start(_audio_format(event.data))
            case "audio-chunk":
                return self._append(event)
            case "audio-stop":
                return self._stop()
        return ()

    def _start(self, audio_format: AudioFormat) -> list[Action]:
        if self._stage is Stage.LIVE:
            raise InvalidFieldError("type", "audio-start", "audio-chunk, audio-stop: the audio has started")
        before: list[Action] = [AwaitEnd()] if self._stage is Stage.ENDING else []
        self._stage, self._format = Stage.LIVE, audio_format
        return [*before, Open(self._options, audio_format)]

    def _append(self, event: Event) -> list[Action]:
        """A chunk without `audio-start` starts a recording: some clients send none."""
        audio_format = _audio_format(event.data)
        opening = [] if self._stage is Stage.LIVE else self._start(audio_format)
        if audio_format != self._format:
            assert self._format is not None
            allowed = f"those of audio-start: {self._format.sample_rate}, {self._format.channels} of the same width"
            raise InvalidFieldError("rate, width and channels", _shown_format(event.data), allowed)
        return [*opening, Append(event.payload)] if event.payload else opening

    def _stop(self) -> list[Action]:
        """A recording without audio has a transcript, too: clients wait for it."""
        if self._stage is Stage.LIVE:
            self._stage = Stage.ENDING
            return [Finish()]
        if self._stage is Stage.ENDING:
            return []
        self._deltas, self._language = TranscriptDeltas(), None
        return [Send(event_bytes("transcript-start")), *self._transcript()]

    def _done(self) -> list[Action]:
        """The client may have started its next recording, which waits for this end."""
        if self._stage is Stage.ENDING:
            self._stage = Stage.IDLE
        return self._transcript()

    def _transcript(self) -> list[Action]:
        text = {"text": self._deltas.text} | self._spoken(self._language)
        return [Send(event_bytes("transcript", text)), Send(event_bytes("transcript-stop"))]

    @staticmethod
    def _spoken(language: str | None) -> dict[str, Any]:
        return {} if language is None else {"language": language}


def _fatal(error: VoxtralError) -> list[Action]:
    return [Send(event_bytes("error", {"text": error.message, "code": error.code})), Hangup(1000, error.code)]


def _selected(event: Event) -> list[Action]:
    name = event.data.get("name")
    if name != PROGRAM:
        raise InvalidFieldError("name", name, PROGRAM)
    return []


def _options(event: Event) -> SessionOptions:
    data = event.data
    terms = [term for name in TERM_LISTS for term in _terms(name, data.get(name))]
    return SessionOptions(
        words=False,
        model=parse_json("name", data.get("name") or None, OPTIONS["model"].kind),
        language=parse_json("language", data.get("language") or None, OPTIONS["language"].kind),
        keyterms=distinct(terms)[:MAX_KEYTERMS] or None,
    )


def _terms(name: str, value: object) -> Sequence[KeyTerm]:
    """The first of a list: Home Assistant sends the names of everything in a house."""
    first = value[:MAX_KEYTERMS] if isinstance(value, list) else value
    parsed: Sequence[KeyTerm] | None = parse_json(name, first, KEYWORDS)
    return parsed or ()


def _audio_format(data: dict[str, Any]) -> AudioFormat:
    missing = [name for name in AUDIO_FIELDS if data.get(name) is None]
    if missing:
        raise MissingFieldError(f"The field {missing[0]} is missing; audio has {', '.join(AUDIO_FIELDS)}.")
    width = data["width"]
    encoding = ENCODINGS.get(width) if isinstance(width, int) else None
    if encoding is None:
        raise InvalidFieldError("width", width, ", ".join(map(str, ENCODINGS)))
    return AudioFormat(encoding, data["rate"], data["channels"])


def _shown_format(data: dict[str, Any]) -> str:
    return ", ".join(str(data[name]) for name in AUDIO_FIELDS)


def _info(models: Sequence[OfferedModel]) -> bytes:
    artifact = {"attribution": ATTRIBUTION, "installed": True, "version": VERSION}
    offered = [
        # Home Assistant offers only the languages that are listed.
        {"name": model.name, "description": model.name, "languages": list(model.languages or NAMES), **artifact}
        for model in models
        if Mode.TRANSCRIBE in model.modes
    ]
    program = {
        "name": PROGRAM,
        "description": "Live speech to text",
        "models": offered,
        "supports_transcript_streaming": True,
        "requires_external_vad": True,
        **artifact,
    }
    return event_bytes("info", {"asr": [program]})
