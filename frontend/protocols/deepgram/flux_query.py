"""The parameters of Deepgram's `/v2/listen` (Flux), and how a `Configure` message changes them.

A turn ends by our semantic turn detection: its probability that the speaker has finished is Flux's confidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from frontend.protocols.deepgram.configure import feature_changes, keyterm_changes
from frontend.protocols.deepgram.parameters import (
    Query,
    audio_format,
    flag,
    key_terms,
    last,
    redaction,
    running_model,
    webhook,
)
from frontend.protocols.kinds import Integer, Kind, Number, WrongFieldError
from frontend.protocols.options import OPTIONS, parse_json, parse_text
from frontend.protocols.turn_detection import checked
from shared.audio.pcm import AudioFormat
from shared.errors import InvalidFieldError
from shared.session_options import Profanity, Redaction, SessionOptions
from shared.turn_detection import TurnDetection, TurnDetectionType

ENGLISH: Final = "flux-general-en"
MULTILINGUAL: Final = "flux-general-multi"
EAGER: Final = "eager_eot_threshold"
THRESHOLDS: Final[dict[str, tuple[str, Kind]]] = {
    EAGER: ("early_threshold", Number(0.3, 0.9)),
    "eot_threshold": ("end_threshold", Number(0.5, 1)),
    "eot_timeout_ms": ("max_silence_ms", Integer(500, 60_000)),
}
"""The field of `TurnDetection` for each of Flux's, and its bounds."""
TIMEOUT_MS: Final = 5000
"""Flux's default."""
HINTED_LANGUAGES: Final = "language_hint"
CONFIGURED_LANGUAGES: Final = "language_hints"
"""The names of our `languages` as a parameter, and in `Configure`."""
LANGUAGES: Final = OPTIONS["languages"].kind
REDACTED: Final = {"numbers": (Redaction.NUMBERS,), "aggressive_numbers": (Redaction.NUMBERS,)}


@dataclass(frozen=True, slots=True)
class FluxListen:
    """What a client wants."""

    options: SessionOptions
    audio_format: AudioFormat | None
    """None: audio in a container."""
    is_multilingual: bool = False
    """Whether it is informed about languages, and may limit them."""

    @property
    def thresholds(self) -> dict[str, Any]:
        """Those that the client has set, and the timeout, in Flux's names."""
        detection = self.options.turn_detection
        found = {name: getattr(detection, field) for name, (field, _) in THRESHOLDS.items()}
        return {name: value for name, value in found.items() if value is not None}


def flux_listen(query: Query) -> FluxListen:
    """Raises InvalidFieldError and MissingFieldError, which name the parameter."""
    given = {name: parse_text(name, last(query, name), kind) for name, (_, kind) in THRESHOLDS.items()}
    is_multilingual = last(query, "model") != ENGLISH
    hints = [value for value in query.get(HINTED_LANGUAGES, ()) if value]
    options = SessionOptions(
        model=running_model(query),
        language=None if is_multilingual else "en",
        languages=parse_json(HINTED_LANGUAGES, hints or None, LANGUAGES) if is_multilingual else None,
        keyterms=key_terms(query),
        turns=True,
        turn_detection=_detection(TurnDetection(TurnDetectionType.SEMANTIC, max_silence_ms=TIMEOUT_MS), given),
        numerals=flag(query, "numerals") or None,
        profanity=Profanity.MASK if flag(query, "profanity_filter") else None,
        redact=redaction(query, REDACTED),
        **webhook(query),
    )
    return FluxListen(options, audio_format(query, 1, separate=False), is_multilingual)


def configured(message: Mapping[str, Any], wanted: FluxListen) -> dict[str, Any]:
    """The fields of `SessionOptions` that a `Configure` message changes; null changes nothing.

    Raises InvalidFieldError.
    """
    changes = keyterm_changes(message) | feature_changes(message)
    thresholds = message.get("thresholds")
    if thresholds is not None:
        if not isinstance(thresholds, dict):
            raise InvalidFieldError("thresholds", thresholds, f"an object with {', '.join(THRESHOLDS)}")
        given = {name: parse_json(name, thresholds.get(name), kind) for name, (_, kind) in THRESHOLDS.items()}
        assert wanted.options.turn_detection is not None
        changes["turn_detection"] = _detection(wanted.options.turn_detection, given)
    hints = message.get(CONFIGURED_LANGUAGES)
    if hints is not None:
        if not wanted.is_multilingual:
            raise InvalidFieldError(CONFIGURED_LANGUAGES, hints, f"nothing with {ENGLISH}; {MULTILINGUAL} allows them")
        changes["languages"] = parse_json(CONFIGURED_LANGUAGES, hints or None, LANGUAGES)
    return changes


def no_english() -> InvalidFieldError:
    """The error if no running model knows the language that `ENGLISH` means: Flux has no parameter `language`."""
    return InvalidFieldError("model", ENGLISH, f"{MULTILINGUAL}, because no running model knows English")


def _detection(before: TurnDetection, given: Mapping[str, Any]) -> TurnDetection:
    fields = {THRESHOLDS[name][0]: value for name, value in given.items() if value is not None}
    try:
        detection = checked(replace(before, **fields))
    except WrongFieldError as error:
        raise InvalidFieldError(EAGER, error.part, "at most eot_threshold") from None
    return replace(detection, early=detection.early_threshold is not None)
