"""The first message of a WhisperLive client: its options, and the session that they mean. Pure.

Options about how WhisperLive's own server finds speech have no effect. Unknown ones are ignored.
"""

from dataclasses import dataclass
from typing import Any, Final

from frontend.protocols.keyterms import distinct
from frontend.protocols.kinds import Integer, Text
from frontend.protocols.options import KEYWORDS, MAX_SPEAKERS, OPTIONS, parse_json, parse_references
from shared.errors import InvalidFieldError, MissingFieldError
from shared.session_options import KeyTerm, KnownSpeaker, Mode, SessionOptions
from shared.whisper_models import is_whisper

UID: Final = Text(128, min_chars=1)
MAX_SEGMENTS: Final = 100
DEFAULT_SEGMENTS: Final = 10
TASKS: Final = {"transcribe": Mode.TRANSCRIBE, "translate": Mode.TRANSLATE}
NAMES: Final = {"mode": "task"}
"""WhisperLive's names of options, by ours; see `VoxtralError.rename`."""

KNOWN_SPEAKERS: Final = (
    "a list of at most {most} objects, each with its own 'name' of {chars} and 'audio_base64' ({audio})"
)


@dataclass(frozen=True, slots=True)
class Options:
    uid: str
    """The client ignores messages with another one."""
    session: SessionOptions
    last_segments: int
    """How many segments each message has."""
    asks_for_translation: bool
    """Whether the client wants a second transcript in another language, which is not supported."""


def parse_options(wire: dict[str, Any]) -> Options:
    """Raises InvalidFieldError."""
    task = wire.get("task") or "transcribe"
    if not isinstance(task, str) or task not in TASKS:
        raise InvalidFieldError("task", task, ", ".join(TASKS))
    diarizes = _option("enable_diarization", wire, "diarize")
    session = SessionOptions(
        mode=TASKS[task],
        model=_model(wire),
        language=_option("language", wire, "language"),
        prompt=_option("initial_prompt", wire, "prompt"),
        words=bool(_option("word_timestamps", wire, "words") or diarizes),
        keyterms=_hotwords(wire.get("hotwords")),
        diarize=diarizes or None,
        max_speakers=_most_speakers(wire) if diarizes else None,
        known_speakers=_known_speakers(wire) if diarizes else None,
    )
    last = parse_json("send_last_n_segments", wire.get("send_last_n_segments"), Integer(1, MAX_SEGMENTS))
    return Options(uid_of(wire), session, last or DEFAULT_SEGMENTS, wire.get("enable_translation") is True)


def uid_of(wire: dict[str, Any]) -> str:
    uid: str | None = parse_json("uid", wire.get("uid"), UID)
    if uid is None:
        raise MissingFieldError("The field uid is missing; the first message requires it.")
    return uid


def _option(field: str, wire: dict[str, Any], name: str) -> Any:
    value = wire.get(field)
    return parse_json(field, None if value == "" else value, OPTIONS[name].kind)


def _model(wire: dict[str, Any]) -> str | None:
    """None for a size of Whisper: clients always send one, `small` if their user chose none."""
    name: str | None = _option("model", wire, "model")
    return None if name is None or is_whisper(f"whisper-{name}".casefold()) else name


def _most_speakers(wire: dict[str, Any]) -> int:
    """Clients send 10 if their user chose no number."""
    most: int | None = parse_json("max_speakers", wire.get("max_speakers"), Integer(1))
    return min(max(most or MAX_SPEAKERS, 2), MAX_SPEAKERS)


def _known_speakers(wire: dict[str, Any]) -> tuple[KnownSpeaker, ...] | None:
    known = wire.get("known_speakers") or []
    if not isinstance(known, list) or not all(isinstance(one, dict) for one in known):
        raise InvalidFieldError("known_speakers", "…", "a list of objects with name and audio_base64")
    voices = [(one.get("name"), one.get("audio_base64")) for one in known]
    return parse_references("known_speakers", voices, KNOWN_SPEAKERS)


def _hotwords(value: object) -> tuple[KeyTerm, ...] | None:
    """Words and names with commas between them."""
    text: str | None = parse_json("hotwords", value, OPTIONS["prompt"].kind)
    terms = [term.strip() for term in (text or "").split(",") if term.strip()]
    parsed: tuple[KeyTerm, ...] | None = parse_json("hotwords", terms, KEYWORDS)
    return distinct(parsed) if parsed else None
