"""The parameters of Deepgram's `/v1/listen`: how they are checked, and the options of the session that they mean.

Unknown parameters are ignored, as Deepgram does. Those that would change the text or the answer in a way that is not
supported here are rejected.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from frontend.protocols.deepgram.parameters import (
    Query,
    audio_format,
    flag,
    integer,
    key_terms,
    last,
    redaction,
    running_model,
    webhook,
)
from frontend.protocols.kinds import Integer
from frontend.protocols.options import OPTIONS, parse_json, parse_text
from frontend.protocols.turn_detection import MAX_SILENCE_MS, MIN_SILENCE_MS
from shared.audio.pcm import AudioFormat
from shared.errors import InvalidFieldError
from shared.session_options import MAX_TRACKS, FillerWords, Profanity, Redaction, SessionOptions
from shared.turn_detection import TurnDetection, TurnDetectionType

REDACTED: Final = {
    "pci": (Redaction.CARDS,),
    "pii": (Redaction.EMAILS, Redaction.PHONES, Redaction.IBANS, Redaction.NUMBERS),
    "ssn": (Redaction.NUMBERS,),
    "numbers": (Redaction.NUMBERS,),
    "true": (Redaction.NUMBERS,),
    "email_address": (Redaction.EMAILS,),
    "phone_number": (Redaction.PHONES,),
    "credit_card": (Redaction.CARDS,),
}
UNSUPPORTED: Final = (
    *("callback", "replace", "search", "detect_entities", "summarize", "topics", "intents", "sentiment"),
    *("translate", "custom_topic", "custom_intent"),
)
"""Parameters that are rejected unless they are false: without them the answer would lack what the client expects."""
NAMES: Final = {"languages": "detect_language"}
"""Deepgram's name of an option, by ours; see `VoxtralError.rename`."""


@dataclass(frozen=True, slots=True)
class Listen:
    """What a client wants."""

    options: SessionOptions
    audio_format: AudioFormat | None
    """None: audio in a container."""
    channels: int = 1
    """Channels of the results: more than one only if they are transcribed separately."""
    endpointing: bool = True
    """Whether results say that a pause has ended them."""
    utterance_end_s: float | None = None
    vad_events: bool = False


def listen(query: Query) -> Listen:
    """Raises InvalidFieldError and MissingFieldError, which name the parameter."""
    for name in UNSUPPORTED:
        for value in query.get(name, ()):
            if value.lower() != "false":
                raise InvalidFieldError(name, "…", "nothing: this is not supported")
    channels = integer(query, "channels", Integer(1, MAX_TRACKS)) or 1
    separate = flag(query, "multichannel")
    interim = flag(query, "interim_results")
    endpointing, rule = _endpointing(query)
    utterance_end_ms = integer(query, "utterance_end_ms", Integer(MIN_SILENCE_MS, MAX_SILENCE_MS))
    options = SessionOptions(
        model=running_model(query),
        **_languages(query),
        keyterms=key_terms(query),
        partials=interim,
        turns=True,
        turn_detection=rule,
        channels=channels if separate else None,
        diarize=flag(query, "diarize") or bool(last(query, "diarize_model")) or None,
        numerals=flag(query, "numerals") or flag(query, "smart_format") or None,
        profanity=Profanity.MASK if flag(query, "profanity_filter") else None,
        filler_words=FillerWords.DROP if last(query, "filler_words") and not flag(query, "filler_words") else None,
        redact=redaction(query, REDACTED),
        **webhook(query),
    )
    return Listen(
        options,
        audio_format(query, channels, separate=separate),
        channels if separate else 1,
        endpointing,
        None if utterance_end_ms is None else utterance_end_ms / 1000,
        flag(query, "vad_events"),
    )


def recording(query: Query) -> SessionOptions:
    """The options for an uploaded recording, whose own header describes it. Raises what `listen` raises."""
    wanted = listen(query)
    if wanted.audio_format is not None:
        given = last(query, "encoding")
        raise InvalidFieldError("encoding", given, "nothing for a recording: send it in a container, such as WAV")
    options = replace(wanted.options, recording=True, partials=False, turns=False, turn_detection=None)
    return replace(options, channels=MAX_TRACKS) if options.channels and not last(query, "channels") else options


def _languages(query: Query) -> dict[str, Any]:
    """`multi` and `detect_language=true` detect the language; several `detect_language` restrict it."""
    found = [value for value in query.get("detect_language", ()) if value and value.lower() not in ("true", "false")]
    name = last(query, "language")
    detected = name is None or name.lower() == "multi" or (last(query, "detect_language") or "").lower() == "true"
    return {
        "language": None if detected or found else parse_text("language", name, OPTIONS["language"].kind),
        "languages": parse_json("detect_language", found or None, OPTIONS["languages"].kind),
    }


def _endpointing(query: Query) -> tuple[bool, TurnDetection | None]:
    """Whether pauses end results, and the length of these pauses if the client says one."""
    value = last(query, "endpointing")
    if value is None or value.lower() in ("true", "false"):
        return value is None or value.lower() == "true", None
    pause_ms = parse_text("endpointing", value, Integer(0, MAX_SILENCE_MS))
    return True, TurnDetection(TurnDetectionType.PAUSE, silence_duration_ms=max(pause_ms, MIN_SILENCE_MS))
