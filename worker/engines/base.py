"""The interface between a worker and a model: five operations on a session, and one batched step.

An engine runs on one thread. It owns its batching, its endpointing and the state of every session that
is open in it; it knows no Redis, no Celery and no wall clock except for its own timing.
"""

from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shared.errors import ServerBusyError, VoxtralError
from shared.events import Scores, Usage, Word
from shared.session_options import Mode, SessionOptions
from worker.turns.judge import TurnJudge


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The properties of an engine; shown in `/status` and used for routing."""

    engine: str
    model: str
    device: str
    compute_type: str
    modes: tuple[Mode, ...]
    languages: tuple[str, ...]
    """ISO 639-1 codes; empty if the engine ignores the language."""
    slots: int
    """Sessions that may be open at the same time."""
    reason: str = ""
    """Why `model.name: auto` chose this model here, in one sentence; empty if the model was named."""
    slots_reason: str = ""
    """How many slots fit into memory and run in real time, as text, if `warm_up` measures it."""
    frame_ms: float = 0.0
    """Audio that each pass processes of each session, for a `Paced` engine."""
    passes: str = ""
    """How the engine runs its passes, as text; set by `warm_up` if there are several ways."""
    has_commit_delay: bool = False
    """Whether `SessionOptions.commit_delay` has an effect. If so, the engine never gets None for it."""

    def check_free(self, taken: int) -> None:
        """Raises `ServerBusyError` if so many sessions take all slots."""
        if taken >= self.slots:
            raise ServerBusyError(f"All {self.slots} slots of this worker are taken.")


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    at_samples: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    at_samples: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The speaker's turn is over. Follows the final of its last segment. Only with `SessionOptions.turn_detection`."""

    end_samples: int
    """The end of the speech."""
    decided_samples: int
    """The audio up to here was heard for the decision."""
    reason: str
    """`finished`, `silence` or `commit`."""
    probability: float | None = None
    """That the speaker has finished, if a model was asked."""


@dataclass(frozen=True, slots=True)
class TurnEndedEarly:
    """The speaker has probably finished. `TurnEnded` or `TurnResumed` follows."""

    end_samples: int
    decided_samples: int
    probability: float


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The speaker continues after `TurnEndedEarly`."""

    at_samples: int


@dataclass(frozen=True, slots=True)
class Partial:
    """The text of an open segment so far. Replaces the previous partial of the segment."""

    segment: int
    text: str
    start_samples: int
    heard_samples: int
    """The text is based only on audio before this position."""
    model_ms: float
    """Time in the model for the pass that produced this text."""
    committed_text: str = ""
    """The beginning of `text` that will not change: each later partial of the segment, and its final, begin with it."""
    committed_words: tuple[Word, ...] = ()
    """Its words, if the engine knows times. The last one may be missing while its text still grows."""


@dataclass(frozen=True, slots=True)
class Final:
    """The text of a closed segment. Never changes."""

    segment: int
    text: str
    start_samples: int
    end_samples: int
    heard_samples: int
    resume_samples: int
    """Audio before this position is never needed again; a new owner starts reading here."""
    words: tuple[Word, ...]
    language: str | None
    model_ms: float
    usage: Usage | None = None
    """For engines that count tokens."""
    scores: Scores | None = None
    """For engines that know probabilities."""

    def rewritten(self, text: str, words: tuple[Word, ...]) -> Self:
        """The final with this text and these words. A changed text has no scores of its words."""
        scores = self.scores
        if scores is not None and text != self.text:
            scores = replace(scores, word_confidences=None)
        return replace(self, text=text, words=words, scores=scores)


@dataclass(frozen=True, slots=True)
class Committed:
    """All audio before a `commit` has been answered. One for each commit, in order, whether there were words or not."""

    at_samples: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning for the client, such as an option that has no effect."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Everything fed before `finish` has been answered. Always the last output of a session."""


@dataclass(frozen=True, slots=True)
class HeardAgain:
    """The model wrote nothing for speech, and processes it again from a fresh start. For logs and metrics."""

    start_samples: int
    end_samples: int


@dataclass(frozen=True, slots=True)
class Failed:
    """This session cannot continue, although the engine works: its audio is too long, for example. Its last output."""

    error: VoxtralError


Turn = TurnEnded | TurnEndedEarly | TurnResumed
Output = SpeechStarted | SpeechStopped | Turn | Partial | Final | Committed | Notice | HeardAgain | Finished | Failed


@dataclass(frozen=True, slots=True)
class SettledWord:
    """A word of a final."""

    text: str
    """As the model wrote it, including the space before it."""
    end_samples: int


@dataclass(frozen=True, slots=True)
class History:
    """What a former owner processed and wrote just before a session's checkpoint."""

    start_samples: int
    """Audio is fed from here on, although nothing before the checkpoint is answered again. It is the checkpoint itself
    if no earlier audio is retained."""
    words: tuple[SettledWord, ...]
    """The words of finals that end after `start_samples`, in order."""
    committed: tuple[Word, ...] = ()
    """The words that the former owner has committed after the checkpoint, in the segment that was open there."""
    committed_text: str = ""
    """The committed text of that segment, which is the next one. The new owner's texts begin with it."""


class Engine(Protocol):
    """One warm model. All methods are called from the engine thread; only `warm_up` and `step` block."""

    info: EngineInfo

    def warm_up(self) -> None:
        """Run the model once on each code path, so that no session has to wait for it."""

    def open(self, session_id: str, options: SessionOptions, *, start_samples: int = 0, segment: int = 0) -> None:
        """Take a free slot. `start_samples` and `segment` continue a session from its checkpoint."""

    def feed(self, session_id: str, pcm: NDArray[np.float32]) -> None:
        """Append audio, `[samples]`, 16 kHz mono within ±1. Never runs the model."""

    def configure(self, session_id: str, options: SessionOptions) -> None:
        """Use these options from the next segment on."""

    def commit(self, session_id: str) -> None:
        """End the open segment at the audio fed so far. `Committed` follows, after its `Final` if it has one."""

    def finish(self, session_id: str) -> None:
        """No more audio follows. `Finished` comes after the last `Final`."""

    def close(self, session_id: str) -> None:
        """Remove the session at once; there is no more output for it. Unknown ids are ignored."""

    def step(self) -> list[tuple[str, Output]]:
        """Work on sessions that have enough new audio, in one batched pass over all of them or in several passes.

        The caller repeats it as long as the engine is `ready`. Outputs of one session are in order. A step may return
        nothing.
        """

    def ready(self) -> bool:
        """Whether `step` has something to do now."""

    def absorbed_samples(self, session_id: str) -> int:
        """The position up to which audio has been processed, was found to be silence, or waits for more audio.

        Fed audio after it is exactly the session's backlog in the engine.
        So a session whose client sends nothing has none once the engine is not `ready`. The caller ignores a decrease.
        """

    def checkpoint_samples(self, session_id: str) -> int:
        """The position before which audio is never needed again. It advances in silence too."""


@runtime_checkable
class Remembering(Protocol):
    """An engine whose text depends on earlier audio, text and commits; a new owner can restore these."""

    def recall(self, session_id: str, history: History) -> None:
        """Called after `open` and before the first `feed` of a session that is taken over."""


@runtime_checkable
class TurnTaking(Protocol):
    """An engine whose sessions wait for answers of another thread."""

    turn_judge: TurnJudge


@dataclass(frozen=True, slots=True)
class PassTime:
    """A pass that has ended."""

    pass_ms: float
    """Includes the host's work for it."""
    sessions: int
    """Sessions of which it processed audio."""


@runtime_checkable
class Timed(Protocol):
    """An engine whose passes can last for several steps."""

    def take_passes(self) -> list[PassTime]:
        """The passes that have ended since the last call, with or without output."""


@runtime_checkable
class Paced(Timed, Protocol):
    """An engine whose passes process one frame of every session: a longer pass is slower than real time."""

    def pause_s(self) -> float:
        """How long to wait before `step`, although the engine is `ready`, so that more sessions share the next pass."""
