"""One request to the model and the progress of its answer. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from worker.engines.keyterms.trie import AT_START, Trie
from worker.engines.voxtral.prompts import Prompt
from worker.engines.voxtral.rows import Row


@dataclass(frozen=True, slots=True)
class Sampling:
    """Parameters for sampling tokens; without them the likeliest token is chosen."""

    temperature: float
    top_p: float
    seed: int


@dataclass(slots=True, eq=False)
class Request:
    """Belongs to the session that made it; the generator writes the fields below `on_progress`."""

    pcm: NDArray[np.int16]
    prompt: Prompt
    max_new_tokens: int
    sampling: Sampling | None
    """None: always choose the likeliest token."""
    on_progress: "Callable[[Request], None]"
    """Called after every pass that produced a token."""
    draft: tuple[int, ...] = ()
    """The expected beginning of the answer. The pass over the prompt verifies it; it changes no token of the answer."""
    patient: bool = False
    """No client waits for partial text, as with a file: it yields to other requests."""
    terms: Trie | None = None
    """The key terms of the answer, if it has any. They have no effect on sampled answers."""
    row: Row | None = None
    measured_windows: int = 0
    """Windows of the audio in which the loudest point has been searched."""
    prefilled_windows: int = 0
    """Windows of the audio that are in the key-value memory, with the prompt around them."""
    tokens: list[int] = field(default_factory=list)
    """The answer, without the token that ends it."""
    terms_state: int = AT_START
    """The state of `terms` after `tokens`."""
    log_probabilities: list[float] = field(default_factory=list)
    """Of these tokens."""
    done: bool = False
    model_ms: float = 0.0
    """Time of the passes that it took part in."""

    def __post_init__(self) -> None:
        assert not (self.draft and self.sampling), "a draft is checked against the likeliest tokens"
        # After the draft comes at least one token that the model chooses.
        self.draft = self.draft[: self.max_new_tokens - 1]

    def take(self, tokens: list[int]) -> None:
        """Append tokens to the answer."""
        self.tokens += tokens
        if self.terms:
            for token in tokens:
                self.terms_state = self.terms.step(self.terms_state, token)

    @property
    def gives_way(self) -> bool:
        """Whether other requests may be served first. A long prompt takes long anyway."""
        return self.patient or self.prompt.windows > 1

    @property
    def longest_tokens(self) -> int:
        return len(self.prompt) + self.max_new_tokens

    @property
    def next_position(self) -> int:
        """The position in its row of the last token, which no pass has processed yet."""
        return len(self.prompt) + len(self.tokens) - 1
