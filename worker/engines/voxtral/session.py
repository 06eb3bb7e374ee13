"""The interface between the engine and its sessions of all modes."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.events import Scores, Usage
from shared.session_options import SessionOptions
from worker.engines.base import Output
from worker.engines.speech.vad import SileroVad
from worker.engines.token_scores import ScoredPiece, scores_of, word_confidences
from worker.engines.voxtral.prompts import Prompts
from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.vocabulary import GrowingText, Vocabulary
from worker.turns.judge import TurnJudge


class Answering(Protocol):
    """An object that answers requests."""

    def submit(self, request: Request) -> None:
        """Queue a request; its `on_progress` is called as tokens come."""

    def cancel(self, request: Request) -> None:
        """Drop a request, wherever it is."""


@dataclass(frozen=True, slots=True)
class Model:
    """The parts of the model that a session uses."""

    answering: Answering
    prompts: Prompts
    vocabulary: Vocabulary
    longest_tokens: int
    """Maximum length of a prompt and its answer together."""
    limit_s: int
    """Longest audio of one question."""
    judge: TurnJudge | None = None
    """Is asked about the ends of turns."""

    def text(self, tokens: list[int]) -> str:
        growing = GrowingText(self.vocabulary)
        for token in tokens:
            growing.append(token)
        return growing.text

    def scores(self, request: Request, *, words: bool) -> Scores | None:
        """What is known about the text of an answer; None if it has none. `words`: of each of its words, too."""
        growing = GrowingText(self.vocabulary)
        said = zip(request.tokens, request.log_probabilities, strict=True)
        pieces = [ScoredPiece(growing.append(token), log_probability) for token, log_probability in said]
        confidences = word_confidences(pieces)
        scores = scores_of(pieces, confidences)
        return replace(scores, word_confidences=tuple(confidences)) if scores is not None and words else scores

    @staticmethod
    def usage(request: Request) -> Usage:
        return Usage(
            prompt_tokens=len(request.prompt),
            completion_tokens=len(request.tokens),
            truncated=len(request.tokens) == request.max_new_tokens,
        )


class Session(Protocol):
    """State between two steps. Methods have the same meaning as in `worker.engines.base.Engine`."""

    def feed(self, pcm: NDArray[np.float32]) -> None: ...

    def configure(self, options: SessionOptions) -> None: ...

    def commit(self) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None:
        """Withdraw every request."""

    def listen(self, vad: SileroVad) -> None:
        """Find the segments in new audio, if the mode has any."""

    def ask(self) -> None:
        """Submit the requests that are due."""

    def is_due(self) -> bool:
        """Whether `listen`, `ask` or `take_outputs` has work to do."""

    def take_outputs(self) -> list[Output]: ...

    @property
    def absorbed_samples(self) -> int: ...

    @property
    def checkpoint_samples(self) -> int: ...


def pcm16(pcm: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples within ±1 as s16, their original format, so nothing is lost."""
    return np.rint(pcm * np.float32(32_768.0)).clip(-32_768, 32_767).astype(np.int16)
