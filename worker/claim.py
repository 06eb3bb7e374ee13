"""What a worker gets with a session that it claims, and how the session then begins in the engine."""

from dataclasses import dataclass
from typing import NamedTuple

from shared.bus.ownership import Owner
from shared.session_options import SessionOptions
from worker.commitment import Commitment


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker gets when it claims a session: everything that its former owner had stored."""

    owner: Owner
    options: SessionOptions
    """As they were at the checkpoint; later changes by the client are still in its audio stream."""
    seq: int
    checkpoint_samples: int
    segment: int
    texts: tuple[str, ...]
    """Texts of the finals so far."""
    committed: Commitment | None = None
    """The committed text of the segment after the checkpoint; None if there is none."""
    speakers: bytes = b""
    """What the former owner knew of the speakers' voices; empty if nothing."""
    answered_commit: bytes = b""
    """The entry of the last `commit` whose answer was reported; empty if none was."""
    key_name: str = ""
    """The name of the API key that opened the session; empty if keys are off."""


class Opening(NamedTuple):
    """Where one handle of a session begins in the engine."""

    handle: str
    checkpoint_samples: int
    segment: int
    committed: Commitment
