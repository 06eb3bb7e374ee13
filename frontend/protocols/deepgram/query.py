"""The parameters of Deepgram's `/v1/listen`: how they are checked, and the options of the session that they mean.

Unknown parameters are ignored, as Deepgram does. Those that would change the text or the answer in a way that is not
supported here are rejected.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from frontend.protocols.keyterms import distinct
from frontend.protocols.kinds import Flag, Integer
from frontend.protocols.options import (
    MAX_BOOST,
    MAX_KEYTERM_CHARS,
    MAX_KEYTERMS,
    MAX_MODEL_CHARS,
    OPTIONS,
    parse_text,
)
from frontend.protocols.turn_detection import MAX_SILENCE_MS, MIN_SILENCE_MS
from shared.audio.pcm import AudioFormat
from shared.errors import InvalidFieldError, MissingFieldError
from shared.events import MAX_TRACKS, FillerWords, KeyTerm, Profanity, Redaction, SessionOptions
from shared.turn_detection import TurnDetection, TurnDetectionType

Query = Mapping[str, Sequence[str]]
"""The values of each parameter, in the order in which they were sent."""

ENCODINGS: Final = {"linear16": "pcm_s16le", "linear32": "pcm_s32le", "mulaw": "pcmu", "alaw": "pcma"}
"""Deepgram's names of raw encodings, and ours."""
CONTAINERS: Final = ("opus", "ogg-opus", "flac")
"""Encodings that are read from the container of the audio."""
TELEPHONE_HZ: Final = 8000
OWN_MODELS: Final = re.compile(r"(nova|flux|enhanced|base)([-0-9].*)?")
"""Deepgram's models. They mean its service, which this service replaces: the best running model serves them."""
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
_FLAG: Final = Flag()


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


def query_of(pairs: Iterable[tuple[str, str]]) -> Query:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def listen(query: Query) -> Listen:
    """Raises InvalidFieldError and MissingFieldError, which name the parameter."""
    for name in UNSUPPORTED:
        for value in query.get(name, ()):
            if value.lower() != "false":
                raise InvalidFieldError(name, value, "nothing: this is not supported")
    channels = _integer(query, "channels", Integer(1, MAX_TRACKS)) or 1
    separate = _flag(query, "multichannel")
    interim = _flag(query, "interim_results")
    endpointing, rule = _endpointing(query)
    utterance_end_ms = _integer(query, "utterance_end_ms", Integer(MIN_SILENCE_MS, MAX_SILENCE_MS))
    options = SessionOptions(
        model=_model(query),
        **_languages(query),
        keyterms=_keyterms(query),
        partials=interim,
        turns=True,
        turn_detection=rule,
        channels=channels if separate else None,
        diarize=_flag(query, "diarize") or bool(_last(query, "diarize_model")) or None,
        numerals=_flag(query, "numerals") or _flag(query, "smart_format") or None,
        profanity=Profanity.MASK if _flag(query, "profanity_filter") else None,
        filler_words=FillerWords.DROP if _last(query, "filler_words") == "false" else None,
        redact=_redact(query),
    )
    return Listen(
        options,
        _audio_format(query, channels, separate=separate),
        channels if separate else 1,
        endpointing,
        None if utterance_end_ms is None else utterance_end_ms / 1000,
        _flag(query, "vad_events"),
    )


def recording(query: Query) -> SessionOptions:
    """The options for an uploaded recording, whose own header describes it. Raises what `listen` raises."""
    wanted = listen(query)
    if wanted.audio_format is not None:
        given = _last(query, "encoding")
        raise InvalidFieldError("encoding", given, "nothing for a recording: send it in a container, such as WAV")
    options = replace(wanted.options, recording=True, partials=False, turns=False, turn_detection=None)
    return replace(options, channels=MAX_TRACKS) if options.channels and not _last(query, "channels") else options


def _last(query: Query, name: str) -> str | None:
    """An empty value counts as absent."""
    values = query.get(name, ())
    return (values[-1] or None) if values else None


def _flag(query: Query, name: str) -> bool:
    return bool(parse_text(name, _last(query, name), _FLAG))


def _integer(query: Query, name: str, kind: Integer) -> int | None:
    value: int | None = parse_text(name, _last(query, name), kind)
    return value


def _model(query: Query) -> str | None:
    name = _last(query, "model")
    if name is None or OWN_MODELS.fullmatch(name.casefold()):
        return None
    return name[:MAX_MODEL_CHARS]


def _languages(query: Query) -> dict[str, Any]:
    """`multi` and `detect_language=true` detect the language; several `detect_language` restrict it."""
    found = [value for value in query.get("detect_language", ()) if value and value.lower() not in ("true", "false")]
    name = _last(query, "language")
    detected = name is None or name.lower() == "multi" or _last(query, "detect_language") == "true"
    return {
        "language": None if detected or found else parse_text("language", name, OPTIONS["language"].kind),
        "languages": OPTIONS["languages"].parse(found or None),
    }


def _endpointing(query: Query) -> tuple[bool, TurnDetection | None]:
    """Whether pauses end results, and the length of these pauses if the client says one."""
    value = _last(query, "endpointing")
    if value is None or value.lower() in ("true", "false"):
        return value is None or value.lower() == "true", None
    pause_ms = parse_text("endpointing", value, Integer(0, MAX_SILENCE_MS))
    return True, TurnDetection(TurnDetectionType.PAUSE, silence_duration_ms=max(pause_ms, MIN_SILENCE_MS))


def _keyterms(query: Query) -> tuple[KeyTerm, ...] | None:
    """`keyterm` has terms; `keywords` has terms that may end with a colon and their weight."""
    terms = [_term("keyterm", value.strip()) for value in query.get("keyterm", ()) if value.strip()]
    for value in query.get("keywords", ()):
        name, _, weight = value.rpartition(":")
        try:
            boost = min(max(float(weight), 0.0), MAX_BOOST) if name else None
        except ValueError:
            name, boost = value, None
        word = (name or value).strip()
        if word:
            terms.append(_term("keywords", word) if boost is None else _term("keywords", word, boost))
    if len(found := distinct(terms)) > MAX_KEYTERMS:
        raise InvalidFieldError("keyterm and keywords", f"{len(found)} terms", f"at most {MAX_KEYTERMS} together")
    return found or None


def _term(field: str, term: str, *boost: float) -> KeyTerm:
    if len(term) > MAX_KEYTERM_CHARS or (boost and boost[0] != boost[0]):
        raise InvalidFieldError(field, "…", f"a term of 1 to {MAX_KEYTERM_CHARS} characters")
    return KeyTerm(term, *boost)


def _redact(query: Query) -> tuple[str, ...] | None:
    kinds: list[str] = []
    for value in query.get("redact", ()):
        if value.lower() in ("", "false"):
            continue
        if value.lower() not in REDACTED:
            raise InvalidFieldError("redact", value, ", ".join(REDACTED))
        kinds += REDACTED[value.lower()]
    return tuple(dict.fromkeys(kinds)) or None


def _audio_format(query: Query, channels: int, *, separate: bool) -> AudioFormat | None:
    encoding = _last(query, "encoding")
    if encoding is None or encoding in CONTAINERS:
        return None
    if encoding not in ENCODINGS:
        raise InvalidFieldError("encoding", encoding, ", ".join((*ENCODINGS, *CONTAINERS)))
    rate_hz = _integer(query, "sample_rate", Integer())
    if rate_hz is None and encoding in ("linear16", "linear32"):
        raise MissingFieldError(f"The parameter sample_rate is missing; {encoding} requires it.", field="sample_rate")
    return AudioFormat(ENCODINGS[encoding], rate_hz or TELEPHONE_HZ, channels, separate=separate)
