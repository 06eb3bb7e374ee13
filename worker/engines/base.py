"""What the worker asks of a model: five verbs, and one batched step.

An engine lives on one thread. It owns its batching, its endpointing and the state of every session that
is open in it; it knows no Redis, no Celery and no wall clock other than for timing itself.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shared.errors import VoxtralError
from shared.events import Mode, Scores, SessionOptions, Usage, Word


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says about itself; shown in `/status` and used for routing."""

    engine: str
    model: str
    device: str
    compute_type: str
    modes: tuple[Mode, ...]
    languages: tuple[str, ...]
    """ISO 639-1 codes; empty when the engine ignores language."""
    slots: int
    """Sessions that may be open at once."""
    reason: str = ""
    """Why `model.name: auto` stands for this model here, in one sentence; empty for a model that was named."""
    slots_reason: str = ""
    """How many slots fit into memory and into time, where `warm_up` measures it; for people."""
    frame_ms: float = 0.0
    """Audio by which each pass takes its sessions on, for a `Paced` engine."""
    passes: str = ""
    """How the engine runs its passes, for people; set by `warm_up` where there are several ways."""
    has_commit_delay: bool = False
    """Whether `SessionOptions.commit_delay` changes anything. Then the engine is never given None for it."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    at_samples: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    at_samples: int


@dataclass(frozen=True, slots=True)
class Partial:
    """The text of an open segment so far. Replaces the previous partial of the segment."""

    segment: int
    text: str
    start_samples: int
    heard_samples: int
    """The text rests on audio before this position and none after."""
    model_ms: float
    """Time in the model for the pass that made this text."""
    committed_text: str = ""
    """The beginning of `text` that will not change: each later partial of the segment, and its final, begin with it."""
    committed_words: tuple[Word, ...] = ()
    """Its words, where the engine knows times. The last one may be missing while its text still grows."""


@dataclass(frozen=True, slots=True)
class Final:
    """The text of a closed segment. Never changes."""

    segment: int
    text: str
    start_samples: int
    end_samples: int
    heard_samples: int
    resume_samples: int
    """Audio before this position will never be needed again; a new owner starts reading here."""
    words: tuple[Word, ...]
    language: str | None
    model_ms: float
    usage: Usage | None = None
    """Where a language model has answered."""
    scores: Scores | None = None
    """For engines that know probabilities."""


@dataclass(frozen=True, slots=True)
class Committed:
    """All audio before a `commit` has been answered. One for each, in order, wherever there were words or not."""

    at_samples: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the client should know that is not text, such as a setting that has no effect."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Everything fed before `finish` has been answered. Always the last output of a session."""


@dataclass(frozen=True, slots=True)
class HeardAgain:
    """The model said nothing about speech, and hears it again from a fresh start. For logs and metrics."""

    start_samples: int
    end_samples: int


@dataclass(frozen=True, slots=True)
class Failed:
    """This session cannot go on, by no fault of the engine: its audio is too long, say. The last output of it."""

    error: VoxtralError


Output = SpeechStarted | SpeechStopped | Partial | Final | Committed | Notice | HeardAgain | Finished | Failed


@dataclass(frozen=True, slots=True)
class SettledWord:
    """A word of a final."""

    text: str
    """As the model wrote it, with the space before it."""
    end_samples: int


@dataclass(frozen=True, slots=True)
class History:
    """What a former owner heard and wrote just before a session's checkpoint."""

    start_samples: int
    """Audio is fed from here on, though nothing before the checkpoint is to be answered again. The checkpoint itself
    where no audio before it is retained."""
    words: tuple[SettledWord, ...]
    """Those of finals that end after `start_samples`, in order."""
    committed: tuple[Word, ...] = ()
    """The words that the former owner has committed behind the checkpoint, in the segment that was open there."""
    committed_text: str = ""
    """All that it has committed of that segment, which is the next one. The new owner's texts begin with it."""


class Engine(Protocol):
    """One warm model. All methods are called from the engine thread; none blocks but `warm_up` and `step`."""

    info: EngineInfo

    def warm_up(self) -> None:
        """Run the model once on each path, so that no session meets a cold one."""

    def open(self, session_id: str, options: SessionOptions, *, start_samples: int = 0, segment: int = 0) -> None:
        """Take a free slot. `start_samples` and `segment` continue a session from its checkpoint."""

    def feed(self, session_id: str, pcm: NDArray[np.float32]) -> None:
        """Append audio, `[samples]`, 16 kHz mono within ±1. Never runs the model."""

    def configure(self, session_id: str, options: SessionOptions) -> None:
        """Use these options from the next segment on."""

    def commit(self, session_id: str) -> None:
        """End the open segment at the audio fed so far. `Committed` follows, behind its `Final` if it has one."""

    def finish(self, session_id: str) -> None:
        """No more audio comes. `Finished` follows the last `Final`."""

    def close(self, session_id: str) -> None:
        """Forget the session at once; nothing more is output for it. Unknown ids are ignored."""

    def step(self) -> list[tuple[str, Output]]:
        """One batched pass over every session that has enough new audio; empty when none has.

        The caller repeats it until it returns nothing, then waits for the next command. Outputs of one
        session are in order.
        """

    def ready(self) -> bool:
        """Whether `step` has something to do now."""

    def absorbed_samples(self, session_id: str) -> int:
        """The position up to which audio has been through the model, was found to be silence, or waits for more audio.

        Fed audio beyond it is the session's backlog in the engine: all of it, and no more, is what the model is behind.
        So a session whose client says nothing has none once the engine is not `ready`. Never goes back.
        """

    def checkpoint_samples(self, session_id: str) -> int:
        """The position before which audio will never be needed again. Moves on in silence too."""


@runtime_checkable
class Remembering(Protocol):
    """An engine whose text depends on what it heard, wrote and committed before; a new owner can give it that again."""

    def recall(self, session_id: str, history: History) -> None:
        """Called after `open` and before the first `feed` of a session that is continued."""


@dataclass(frozen=True, slots=True)
class PassTime:
    """A pass that has ended."""

    pass_ms: float
    """With the host's work for it."""
    sessions: int
    """That it took on by a frame."""


@runtime_checkable
class Paced(Protocol):
    """An engine whose passes take every session on by one frame: a pass that takes longer falls behind the speakers."""

    def pause_s(self) -> float:
        """How long `step` would wait, though the engine is `ready`, for other sessions to share the next pass."""

    def take_passes(self) -> list[PassTime]:
        """The passes that have ended since the last call, whether or not they said anything."""
