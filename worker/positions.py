"""How far the tracks of a session are, whether its client is there, and which limits that exceeds.

Only state: no Redis, no model, no clock.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio.pcm import from_s16
from shared.bus.audio import entry_order
from shared.bus.states import SessionState
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from worker.arrivals import Arrivals
from worker.claim import Claim, Opening
from worker.handles import handle_of
from worker.track import Track

ENGINE_BACKLOG_SAMPLES: Final = 10 * SAMPLE_RATE_HZ
"""A session with this much unprocessed audio in the engine is not read further."""
FILE_BACKLOG_SAMPLES: Final = 60 * SAMPLE_RATE_HZ
"""The same for recordings, whose segments are decoded in batches: with 10 s, a batch has few segments, which takes 1.7
times as long."""
PROGRESS_SAMPLES: Final = 5 * SAMPLE_RATE_HZ
"""How often a frontend gets the position up to which audio is processed, unless it wants it more often; well below any
backlog bound."""


@dataclass(slots=True, eq=False)
class SessionPositions:
    """Belongs to the I/O loop. Positions are in samples."""

    claim: Claim
    tracks: tuple[Track, ...]
    """What makes text of its audio. One, unless its channels are separate (`worker.channels`)."""
    now_s: float
    kept_samples: int = 0
    """Audio before the checkpoint that is kept, so that a new owner can process it again."""
    options: SessionOptions = field(init=False)
    last_entry_id: bytes = field(init=False)
    read_samples: int = field(init=False)
    reported_samples: int = field(init=False)
    """Position of the last progress message."""
    finishing: bool = False
    """Whether the client has ended the audio: the engine then ends the session, however long that takes."""
    gives_way: bool = False
    """Whether another session took its slot while its client was gone: it ends when the engine has finished."""
    was_offered: bool = False
    """Whether the session was offered to other workers."""
    ending: SessionState | None = None
    """The state of the session after its last event; None while it continues."""
    answered_commit: bytes = field(init=False)
    """The entry of the last `commit` whose answer was reported, also by a former owner; empty if none was."""
    _unanswered: deque[bytes] = field(default_factory=deque)
    """The entries of commits that the engine has not answered."""
    _heard_from_s: float = field(init=False)
    """Monotonic time of the last entry from the client."""
    _detached_s: float | None = None
    """Monotonic time at which the client left."""
    _arrivals: Arrivals = field(default_factory=Arrivals)

    def __post_init__(self) -> None:
        claim = self.claim
        self.options = claim.options
        self.last_entry_id = b"%d-0" % claim.checkpoint_samples
        self.read_samples = self.reported_samples = claim.checkpoint_samples
        self.answered_commit = claim.answered_commit
        self._heard_from_s = self.now_s

    @property
    def session_id(self) -> str:
        return self.claim.owner.session_id

    @property
    def handle(self) -> str:
        """Its name while this worker owns it; in the engine, if it has one track."""
        return handle_of(self.session_id, self.claim.owner.fence)

    @property
    def handles(self) -> tuple[str, ...]:
        """Its names in the engine."""
        return tuple(track.handle for track in self.tracks)

    @property
    def slots(self) -> int:
        """The slots that it has: one for each handle."""
        return len(self.tracks)

    @property
    def openings(self) -> list[Opening]:
        """How its handles are opened in the engine, in the order of its channels."""
        return [track.opening for track in self.tracks]

    def track(self, handle: str) -> Track:
        return self.tracks[self.handles.index(handle)]

    @property
    def absorbed_samples(self) -> int:
        """The engine has processed the audio of all tracks up to here."""
        return min(track.absorbed_samples for track in self.tracks)

    @property
    def checkpoint_samples(self) -> int:
        """No track needs audio before this any more."""
        return min(track.checkpoint_samples for track in self.tracks)

    @property
    def throttled(self) -> bool:
        """Whether the engine, or the speaker thread, already has enough unprocessed audio of this session."""
        enough = FILE_BACKLOG_SAMPLES if self.options.recording else ENGINE_BACKLOG_SAMPLES
        tracked = [at for track in self.tracks if (at := track.speakers.tracked_samples) is not None]
        return self.read_samples - min((self.absorbed_samples, *tracked)) >= enough

    def parts(self, end_samples: int, pcm: bytes) -> list[tuple[str, NDArray[np.float32]]]:
        """The audio of each handle in an entry that ends at this position, without what was read before."""
        frames = np.frombuffer(pcm, "<i2").reshape(-1, len(self.tracks))
        start_samples = end_samples - len(frames)
        found = []
        for channel, track in enumerate(self.tracks):
            first = max(0, max(self.read_samples, track.opening.checkpoint_samples) - start_samples)
            if first < len(frames):
                found.append((track.handle, from_s16(frames[first:, channel])))
        return found

    @property
    def progress_due(self) -> bool:
        wanted_ms = self.options.progress_ms
        interval_samples = PROGRESS_SAMPLES if wanted_ms is None else wanted_ms * SAMPLE_RATE_HZ // 1000
        return self.absorbed_samples - self.reported_samples >= interval_samples

    @property
    def replay_samples(self) -> int:
        """Audio that a new owner would process again before it publishes new text."""
        return self.absorbed_samples - self.checkpoint_samples

    @property
    def is_detached(self) -> bool:
        """Whether its client is gone."""
        return self._detached_s is not None

    @property
    def is_awaited(self) -> bool:
        """Whether its client is gone and could resume it."""
        return self.is_detached and not self.finishing and self.ending is None

    def awaited_for_s(self, now_s: float) -> float | None:
        """How long its client has been gone; None if the session waits for no client."""
        return now_s - self._detached_s if self._detached_s is not None and self.is_awaited else None

    def exceeded_s(self, now_s: float, *, idle_timeout_s: float, resume_timeout_s: float) -> float | None:
        """The time limit that the session has exceeded, if any: for input, or for its client while that is gone.

        None while the model still processes audio.
        """
        if self.finishing or self.ending is not None or self.absorbed_samples < self.read_samples:
            return None
        if self._detached_s is not None:
            return resume_timeout_s if now_s - self._detached_s > resume_timeout_s else None
        return idle_timeout_s if now_s - self._heard_from_s > idle_timeout_s else None

    def reset_idle_times(self, now_s: float) -> None:
        """Restart the times of silence and absence, since no client could be received until now."""
        self._heard_from_s = now_s
        if self.is_detached:
            self._detached_s = now_s

    def attach(self) -> None:
        """A connection of its client has taken it."""
        self._detached_s = None

    def detach(self, now_s: float) -> None:
        """Its client is gone, and may resume it."""
        self._detached_s = now_s

    def heard(self, now_s: float) -> None:
        """Something besides audio was received from its client or frontend."""
        self._heard_from_s = now_s

    def read(self, entry_id: bytes) -> None:
        """Its audio stream has been read up to this entry."""
        self.last_entry_id = entry_id

    def answer_commit(self, entry_id: bytes) -> bool:
        """The engine has answered a `commit`. Returns whether that is to be reported: a new owner answers those after
        the checkpoint once more."""
        is_new = entry_order(entry_id) > entry_order(self.answered_commit)
        if is_new:
            self.answered_commit = entry_id
        return is_new

    def finish(self) -> None:
        """No more audio follows."""
        self.finishing = True

    def give_way(self) -> None:
        """Another session has taken its slot while its client was gone: later audio is ignored."""
        self.gives_way = self.finishing = True

    def arrived(self, end_samples: int, arrived_ms: float, now_s: float) -> None:
        """Record audio up to a position, and when it reached the frontend (wall clock, ms)."""
        self.read_samples = end_samples
        self._heard_from_s = now_s
        self._arrivals.note(end_samples, arrived_ms)

    def waiting_since_ms(self) -> float | None:
        """Arrival of the oldest audio that the engine has not absorbed."""
        return self._arrivals.oldest_after_ms(self.absorbed_samples, self.checkpoint_samples)

    def arrived_ms(self, at_samples: int) -> float | None:
        """When audio at a position reached the frontend (wall clock, ms); None if that is not known."""
        return self._arrivals.at_ms(at_samples)
