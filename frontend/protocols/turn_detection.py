"""The kind of value of `turn_detection`: an object, whose fields depend on its `type`. Pure."""

from typing import Any, Final

from frontend.protocols.json_objects import parsed
from frontend.protocols.kinds import (
    Choice,
    Flag,
    Integer,
    Kind,
    Number,
    Schema,
    WrongFieldError,
    WrongTypeError,
    WrongValueError,
)
from shared.errors import InvalidJsonError
from shared.turn_detection import Eagerness, TurnDetection, TurnDetectionType

MIN_SILENCE_MS: Final = 64
"""Two windows of the voice activity detector."""
MAX_NAME_CHARS: Final = 64
MAX_SILENCE_MS: Final = 60_000
MAX_PADDING_MS: Final = 5_000
FIELDS: Final[dict[str, Kind]] = {
    "threshold": Number(0, 1),
    "prefix_padding_ms": Integer(0, MAX_PADDING_MS),
    "silence_duration_ms": Integer(MIN_SILENCE_MS, MAX_SILENCE_MS),
    "eagerness": Choice(Eagerness),
    "early": Flag(),
    "end_threshold": Number(0, 1),
    "early_threshold": Number(0, 1),
    "min_silence_ms": Integer(MIN_SILENCE_MS, MAX_SILENCE_MS),
    "max_silence_ms": Integer(MIN_SILENCE_MS, MAX_SILENCE_MS),
}
"""The bounds of each field, for every protocol."""
_OF_BOTH: Final = ("threshold", "prefix_padding_ms")
_OF_TYPE: Final = {
    TurnDetectionType.PAUSE: (*_OF_BOTH, "silence_duration_ms"),
    TurnDetectionType.SEMANTIC: tuple(name for name in FIELDS if name != "silence_duration_ms"),
}


class TurnDetectionKind:
    """A `TurnDetection`. Fields that are null count as absent."""

    allowed = "an object with type (pause or semantic), such as {'type': 'semantic', 'eagerness': 'medium'}"

    def parse(self, value: Any) -> TurnDetection:
        if not isinstance(value, dict):
            raise WrongTypeError(self.allowed)
        if value.get("type") not in list(TurnDetectionType):
            raise WrongValueError(self.allowed)
        kind = TurnDetectionType(value["type"])
        given = {name: entry for name, entry in value.items() if name != "type" and entry is not None}
        for name, entry in given.items():
            if name not in _OF_TYPE[kind]:
                raise WrongFieldError(name[:MAX_NAME_CHARS], entry, f"in type {kind}: {', '.join(_OF_TYPE[kind])}")
        return checked(TurnDetection(kind, **{name: _field(name, entry) for name, entry in given.items()}))

    def from_text(self, text: str) -> TurnDetection:
        """The object as JSON, or only its type."""
        if text in list(TurnDetectionType):
            return TurnDetection(text)
        try:
            return self.parse(parsed(text))
        except InvalidJsonError:
            raise WrongTypeError(self.allowed) from None

    def schema(self) -> Schema:
        return {
            "type": "object",
            "required": ["type"],
            "additionalProperties": False,
            "properties": {"type": Choice(TurnDetectionType).schema()}
            | {name: kind.schema() for name, kind in FIELDS.items()},
        }


def checked(detection: TurnDetection) -> TurnDetection:
    """Raises WrongFieldError for limits that contradict each other."""
    least_ms, most_ms = detection.min_silence_ms, detection.max_silence_ms
    if least_ms is not None and most_ms is not None and least_ms > most_ms:
        raise WrongFieldError("min_silence_ms", least_ms, "at most max_silence_ms")
    end, early = detection.end_threshold, detection.early_threshold
    if end is not None and early is not None and early > end:
        raise WrongFieldError("early_threshold", early, "at most end_threshold")
    return detection


def _field(name: str, value: Any) -> Any:
    try:
        return FIELDS[name].parse(value)
    except WrongValueError:
        raise WrongFieldError(name, value, FIELDS[name].allowed) from None
