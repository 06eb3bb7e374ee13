"""The options of a session: one table of their names, kinds, bounds and descriptions.

Every protocol checks its clients' values with it, and OpenAPI and AsyncAPI describe the fields with it. A new option
is a line here and a field of `SessionOptions`. Pure.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from frontend.protocols.keyterms import KeyTerms
from frontend.protocols.kinds import (
    Choice,
    Choices,
    Flag,
    Integer,
    Kind,
    Language,
    Languages,
    Number,
    Steps,
    Terms,
    Text,
    Url,
    WrongFieldError,
    WrongValueError,
)
from frontend.protocols.known_speakers import KnownSpeakers
from frontend.protocols.turn_detection import TurnDetectionKind
from shared.errors import InvalidFieldError
from shared.session_options import (
    DELAYS_MS,
    MAX_TRACKS,
    ChannelMode,
    CommitDelay,
    FillerWords,
    KnownSpeaker,
    Mode,
    Profanity,
    Redaction,
    SessionOptions,
)
from shared.webhooks.webhook import WebhookEvent

MAX_MODEL_CHARS: Final = 128
MAX_PROMPT_CHARS: Final = 8_000
MAX_NEW_TOKENS: Final = 4096
MAX_REDACT_TERMS: Final = 200
MAX_REDACT_TERM_CHARS: Final = 100
MAX_KEYTERMS: Final = 200
MAX_KEYTERM_CHARS: Final = 100
MAX_BOOST: Final = 4.0
MAX_SPEAKERS: Final = 16
MAX_SPEAKER_NAME_CHARS: Final = 100

ONE_SHOT, START, CONFIGURE = "audio", "start", "configure"
"""The native messages that accept options."""


@dataclass(frozen=True, slots=True)
class Option:
    name: str
    kind: Kind
    description: str
    messages: frozenset[str]
    """The native messages that accept it."""

    def parse(self, value: Any) -> Any:
        """The value of a JSON message; None counts as absent and stays None. Raises InvalidFieldError."""
        return parse_json(self.name, value, self.kind)

    def schema(self, *, nullable: bool = False) -> dict[str, Any]:
        """JSON Schema with the description."""
        schema = self.kind.schema()
        if nullable:
            schema["type"] = [schema["type"], "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
        return {**schema, "description": self.description}


_ALL: Final = frozenset({ONE_SHOT, START, CONFIGURE})
_AT_START: Final = frozenset({ONE_SHOT, START})
_LIVE: Final = frozenset({START, CONFIGURE})
_TABLE: Final = (
    Option(
        "mode",
        Choice(Mode),
        "What the model does: transcribe, understand (answers a prompt about the speech), general (follows the spoken "
        "instruction) or translate (into English).",
        _AT_START,
    ),
    Option(
        "model",
        Text(MAX_MODEL_CHARS, min_chars=1, example="auto"),
        "A running model, by its name or the part after the last `/`, or `auto`.",
        _AT_START,
    ),
    Option(
        "language",
        Language(),
        "A code (`en`, `eng`, `en-US`) or an English name (`english`); `auto` detects it. A regional variant selects "
        "its language.",
        _ALL,
    ),
    Option(
        "languages",
        Languages(),
        "Each segment has one of them. If `language` is given too, it must be one of them.",
        _ALL,
    ),
    Option(
        "prompt",
        Text(MAX_PROMPT_CHARS),
        "Names to expect, or the question. Whisper uses its last 223 tokens; a warning names the part without effect.",
        _ALL,
    ),
    Option(
        "delay_ms",
        Steps(tuple(sorted(DELAYS_MS)), "80 to 1200 in steps of 80, or 2400"),
        "How long Voxtral Realtime listens before it writes a word.",
        _LIVE,
    ),
    Option(
        "commit_delay",
        Choice(CommitDelay),
        "How soon words of an open segment are committed, for models that support it.",
        _LIVE,
    ),
    Option("max_new_tokens", Integer(1, MAX_NEW_TOKENS), "Longest answer, in tokens.", _ALL),
    Option("temperature", Number(0, 2), "0 always selects the most likely token.", _ALL),
    Option(
        "top_p",
        Number(0, 1, excludes_low=True),
        "Tokens are sampled from the most likely ones with this total probability.",
        _ALL,
    ),
    Option("numerals", Flag(), "Whether spoken numbers are written in digits.", _ALL),
    Option("profanity", Choice(Profanity), "`mask` keeps only the first letter of profane words.", _ALL),
    Option("filler_words", Choice(FillerWords), "`drop` leaves out words such as uh and um.", _ALL),
    Option(
        "redact",
        Choices(Redaction),
        "What finals contain only as its kind, such as `[PHONE]`. Nothing is sent of a segment before its final.",
        _ALL,
    ),
    Option(
        "redact_terms",
        Terms(MAX_REDACT_TERMS, MAX_REDACT_TERM_CHARS),
        "Words and names that finals contain only as `[REDACTED]`, whatever their case.",
        _ALL,
    ),
    Option(
        "turn_detection",
        TurnDetectionKind(),
        "How a turn ends: at a pause, or, with type `semantic`, when the speaker has finished. null: at the pauses of "
        "the engine, without events about turns.",
        _LIVE,
    ),
    Option(
        "channel_mode",
        Choice(ChannelMode),
        "`separate` transcribes each channel as its own track and takes one slot for each; `mix` mixes the channels.",
        _AT_START,
    ),
    Option(
        "channels",
        Integer(1, MAX_TRACKS),
        "The number of channels with `channel_mode` `separate`; of a recording the most that it may have.",
        frozenset(),
    ),
    Option(
        "keyterms",
        KeyTerms(MAX_KEYTERMS, MAX_KEYTERM_CHARS, MAX_BOOST),
        "Words and names that the model prefers if the speech may contain them, each with a `boost` or as a string.",
        _ALL,
    ),
    Option("diarize", Flag(), "Whether words and finals name their speaker.", _ALL),
    Option(
        "max_speakers",
        Integer(2, MAX_SPEAKERS),
        "Most speakers of the session, or of each separate channel, known ones included.",
        _ALL,
    ),
    Option(
        "known_speakers",
        KnownSpeakers(MAX_SPEAKERS, MAX_SPEAKER_NAME_CHARS),
        "Speakers whose name is their label: each with 1 to 10 seconds of `audio`, or with the `embedding` of its "
        "voice.",
        _AT_START,
    ),
    Option(
        "revise",
        Flag(),
        "Whether finals are decoded again by a second model, if the server has one; `revised` replaces their text.",
        _ALL,
    ),
    Option(
        "webhook",
        Url(),
        "A URL to which the server sends finals and the end of the session, signed, if it allows webhooks.",
        _AT_START,
    ),
    Option(
        "webhook_events",
        Choices(WebhookEvent),
        "The events that are sent to `webhook`, or to the webhook of the key; all if it is absent.",
        _AT_START,
    ),
    Option("words", Flag(), "Whether finals and committed text include word times.", frozenset({START})),
    Option("partials", Flag(), "Whether text is sent before its segment ends.", frozenset({START})),
    Option(
        "recording",
        Flag(),
        "Whether all of the audio exists already: it may be decoded in long windows, which takes less time and is more "
        "accurate.",
        frozenset({START}),
    ),
)
WORDING: Final = ("numerals", "profanity", "filler_words", "redact", "redact_terms", "revise")
"""The options of the text of finals; every API takes them under these names."""
CHANNELS: Final = ("channel_mode", "channels")
"""The options that say what becomes of channels. In native messages `channels` belongs to the format of the audio."""
KEYWORDS: Final = KeyTerms(MAX_KEYTERMS, MAX_KEYTERM_CHARS)
"""The same as OpenAI's `keywords` and Mistral's `context_bias`: strings only."""
WEBHOOK: Final = ("webhook", "webhook_events")
"""The options that say where events are sent; every API that has them takes them under these names."""
SPEAKERS: Final = ("diarize", "max_speakers", "known_speakers")
"""The options of sessions whose text names its speakers."""
OPTIONS: Final = {option.name: option for option in _TABLE}


def parse_json(field: str, value: Any, kind: Kind) -> Any:
    """The value of a field of a JSON message; None counts as absent and stays None. Raises InvalidFieldError."""
    return _parsed(field, value, kind, kind.parse)


def parse_text(field: str, text: str | None, kind: Kind) -> Any:
    """The same for a field of a form, or an option on the command line."""
    return _parsed(field, text, kind, kind.from_text)


def _parsed(field: str, given: Any, kind: Kind, parse: Callable[[Any], Any]) -> Any:
    try:
        return None if given is None else parse(given)
    except WrongFieldError as error:
        raise InvalidFieldError(f"{field}.{error.name}", error.part, error.allowed) from None
    except WrongValueError as error:
        allowed = kind.allowed if error.part is None else error.allowed  # of the whole value, with its type
        raise InvalidFieldError(field, error.part_of(given), allowed) from None


def options_of(message: str) -> list[Option]:
    """The options that a native message accepts, in the order of the table."""
    return [option for option in _TABLE if message in option.messages]


def schemas(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """JSON Schema by name."""
    return {name: OPTIONS[name].schema() for name in names}


def tracks(channel_mode: ChannelMode | None, channels: int | None, default: int = MAX_TRACKS) -> int | None:
    """The number of tracks; None mixes the channels. Raises InvalidFieldError for `channels` alone."""
    if channel_mode is ChannelMode.SEPARATE:
        return channels or default
    if channels is not None:
        raise InvalidFieldError("channels", channels, "nothing unless channel_mode is separate: channels are mixed")
    return None


def parse_references(
    field: str, audio_by_name: Iterable[tuple[object, object]], form: str
) -> tuple[KnownSpeaker, ...] | None:
    """`known_speakers` from names and their audio in base64, in another API's `form` (see `KnownSpeakers`). Raises
    InvalidFieldError that names `field`."""
    kind = KnownSpeakers(MAX_SPEAKERS, MAX_SPEAKER_NAME_CHARS, form)
    listed = [{"name": name, "audio": audio} for name, audio in audio_by_name]
    known: tuple[KnownSpeaker, ...] | None = parse_json(field, listed, kind)
    return known


def check_language(options: SessionOptions) -> None:
    """Raises InvalidFieldError for a language that is not in the list of languages given with it."""
    if options.language is not None and options.languages is not None and options.language not in options.languages:
        allowed = f"one of languages ({', '.join(options.languages)}), or null to detect which of them"
        raise InvalidFieldError("language", options.language, allowed)


def check_speakers(options: SessionOptions) -> None:
    """Raises InvalidFieldError for known speakers in a session that names none."""
    if options.known_speakers and not options.diarize:
        raise InvalidFieldError("diarize", options.diarize, "true if known_speakers is given")
