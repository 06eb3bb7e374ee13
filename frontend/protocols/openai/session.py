"""The session object of OpenAI's Realtime transcription: its defaults, updates and echo, and our options for it.

A client's update is merged into the current session: absent keys stay, null clears, and optional fields get their
defaults. The flat object of the beta is the same session in another format.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from frontend.protocols.keyterms import distinct, written
from frontend.protocols.openai.errors import RefusedError, invalid_value
from frontend.protocols.openai.values import (
    a_flag,
    a_number,
    a_value,
    an_integer,
    an_object,
    an_option,
    one_of,
    texts,
)
from frontend.protocols.options import CHANNELS, KEYWORDS, MAX_KEYTERMS, OPTIONS, SPEAKERS, WEBHOOK, WORDING, tracks
from frontend.protocols.turn_detection import FIELDS as TURN_FIELDS
from shared.audio.pcm import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, AudioFormat
from shared.session_options import ChannelMode, CommitDelay, SessionOptions
from shared.turn_detection import TurnDetection, TurnDetectionType

Json = dict[str, Any]

PCM: Final = "audio/pcm"
PCM_RATE_HZ: Final = 24_000
"""OpenAI's only rate for PCM; other rates are an extension."""
G711: Final = {"audio/pcmu": "pcmu", "audio/pcma": "pcma"}
G711_RATE_HZ: Final = 8_000
FLAT_FORMATS: Final = {"pcm16": PCM, "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
DELAYS_MS: Final = {"minimal": 160, "low": 240, "medium": 480, "high": 960, "xhigh": 2400}
"""OpenAI does not specify times for its five delays: these are our values."""
COMMIT_DELAYS: Final = {
    "minimal": CommitDelay.FAST,
    "low": CommitDelay.FAST,
    "medium": CommitDelay.BALANCED,
    "high": CommitDelay.ACCURATE,
    "xhigh": CommitDelay.ACCURATE,
}
"""The same for models without a fixed look-ahead."""
LOGPROBS: Final = "item.input_audio_transcription.logprobs"
NOISE_REDUCTIONS: Final = ("far_field", "near_field")
SERVER_VAD: Final[Json] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
}
SEMANTIC_VAD: Final[Json] = {"type": "semantic_vad", "eagerness": "auto"}
TURN_DETECTIONS: Final = {"server_vad": SERVER_VAD, "semantic_vad": SEMANTIC_VAD}
TURN_TYPES: Final = {"server_vad": TurnDetectionType.PAUSE, "semantic_vad": TurnDetectionType.SEMANTIC}
TURN_SWITCHES: Final = ("create_response", "interrupt_response")
"""For conversations: accepted, but without effect here."""
TURN_KEYS: Final = {
    "server_vad": (*SERVER_VAD, "idle_timeout_ms", *TURN_SWITCHES),
    "semantic_vad": (*SEMANTIC_VAD, *TURN_SWITCHES),
}
TRANSCRIPTION_KEYS: Final = (
    *("model", "language", "prompt", "delay", "keywords", "keyterms", "languages"),
    *(*WORDING, *CHANNELS, *SPEAKERS, *WEBHOOK),
)
DEFAULT_TRACKS: Final = 2
"""If a client separates channels and does not say how many."""
FLAT_KEYS: Final = {
    "input_audio_format": "format",
    "input_audio_transcription": "transcription",
    "turn_detection": "turn_detection",
    "input_audio_noise_reduction": "noise_reduction",
}
FLAT_IGNORED: Final = ("client_secret", "modalities")
MIN_IDLE_MS: Final = 5000
MAX_IDLE_MS: Final = 30_000
"""The bounds of `idle_timeout_ms` are OpenAI's."""
PROGRESS_MS: Final = 500
"""How late a timeout may be noticed."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """A session as its client has configured it. Objects are complete, including defaults."""

    format: Json
    transcription: Json | None = None
    turn_detection: Json | None = None
    turn_fields: frozenset[str] = frozenset()
    """The fields of `turn_detection` that the client has set. Those that it has not set are left to the engine."""
    noise_reduction: Json | None = None
    include: tuple[str, ...] | None = None

    @property
    def wants_logprobs(self) -> bool:
        return LOGPROBS in (self.include or ())

    def names_speakers(self, model: str | None) -> bool:
        """Whether the client wants speakers: by our option, or by the name of OpenAI's model for them."""
        wanted = self.transcription or {}
        chosen: bool | None = wanted.get("diarize")
        name = (wanted.get("model") or model or "").casefold()
        return name.startswith("gpt-") and "diarize" in name.split("-") if chosen is None else chosen

    @property
    def audio_format(self) -> AudioFormat:
        kind, channels = self.format["type"], self.channels
        encoding, rate_hz = ("pcm_s16le", self.format["rate"]) if kind == PCM else (G711[kind], G711_RATE_HZ)
        return AudioFormat(encoding, rate_hz, channels or 1, separate=channels is not None)

    @property
    def channels(self) -> int | None:
        """The number of interleaved channels that are transcribed separately; None: the audio is mono."""
        wanted = self.transcription or {}
        return tracks(wanted.get("channel_mode"), wanted.get("channels"), DEFAULT_TRACKS)

    def options(self, model: str | None) -> SessionOptions:
        """The options of our session; `model` is used if the transcription names none."""
        wanted = self.transcription or {}
        diarize = self.names_speakers(model)
        keyterms = OPTIONS["keyterms"].parse(wanted.get("keyterms") or []) or ()
        keywords = KEYWORDS.parse(wanted.get("keywords") or []) or ()
        return SessionOptions(
            language=wanted.get("language"),
            languages=_kept(wanted.get("languages")),
            prompt=wanted.get("prompt"),
            keyterms=distinct([*keyterms, *keywords])[:MAX_KEYTERMS] or None,
            delay_ms=DELAYS_MS.get(wanted.get("delay") or ""),
            commit_delay=COMMIT_DELAYS.get(wanted.get("delay") or ""),
            words=self.wants_logprobs or diarize,
            turns=True,
            model=wanted.get("model") or model,
            turn_detection=self._turn_rule,
            progress_ms=None if self.idle_timeout_s is None else PROGRESS_MS,
            channels=self.channels,
            **{name: _kept(wanted.get(name)) for name in (*WORDING, *WEBHOOK)},
            diarize=diarize or None,
            max_speakers=wanted.get("max_speakers"),
            known_speakers=wanted.get("known_speakers"),
        )

    @property
    def idle_timeout_s(self) -> float | None:
        """After so much audio without speech, the silence becomes an item."""
        timeout_ms = (self.turn_detection or {}).get("idle_timeout_ms")
        return None if timeout_ms is None else timeout_ms / 1000

    @property
    def _turn_rule(self) -> TurnDetection | None:
        """None: the engine's own pauses, or no detection at all.

        A timeout for silence needs a rule: with one, all engines say where speech begins before they have its text.
        """
        given = self.turn_detection or {}
        rule = {name: given[name] for name in TURN_FIELDS if name in self.turn_fields and given.get(name) is not None}
        is_ruled = rule or given.get("type") == "semantic_vad" or self.idle_timeout_s is not None
        return TurnDetection(TURN_TYPES[given["type"]], **rule) if is_ruled else None

    def to_wire(self) -> Json:
        """The session as in `session.created` and `session.updated`, without its id and its end."""
        names = ("format", "transcription", "noise_reduction", "turn_detection")
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "audio": {"input": {name: getattr(self, name) for name in names} | {"transcription": self._shown()}},
            "include": None if self.include is None else list(self.include),
        }

    def to_flat_wire(self) -> Json:
        """The session in the format of the beta."""
        flat = {meant: name for name, meant in FLAT_FORMATS.items()}
        return {
            "object": "realtime.transcription_session",
            "input_audio_format": flat[self.format["type"]],
            "input_audio_transcription": self._shown(),
            "input_audio_noise_reduction": self.noise_reduction,
            "turn_detection": self.turn_detection,
            "include": None if self.include is None else list(self.include),
        }

    def _shown(self) -> Json | None:
        """The transcription without the voices of known speakers."""
        known = (self.transcription or {}).get("known_speakers")
        if self.transcription is None or known is None:
            return self.transcription
        return self.transcription | {"known_speakers": [{"name": speaker.name} for speaker in known]}


DEFAULT: Final = SessionConfig(format={"type": PCM, "rate": PCM_RATE_HZ}, turn_detection=SERVER_VAD)
"""For a new connection. Clients that never send turn detection rely on the server's default."""


def begun(session: Any) -> SessionConfig:
    """The initial session of a connection whose client token was made for `session`; None for any. Raises
    RefusedError."""
    return DEFAULT if session is None else updated(DEFAULT, session)


def updated(config: SessionConfig, session: Any) -> SessionConfig:
    """The session after an update's `session`. Raises RefusedError."""
    path = "session"
    if isinstance(session, dict) and session.get("type") not in (None, "transcription"):  # whatever else it contains
        raise RefusedError(
            "invalid_parameter",
            "Only sessions of the type 'transcription' are supported; the type of a session cannot be changed.",
            "session.type",
        )
    update = an_object(session, path, ("type", "include", "audio"))
    config = _with_include(config, update, path)
    audio = an_object(update.get("audio") or {}, f"{path}.audio", ("input",))
    inputs = an_object(audio.get("input") or {}, f"{path}.audio.input", FLAT_KEYS.values())
    paths = {name: f"{path}.audio.input.{name}" for name in FLAT_KEYS.values()}
    return _with_inputs(config, inputs, paths)


def flatly_updated(config: SessionConfig, session: Any) -> SessionConfig:
    """The same for the beta's flat object."""
    path = "session"
    update = an_object(session, path, (*FLAT_KEYS, "include", *FLAT_IGNORED))
    config = _with_include(config, update, path)
    inputs = {FLAT_KEYS[name]: value for name, value in update.items() if name in FLAT_KEYS}
    flat_format = inputs.get("format")
    if flat_format is not None:
        inputs["format"] = {"type": FLAT_FORMATS[one_of(flat_format, f"{path}.input_audio_format", FLAT_FORMATS)]}
    transcription = inputs.get("transcription")  # in which LiveKit's plug-in sends the noise reduction
    if isinstance(transcription, dict) and "noise_reduction_type" in transcription:
        inputs["transcription"] = transcription = dict(transcription)
        inputs.setdefault("noise_reduction", {"type": transcription.pop("noise_reduction_type")})
    paths = {name: f"{path}.{flat}" for flat, name in FLAT_KEYS.items()}
    return _with_inputs(config, inputs, paths)


def _with_include(config: SessionConfig, update: Json, path: str) -> SessionConfig:
    if "include" not in update:
        return config
    if update["include"] is None:
        return replace(config, include=None)
    wanted = texts(update["include"], f"{path}.include")
    return replace(config, include=tuple(one_of(name, f"{path}.include", (LOGPROBS,)) for name in wanted))


def _with_inputs(config: SessionConfig, inputs: Json, paths: Mapping[str, str]) -> SessionConfig:
    changes: Json = {}
    for name, value in inputs.items():
        if value is None:
            changes[name] = DEFAULT.format if name == "format" else None
            if name == "turn_detection":
                changes["turn_fields"] = frozenset()
        elif name == "format":
            changes[name] = _format(value, paths[name])
        elif name == "transcription":
            changes[name] = _transcription(config.transcription, value, paths[name])
        elif name == "turn_detection":
            changes[name] = _turn_detection(config.turn_detection, value, paths[name])
            set_now = {field for field, entry in value.items() if entry is not None}
            is_same = config.turn_detection is not None and config.turn_detection["type"] == changes[name]["type"]
            changes["turn_fields"] = set_now | (config.turn_fields if is_same else set())
        else:
            changes[name] = _noise_reduction(config.noise_reduction, value, paths[name])
    return replace(config, **changes)


def _format(value: Any, path: str) -> Json:
    given = an_object(value, path, ("type", "rate"))
    kind = one_of(given.get("type") or PCM, f"{path}.type", (PCM, *G711))
    rate = given.get("rate")
    if kind == PCM:
        low, high = MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ
        return {"type": PCM, "rate": PCM_RATE_HZ if rate is None else an_integer(rate, f"{path}.rate", low, high)}
    if rate is not None:
        an_integer(rate, f"{path}.rate", G711_RATE_HZ, G711_RATE_HZ)
    return {"type": kind}


def _transcription(before: Json | None, value: Any, path: str) -> Json:
    given = an_object(value, path, TRANSCRIPTION_KEYS)
    merged: Json = {"model": None, "language": None, "prompt": None} | (before or {})
    for name, entry in given.items():
        where = f"{path}.{name}"
        if entry is None or entry == "":
            merged[name] = None
        elif name == "delay":
            merged[name] = one_of(entry, where, DELAYS_MS)
        elif name == "keywords":
            terms = a_value(texts(entry, where), where, KEYWORDS)
            merged[name] = [one.term for one in terms or ()]
        elif name == "keyterms":
            merged[name] = written(an_option(entry, where, name))
        elif name == "languages" and entry == []:
            merged[name] = []
        elif name == "known_speakers":
            merged[name] = an_option(entry, where, name)
        else:
            merged[name] = _listed(an_option(entry, where, name))
    if merged.get("channels") is not None and merged.get("channel_mode") is not ChannelMode.SEPARATE:
        raise invalid_value(merged["channels"], f"{path}.channels", "nothing unless channel_mode is separate")
    return merged


def _kept(value: Any) -> Any:
    """A value of the session object as an option."""
    return tuple(value) or None if isinstance(value, list) else value


def _listed(value: Any) -> Any:
    """An option as a value of the session object."""
    return list(value) if isinstance(value, tuple) else value


def _turn_detection(before: Json | None, value: Any, path: str) -> Json:
    known = {name for names in TURN_KEYS.values() for name in names}
    given = an_object(value, path, known)
    kind = given.get("type") or (before or SERVER_VAD)["type"]
    kind = one_of(kind, f"{path}.type", TURN_DETECTIONS)
    an_object(given, path, TURN_KEYS[kind])
    merged = dict(before) if before is not None and before["type"] == kind else dict(TURN_DETECTIONS[kind])
    for name, entry in given.items():
        where = f"{path}.{name}"
        if name == "type" or (entry is None and name in TURN_DETECTIONS[kind]):
            continue
        if entry is None:
            merged[name] = None
        elif name in TURN_FIELDS:
            value_of = a_value(entry, where, TURN_FIELDS[name])
            merged[name] = str(value_of) if isinstance(value_of, str) else value_of
        elif name in TURN_SWITCHES:
            merged[name] = a_flag(entry, where)
        else:
            merged[name] = an_integer(entry, where, MIN_IDLE_MS, MAX_IDLE_MS)
    return merged


def _noise_reduction(before: Json | None, value: Any, path: str) -> Json:
    given = an_object(value, path, ("type", "strength"))
    merged = dict(before or {})
    if given.get("type") is not None:
        merged["type"] = one_of(given["type"], f"{path}.type", NOISE_REDUCTIONS)
    if given.get("strength") is not None:
        merged["strength"] = a_number(given["strength"], f"{path}.strength", 0, 1)
    return merged
