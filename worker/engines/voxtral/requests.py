"""One question to the model and how far its answer is. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from worker.engines.voxtral.prompts import Prompt
from worker.engines.voxtral.rows import Row


@dataclass(frozen=True, slots=True)
class Sampling:
    """Tokens are drawn, not the likeliest taken."""

    temperature: float
    top_p: float
    seed: int


@dataclass(slots=True, eq=False)
class Request:
    """Belongs to the session that made it; the generator writes what is below `on_progress`."""

    pcm: NDArray[np.int16]
    prompt: Prompt
    max_new_tokens: int
    sampling: Sampling | None
    """None takes the likeliest token, always."""
    on_progress: "Callable[[Request], None]"
    """Called after every pass that brought a token."""
    draft: tuple[int, ...] = ()
    """What the answer may begin with. It is checked in the pass over the prompt, and changes no token of the answer."""
    patient: bool = False
    """No client waits for partial text, as with a file: it yields to other requests."""
    row: Row | None = None
    measured_windows: int = 0
    """Of the audio: the loudest point has been looked for in so many."""
    prefilled_windows: int = 0
    """Of the audio: so many are in the key-value memory, with the prompt around them."""
    tokens: list[int] = field(default_factory=list)
    """The answer, without the token that ends it."""
    done: bool = False
    model_ms: float = 0.0
    """Time of the passes that it had a part in."""

    def __post_init__(self) -> None:
        assert not (self.draft and self.sampling), "a draft is checked against the likeliest tokens"
        # After the draft comes at least one token that the model chooses.
        self.draft = self.draft[: self.max_new_tokens - 1]

    @property
    def gives_way(self) -> bool:
        """Whether others may be served first. A long prompt takes long anyhow."""
        return self.patient or self.prompt.windows > 1

    @property
    def longest_tokens(self) -> int:
        return len(self.prompt) + self.max_new_tokens

    @property
    def next_position(self) -> int:
        """Where in its row the last token, which no pass has seen yet, belongs."""
        return len(self.prompt) + len(self.tokens) - 1
