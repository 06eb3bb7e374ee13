"""The options that a client of Mistral's realtime API may set before its audio: how they are checked and returned.

Checks are strict: unsupported values are rejected with the supported ones, and the returned session is the one that is
applied.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from frontend.protocols.keyterms import distinct, written
from frontend.protocols.kinds import WrongValueError, whole_number
from frontend.protocols.options import (
    CHANNELS,
    KEYWORDS,
    MAX_KEYTERMS,
    OPTIONS,
    WEBHOOK,
    WORDING,
    parse_json,
    parse_references,
    tracks,
)
from frontend.protocols.turn_detection import FIELDS as TURN_FIELDS
from shared.audio.pcm import AudioFormat
from shared.errors import InvalidFieldError, MissingFieldError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import DELAYS_MS, KeyTerm, KnownSpeaker, SessionOptions
from shared.turn_detection import TurnDetection, TurnDetectionType

ENCODINGS: Final = {
    "pcm_s16le": "pcm_s16le",
    "pcm_s32le": "pcm_s32le",
    "pcm_f16le": "pcm_f16le",
    "pcm_f32le": "pcm_f32le",
    "pcm_mulaw": "pcmu",
    "pcm_alaw": "pcma",
}
"""Mistral's names, and ours."""
DEFAULT_ENCODING: Final = "pcm_s16le"
SPEAKER_REFERENCES: Final = "an object of at most {most} names of {chars}, each with {audio}"
NAMES: Final = {"known_speakers": "speaker_references", "sample_rate": "audio_format.sample_rate"}
"""Mistral's names of fields, by ours; see `VoxtralError.rename`."""
MIN_DELAY_MS: Final = 80
MAX_DELAY_MS: Final = 2400
TURN_DETECTION_FIELDS: Final = {
    "start_threshold": "threshold",
    "eager_end_threshold": "early_threshold",
    "end_threshold": "end_threshold",
    "min_silence_ms": "min_silence_ms",
    "end_timeout_ms": "max_silence_ms",
}
"""Mistral's names, and ours."""
FALLING: Final = ("eager_end_threshold", "end_threshold")
"""A turn ends when the probability that the speaker continues falls to these: in Mistral's defaults, 0.5 notifies
early and 0.33 ends. Ours are probabilities that the speaker has finished."""
DEFAULT_TRACKS: Final = 2
"""If a client separates channels and does not say how many."""


@dataclass(frozen=True, slots=True)
class MistralSession:
    """The current options. None means the service's own choice."""

    request_id: str
    model: str
    encoding: str = DEFAULT_ENCODING
    """A key of `ENCODINGS`."""
    sample_rate: int = SAMPLE_RATE_HZ
    delay_ms: int | None = None
    language: str | None = None
    terms: tuple[KeyTerm, ...] = ()
    """`context_bias`: words to expect."""
    keyterms: tuple[KeyTerm, ...] | None = None
    """The same with boosts: our addition."""
    turns: Mapping[str, Any] | None = None
    """The client's `turn_detection`, only with values that it has set; None if it wants no events about turns."""
    diarize: bool = False
    references: tuple[KnownSpeaker, ...] = ()
    wording: Mapping[str, Any] = field(default_factory=dict)
    """Options that say how text is written, and `max_speakers`: our additions. Only those that are set."""
    separation: Mapping[str, Any] = field(default_factory=dict)
    """The same for `channel_mode` and `channels`."""
    webhook: Mapping[str, Any] = field(default_factory=dict)
    """The same for `webhook` and `webhook_events`."""

    @property
    def channels(self) -> int | None:
        """The number of interleaved channels that are transcribed separately; None: the audio is mono."""
        return tracks(self.separation.get("channel_mode"), self.separation.get("channels"), DEFAULT_TRACKS)

    @property
    def audio_format(self) -> AudioFormat:
        channels = self.channels
        encoding = ENCODINGS[self.encoding]
        return AudioFormat(encoding, self.sample_rate, channels or 1, separate=channels is not None)

    @property
    def options(self) -> SessionOptions:
        return SessionOptions(
            language=self.language,
            keyterms=distinct([*(self.keyterms or ()), *self.terms])[:MAX_KEYTERMS] or None,
            delay_ms=self.delay_ms,
            words=self.diarize,
            turns=True,
            model=self.model,
            turn_detection=self._turn_detection,
            channels=self.channels,
            diarize=self.diarize or None,
            known_speakers=self.references or None,
            **self.wording,
            **self.webhook,
        )

    @property
    def _turn_detection(self) -> TurnDetection | None:
        if self.turns is None:
            return None
        rule = {
            TURN_DETECTION_FIELDS[name]: round(1 - value, 6) if name in FALLING else value
            for name, value in self.turns.items()
        }
        return TurnDetection(TurnDetectionType.SEMANTIC, early=True, **rule)

    def to_wire(self) -> dict[str, Any]:
        """The session as in `session.created` and `session.updated`."""
        return {
            "request_id": self.request_id,
            "model": self.model,
            "audio_format": {"encoding": self.encoding, "sample_rate": self.sample_rate},
            "target_streaming_delay_ms": self.delay_ms,
            "language": self.language,
            "context_bias": [one.term for one in self.terms] or None,
            "diarize": self.diarize,
            "speaker_references": [speaker.name for speaker in self.references] or None,
            # null: the service's own value
            "turn_detection": None if self.turns is None else dict.fromkeys(TURN_DETECTION_FIELDS) | dict(self.turns),
            **({} if self.keyterms is None else {"keyterms": written(self.keyterms)}),
            **{
                name: list(value) if isinstance(value, tuple) else value
                for name, value in {**self.wording, **self.webhook}.items()
            },
            **self.separation,
        }

    def updated(self, changes: object) -> "MistralSession":
        """The session with a client's changes; null resets a field. Raises InvalidFieldError and MissingFieldError."""
        if not isinstance(changes, dict):
            raise InvalidFieldError("session", changes, f"an object with any of {', '.join(_APPLY)}")
        if not changes:
            raise MissingFieldError(
                f"session contains no field (clients leave out an audio_format that they do not know); it accepts any "
                f"of {', '.join(_APPLY)}; audio_format.encoding is one of {', '.join(ENCODINGS)}."
            )
        session = self
        for name, value in changes.items():
            apply = _APPLY.get(name)
            if apply is None:
                raise InvalidFieldError("a field of session", name, ", ".join(_APPLY))
            session = apply(session, value)
        tracks(session.separation.get("channel_mode"), session.separation.get("channels"))  # raises for one alone
        return session


def _with_audio_format(session: MistralSession, value: object) -> MistralSession:
    if value is None:
        return replace(session, encoding=DEFAULT_ENCODING, sample_rate=SAMPLE_RATE_HZ)
    if not isinstance(value, dict) or not value.keys() <= {"encoding", "sample_rate"}:
        raise InvalidFieldError("audio_format", value, "an object with encoding and sample_rate; audio is mono")
    encoding = value.get("encoding", session.encoding)
    if not isinstance(encoding, str) or encoding not in ENCODINGS:
        raise InvalidFieldError("audio_format.encoding", encoding, ", ".join(ENCODINGS))
    sample_rate = value.get("sample_rate", session.sample_rate)
    rate_hz = whole_number(sample_rate)
    changed = replace(session, encoding=encoding, sample_rate=sample_rate if rate_hz is None else rate_hz)
    assert changed.audio_format  # built to be checked: it raises for a rate that is not allowed
    return changed


def _with_delay(session: MistralSession, value: object) -> MistralSession:
    """The nearest delay that models support, at or above the requested one."""
    if value is None:
        return replace(session, delay_ms=None)
    wanted_ms = whole_number(value)
    if wanted_ms is None or not MIN_DELAY_MS <= wanted_ms <= MAX_DELAY_MS:
        allowed = f"a whole number from {MIN_DELAY_MS} to {MAX_DELAY_MS} (milliseconds)"
        raise InvalidFieldError("target_streaming_delay_ms", value, allowed)
    return replace(session, delay_ms=min(delay_ms for delay_ms in DELAYS_MS if delay_ms >= wanted_ms))


def _with_language(session: MistralSession, value: object) -> MistralSession:
    """An empty string means unset, as it does for recordings."""
    return replace(session, language=OPTIONS["language"].parse(None if value == "" else value))


def _with_terms(session: MistralSession, value: object) -> MistralSession:
    try:
        terms = KEYWORDS.parse([] if value is None else value)
    except WrongValueError as error:
        raise InvalidFieldError("context_bias", error.part_of(value), error.allowed) from None
    return replace(session, terms=terms or ())


def _with_keyterms(session: MistralSession, value: object) -> MistralSession:
    return replace(session, keyterms=OPTIONS["keyterms"].parse(value))


def _with_turn_detection(session: MistralSession, value: object) -> MistralSession:
    if value is None:
        return replace(session, turns=None)
    if not isinstance(value, dict) or not value.keys() <= TURN_DETECTION_FIELDS.keys():
        raise InvalidFieldError("turn_detection", value, f"an object with any of {', '.join(TURN_DETECTION_FIELDS)}")
    parsed = {
        name: parse_json(f"turn_detection.{name}", entry, TURN_FIELDS[TURN_DETECTION_FIELDS[name]])
        for name, entry in value.items()
    }
    turns = {name: entry for name, entry in parsed.items() if entry is not None}
    if turns.get("min_silence_ms", 0) > turns.get("end_timeout_ms", math.inf):
        allowed = "at most turn_detection.end_timeout_ms"
        raise InvalidFieldError("turn_detection.min_silence_ms", turns["min_silence_ms"], allowed)
    if turns.get("eager_end_threshold", 1.0) < turns.get("end_threshold", 0.0):
        allowed = "at least turn_detection.end_threshold"
        raise InvalidFieldError("turn_detection.eager_end_threshold", turns["eager_end_threshold"], allowed)
    return replace(session, turns=turns)


def _with_option(group: str, name: str) -> Any:
    """`group` is the field of the session that holds the option."""

    def apply(session: MistralSession, value: object) -> MistralSession:
        option = OPTIONS[name].parse(value)
        kept = {other: set_value for other, set_value in getattr(session, group).items() if other != name}
        changes: dict[str, Any] = {group: kept if option is None else kept | {name: option}}
        return replace(session, **changes)

    return apply


def _with_diarize(session: MistralSession, value: object) -> MistralSession:
    return replace(session, diarize=bool(OPTIONS["diarize"].parse(value)))


def _with_references(session: MistralSession, value: object) -> MistralSession:
    known = {} if value is None else value
    if not isinstance(known, dict):
        raise InvalidFieldError("speaker_references", "…", "an object: names, each with a recording in base64")
    references = parse_references("speaker_references", known.items(), SPEAKER_REFERENCES)
    return replace(session, references=references or ())


_APPLY: Final[dict[str, Any]] = {
    "audio_format": _with_audio_format,
    "target_streaming_delay_ms": _with_delay,
    "language": _with_language,
    "context_bias": _with_terms,
    "keyterms": _with_keyterms,
    "turn_detection": _with_turn_detection,
    "diarize": _with_diarize,
    "speaker_references": _with_references,
    **{name: _with_option("wording", name) for name in (*WORDING, "max_speakers")},
    **{name: _with_option("separation", name) for name in CHANNELS},
    **{name: _with_option("webhook", name) for name in WEBHOOK},
}
