"""What a client may choose for its session, whatever its protocol. Knows no wire format, no Redis and no model."""

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final, Self

from shared.turn_detection import TurnDetection

MAX_TRACKS = 4
"""The largest number of channels that a session transcribes separately."""
DELAYS_MS = frozenset({*range(80, 1201, 80), 2400})
"""The look-aheads that Voxtral Realtime was trained for: steps of one 80 ms frame (its model card)."""


class Mode(StrEnum):
    """What to do with the speech."""

    TRANSCRIBE = "transcribe"
    UNDERSTAND = "understand"
    GENERAL = "general"
    TRANSLATE = "translate"
    """Write English text for speech in any language."""


class CommitDelay(StrEnum):
    """How long words of an open segment wait before they are committed, for engines that support it."""

    FAST = "fast"
    BALANCED = "balanced"
    ACCURATE = "accurate"


class Profanity(StrEnum):
    """What becomes of profane words."""

    KEEP = "keep"
    MASK = "mask"


class FillerWords(StrEnum):
    """What becomes of "uh" and its like."""

    KEEP = "keep"
    DROP = "drop"


class Redaction(StrEnum):
    """What can be redacted by its form."""

    NUMBERS = "numbers"
    EMAILS = "emails"
    PHONES = "phones"
    CARDS = "cards"
    IBANS = "ibans"


class ChannelMode(StrEnum):
    """What becomes of the channels of the audio."""

    MIX = "mix"
    SEPARATE = "separate"
    """Each is transcribed as its own track."""


DEFAULT_BOOST: Final = 2.0
"""Measured (docs/features.md): it finds most of the terms that 4, the highest, finds."""


@dataclass(frozen=True, slots=True)
class KeyTerm:
    """A word or name that the speech may contain."""

    term: str
    boost: float = DEFAULT_BOOST
    """How much likelier it becomes; 0 has no effect."""


@dataclass(frozen=True, slots=True)
class KnownSpeaker:
    """A speaker whose voice is known before the session. The name is the label."""

    name: str
    embedding: str | None = field(default=None, repr=False)
    """The voice as `shared.voices` describes it. None if the audio is stored for the session instead."""
    audio: bytes | None = field(default=None, repr=False)
    """A recording of any kind, as a client sent it. The frontend decodes and stores it; it is never part of the stored
    options."""

    def to_wire(self) -> dict[str, Any]:
        return {"name": self.name} | ({} if self.embedding is None else {"embedding": self.embedding})


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a client may choose for its session. Validated by the protocol that creates it."""

    mode: Mode = Mode.TRANSCRIBE
    language: str | None = None
    """ISO 639-1 code, or None to detect it."""
    prompt: str | None = None
    delay_ms: int | None = None
    """The model's look-ahead, for engines that have one."""
    words: bool = True
    """Whether finals carry word times."""
    partials: bool = True
    """Whether the client wants text before its segment ends."""
    recording: bool = False
    """Whether all the audio already exists, so that no client waits for a single sentence: it may be decoded in long
    windows."""
    turns: bool = False
    """Whether the protocol needs the result of each turn. A segment without words then has a final too, with empty
    text, and each commit is answered by `committed`, after the finals of all audio before it."""
    model: str | None = None
    """Which of the running models serves the session; None chooses one by the mode."""
    max_new_tokens: int | None = None
    """Longest answer of `understand` and `general`, in tokens; None uses the engine's."""
    temperature: float | None = None
    """None and 0 always choose the likeliest token."""
    top_p: float | None = None
    """Tokens are drawn from the likeliest ones that together have this probability; None allows all."""
    languages: tuple[str, ...] | None = None
    """ISO 639-1 codes that each segment's language is detected among if `language` is None; None allows all."""
    commit_delay: CommitDelay | None = None
    """None uses the worker's setting."""
    numerals: bool | None = None
    """Whether spoken numbers become digits. None is False."""
    profanity: str | None = None
    """A `Profanity`; None keeps."""
    filler_words: str | None = None
    """A `FillerWords`; None keeps."""
    redact: tuple[str, ...] | None = None
    """Each a `Redaction`. Partials are withheld if there are any, or any `redact_terms`."""
    redact_terms: tuple[str, ...] | None = None
    """Words and names that are redacted, whatever their case."""
    turn_detection: TurnDetection | None = None
    """None uses the engine's own rules, and sends no events about turns."""
    keyterms: tuple[KeyTerm, ...] | None = None
    """Words and names that the model prefers if the audio may contain them."""
    progress_ms: int | None = None
    """How often the frontend gets the position up to which audio is processed, in audio; None uses the worker's own."""
    channels: int | None = None
    """The number of channels that are transcribed separately, 1 to `MAX_TRACKS`; None mixes them."""
    revise: bool | None = None
    """Whether finals are decoded again by the worker's second model. None uses the worker's setting."""

    @property
    def slots(self) -> int:
        """The slots that the session needs: one for each track."""
        return self.channels or 1

    diarize: bool | None = None
    """Whether words and finals name their speaker. None is False."""
    max_speakers: int | None = None
    """Most speakers of the session, known ones included; None uses the worker's limit."""
    known_speakers: tuple[KnownSpeaker, ...] | None = None
    webhook: str | None = field(default=None, repr=False)
    """A URL to which events of the session are sent. Frontends register it, and do not store it with the options."""
    webhook_events: tuple[str, ...] | None = None
    """Those of them that are sent, each a `shared.webhooks.webhook.WebhookEvent`; None sends all."""

    @property
    def rewrites_phrases(self) -> bool:
        """Whether what is said in several words, such as a number, is written in another way."""
        return bool(self.numerals or self.redact or self.redact_terms)

    def to_wire(self) -> dict[str, Any]:
        """The options as Redis stores them, for JSON.

        Fields that are None are omitted, and `recording` if it is False, so that a process of an older version can
        serve sessions that use no field that it lacks.
        """
        wire = {name: value for name, value in asdict(self).items() if value is not None}
        if not self.recording:
            del wire["recording"]
        if self.turn_detection is not None:
            wire["turn_detection"] = self.turn_detection.to_wire()
        if self.known_speakers is not None:
            wire["known_speakers"] = [speaker.to_wire() for speaker in self.known_speakers]
        return (
            wire | {"mode": self.mode.value} | ({"commit_delay": str(self.commit_delay)} if self.commit_delay else {})
        )

    def without_text(self) -> dict[str, Any]:
        """The fields of `to_wire` that are names and numbers, for a task that operators see. New fields are omitted."""
        return {name: value for name, value in self.to_wire().items() if name in _NAMES_AND_NUMBERS}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Read what `to_wire` has written. Fields of a newer version are ignored."""
        known = {field.name for field in fields(cls)}
        given = {name: value for name, value in wire.items() if name in known and value is not None}
        given["mode"] = Mode(given.get("mode", Mode.TRANSCRIBE))
        for name in ("languages", "redact", "redact_terms", "webhook_events"):
            if name in given:
                given[name] = tuple(given[name])
        if "turn_detection" in given:
            given["turn_detection"] = TurnDetection.from_wire(given["turn_detection"])
        if "keyterms" in given:
            given["keyterms"] = tuple(
                KeyTerm(str(one["term"]), float(one.get("boost", DEFAULT_BOOST))) for one in given["keyterms"]
            )
        if "known_speakers" in given:
            speakers = given["known_speakers"]
            given["known_speakers"] = tuple(KnownSpeaker(one["name"], one.get("embedding")) for one in speakers)
        if given.get("commit_delay") in list(CommitDelay):
            given["commit_delay"] = CommitDelay(given["commit_delay"])
        else:
            given.pop("commit_delay", None)  # a value of a newer version
        return cls(**given)


_NAMES_AND_NUMBERS = frozenset(
    {"mode", "model", "language", "languages", "delay_ms", "commit_delay", "max_new_tokens", "temperature", "top_p"}
    | {"words", "partials", "recording", "turns", "numerals", "profanity", "filler_words", "redact"}
    | {"turn_detection", "progress_ms", "channels", "revise", "diarize", "max_speakers"}
)
"""Fields of `SessionOptions` that hold no free text of a client."""
