"""The commands that the speaker thread takes, and what it reports. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.session_options import KnownSpeaker
from worker.speakers.labelling import Labelling

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of one final, and of earlier finals whose labels have changed with it."""

    segment: int
    labelling: Labelling
    changed: dict[int, Labelling]
    state: bytes
    """For a new owner of the session: the speakers after this final."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Begin with a session."""

    handle: str
    limit: int
    start_samples: int
    known: tuple[KnownSpeaker, ...]
    recordings: dict[str, bytes]
    """PCM of known speakers, by name."""
    state: bytes | None
    prefix: str = ""
    """Of the labels, so that those of two channels differ."""


@dataclass(frozen=True, slots=True)
class Hear:
    handle: str
    pcm: Floats


@dataclass(frozen=True, slots=True)
class Label:
    handle: str
    segment: int
    start_samples: int
    end_samples: int


@dataclass(frozen=True, slots=True)
class Limit:
    handle: str
    limit: int


@dataclass(frozen=True, slots=True)
class Forget:
    handle: str


@dataclass(frozen=True, slots=True)
class Embed:
    """Embed the voice in a recording, for `shared.bus.voices`."""

    request_id: str
    pcm: bytes


Command = Follow | Hear | Label | Limit | Forget | Embed


@dataclass(frozen=True, slots=True)
class Tracked:
    """All audio of the session up to a position was processed."""

    at_samples: int


@dataclass(frozen=True, slots=True)
class Warned:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The session is not tracked, and none of its finals will be labelled."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is tracked; the state contains its known speakers."""

    state: bytes


@dataclass(frozen=True, slots=True)
class Embedding:
    """The answer to `Embed`: the text of `shared.voices`; None if there is too little speech, or no model."""

    text: str | None


Report = Labelled | Tracked | Warned | Stopped | Ready | Embedding
