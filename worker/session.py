"""One session in its worker: positions, the events that are still to be written, and how it ends.

Only state: no Redis, no model, no clock. Engine outputs go in, wire events come out.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.bus.messages import EventKind
from shared.bus.ownership import Settled
from shared.bus.states import SessionState
from shared.errors import SessionExpiredError, VoxtralError
from shared.events import SAMPLE_RATE_HZ, CommittedText, Event, EventType, Latency, SessionOptions, seconds
from shared.seams import joined
from worker.claim import Claim, Opening
from worker.commitment import Commitment, StoredText, unfinished, with_final, with_partial
from worker.engines import base
from worker.wording.session_wording import SessionWording

ENGINE_BACKLOG_SAMPLES: Final = 10 * SAMPLE_RATE_HZ
"""A session with this much unprocessed audio in the engine is not read further."""
FILE_BACKLOG_SAMPLES: Final = 60 * SAMPLE_RATE_HZ
"""The same for recordings, whose segments are decoded in batches: with 10 s, a batch has few segments, which takes 1.7
times as long."""
PROGRESS_SAMPLES: Final = 5 * SAMPLE_RATE_HZ
"""How often a frontend gets the position up to which audio is processed; well below any backlog bound."""


@dataclass(slots=True, eq=False)
class WorkerSession:
    """State of one claimed session. Belongs to the I/O loop; only `finished` is for other threads.

    Only its own methods change it. The loops call them, and keep further state of a session themselves.
    """

    claim: Claim
    now_s: float
    kept_samples: int = 0
    """Audio before the checkpoint that is kept, so that a new owner can process it again."""
    options: SessionOptions = field(init=False)
    handles: tuple[str, ...] = field(init=False)
    """Its names in the engine. One, unless its channels are separate (`worker.channels`)."""
    last_entry_id: bytes = field(init=False)
    read_samples: int = field(init=False)
    absorbed_samples: int = field(init=False)
    checkpoint_samples: int = field(init=False)
    told_samples: int = field(init=False)
    """Position of the last progress message."""
    segment: int = field(init=False)
    seq: int = field(init=False)
    """Number of the last event that was created, written or not."""
    outbox: list[tuple[EventKind, bytes]] = field(default_factory=list)
    """Kind and payload of events that Redis has not confirmed yet, oldest first."""
    finishing: bool = False
    """Whether the client has ended the audio: the engine then ends the session, however long that takes."""
    gives_way: bool = False
    """Whether another session took its slot while its client was gone: it ends when the engine has finished."""
    was_offered: bool = False
    """Whether the session was offered to other workers."""
    ending: SessionState | None = None
    """The state of the session after its last event; None while it continues."""
    texts: list[str] = field(init=False)
    committed: Commitment = field(init=False)
    """The committed text of the open segment."""
    stored: Commitment = field(init=False)
    """The part of it that Redis has."""
    finished: threading.Event = field(default_factory=threading.Event)
    """Set when this worker no longer serves the session: it has ended, or another worker owns it."""
    _wording: SessionWording = field(init=False)
    _heard_from_s: float = field(init=False)
    """Monotonic time of the last entry from the client."""
    _detached_s: float | None = None
    """Monotonic time at which the client left."""
    _arrivals: deque[tuple[int, float]] = field(default_factory=deque)
    _errors: list[str] = field(default_factory=list)
    _worded_segment: int = -1
    """The last segment of which its client has a text."""
    _configured: deque[tuple[int, bytes]] = field(default_factory=deque)
    """Position and options (as received) of each `configure` after the checkpoint."""

    def __post_init__(self) -> None:
        claim = self.claim
        self.options = claim.options
        self.handles = (self.handle,)
        self._wording = SessionWording(claim.options)
        self.last_entry_id = b"%d-0" % claim.checkpoint_samples
        self.read_samples = self.absorbed_samples = self.told_samples = claim.checkpoint_samples
        self.checkpoint_samples = claim.checkpoint_samples
        self.segment = claim.segment
        self.seq = claim.seq
        self._worded_segment = claim.segment if claim.seq else -1  # a former owner may have written its first text
        self._heard_from_s = self.now_s
        self.texts = list(claim.texts)
        self.committed = self.stored = claim.committed or Commitment(claim.segment)
        if claim.seq == 0:
            self._emit(EventType.READY, extra={"model": claim.owner.model})

    @property
    def session_id(self) -> str:
        return self.claim.owner.session_id

    @property
    def handle(self) -> str:
        """The session's name in the engine. A worker may lose a session and claim it again: outputs of the
        first claim must not be attributed to the second."""
        return f"{self.session_id}/{self.claim.owner.fence}"

    @property
    def slots(self) -> int:
        """The slots that it has: one for each handle."""
        return len(self.handles)

    @property
    def openings(self) -> list[Opening]:
        """How its handles are opened in the engine, in the order of its channels."""
        kept = self.claim.committed or Commitment(self.claim.segment)
        return [Opening(self.handle, self.claim.checkpoint_samples, self.claim.segment, kept)]

    @property
    def first_unwritten_seq(self) -> int:
        return self.seq - len(self.outbox) + 1

    @property
    def throttled(self) -> bool:
        """Whether the engine already has enough unprocessed audio of this session."""
        enough = FILE_BACKLOG_SAMPLES if self.options.recording else ENGINE_BACKLOG_SAMPLES
        return self.read_samples - self.absorbed_samples >= enough

    @property
    def is_due(self) -> bool:
        """Whether something must be written although the engine has no output."""
        return self.progress_due

    @property
    def progress_due(self) -> bool:
        return self.absorbed_samples - self.told_samples >= PROGRESS_SAMPLES

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

    def finish(self) -> None:
        """No more audio follows."""
        self.finishing = True

    def give_way(self) -> None:
        """Another session has taken its slot while its client was gone: later audio is ignored."""
        self.gives_way = self.finishing = True

    def cancel(self) -> None:
        """It has been erased: nothing more is written."""
        self.ending = SessionState.CANCELLED
        self.outbox.clear()

    def offered(self) -> None:
        """It has been offered to other workers."""
        self.was_offered = True

    def advance(self, absorbed_samples: int, checkpoint_samples: int, handle: str = "") -> bool:  # noqa: ARG002 -- one
        """Record the engine's position. Returns whether it accepts audio again after it was throttled."""
        was_throttled = self.throttled
        self.absorbed_samples = absorbed_samples
        self.checkpoint_samples = max(self.checkpoint_samples, checkpoint_samples)
        return was_throttled and not self.throttled

    def configure(self, options: SessionOptions, encoded: bytes, at_samples: int) -> None:
        """The client has set options after this much audio."""
        self.options = options
        self._wording.configure(options, at_samples)
        if self._configured and self._configured[-1][0] == at_samples:
            self._configured.pop()
        self._configured.append((at_samples, encoded))

    def settled(self) -> Settled:
        """The position from which a new owner would start, to be stored in Redis."""
        passed = [encoded for at_samples, encoded in self._configured if at_samples <= self.checkpoint_samples]
        return Settled(self.checkpoint_samples, self.segment, passed[-1] if passed else None, self.kept_samples)

    @property
    def has_unwritten_commitment(self) -> bool:
        """Whether Redis lacks the committed text of the open segment, or the fact that its final is complete."""
        return self.committed is not self.stored and bool(self.committed.text or self.stored.text)

    @property
    def unwritten_commitment(self) -> StoredText | None:
        return self.committed if self.has_unwritten_commitment else None

    def written(
        self, events: int, settled: Settled | None, committed: StoredText | None, consumed_samples: int | None
    ) -> None:
        """Redis has this many of the oldest events, and the other values unless they are None."""
        del self.outbox[:events]
        if settled is not None:
            self.settle(settled)
        if isinstance(committed, Commitment):
            self.stored = committed
        if consumed_samples is not None:
            self.told_samples = consumed_samples

    def settle(self, settled: Settled) -> None:
        """Redis has it. Options that were set exactly at the checkpoint may be newer, so they stay."""
        while self._configured and self._configured[0][0] < settled.checkpoint_samples:
            self._configured.popleft()

    def parts(self, end_samples: int, pcm: bytes) -> list[tuple[str, NDArray[np.float32]]]:
        """The audio of each handle in an entry that ends at this position, without what was read before."""
        start_samples = end_samples - len(pcm) // 2
        samples = np.frombuffer(pcm, "<i2")[max(0, self.read_samples - start_samples) :]
        return [(self.handles[0], samples.astype(np.float32) / np.float32(32768))]

    def commit(self, at_samples: int) -> tuple[str, ...]:  # noqa: ARG002 -- the engine knows the position
        """The client commits the audio so far. Returns the handles that are committed."""
        return self.handles

    def arrived(self, end_samples: int, arrived_ms: float, now_s: float) -> None:
        """Record audio up to a position, and when it reached the frontend (wall clock, ms)."""
        self.read_samples = end_samples
        self._heard_from_s = now_s
        self._arrivals.append((end_samples, arrived_ms))

    def waiting_since_ms(self) -> float | None:
        """Arrival of the oldest audio that the engine has not absorbed."""
        while self._arrivals and self._arrivals[0][0] <= min(self.absorbed_samples, self.checkpoint_samples):
            self._arrivals.popleft()
        return next((arrived for end, arrived in self._arrivals if end > self.absorbed_samples), None)

    def arrived_ms(self, at_samples: int) -> float | None:
        """When audio at a position reached the frontend (wall clock, ms); None if that is not known."""
        return next((arrived for end, arrived in self._arrivals if end >= at_samples), None)

    def is_first_text(self, segment: int) -> bool:
        """Whether a text is the first one of its segment. To be asked once for each text."""
        is_first = segment > self._worded_segment
        self._worded_segment = max(self._worded_segment, segment)
        return is_first

    def take(
        self,
        output: base.Output,
        step_started_ms: float,
        now_ms: float,
        handle: str = "",  # noqa: ARG002 -- there is one
    ) -> Latency | None:
        """Turn an engine's output into an event. Returns its latency, if it has one."""
        if self.ending is not None:
            return None
        match output:
            case base.Partial():
                return self._take_partial(output, step_started_ms, now_ms)
            case base.Final():
                return self._take_final(output, step_started_ms, now_ms)
            case base.SpeechStarted() | base.SpeechStopped():
                self._take_speech(output)
            case base.TurnEnded() | base.TurnEndedEarly() | base.TurnResumed():
                self._take_turn(output)
            case base.Committed():
                if self.options.turns:
                    self._emit(EventType.COMMITTED, end_samples=output.at_samples)
            case base.Notice():
                self.warn(output.code, output.message)
            case base.Finished():
                if self.committed.text:
                    self._take_final(unfinished(self.committed), step_started_ms, now_ms)
                self._finish()
            case base.Failed():
                self.fail(output.error)
        return None

    def _take_speech(self, output: base.SpeechStarted | base.SpeechStopped) -> None:
        if isinstance(output, base.SpeechStarted):
            self._emit(EventType.SPEECH_STARTED, start_samples=output.at_samples)
        else:
            self._emit(EventType.SPEECH_STOPPED, end_samples=output.at_samples)

    def _take_turn(self, output: base.Turn) -> None:
        about: dict[str, Any] = {}
        match output:
            case base.TurnResumed():
                self._emit(EventType.TURN_RESUMED, start_samples=output.at_samples)
                return
            case base.TurnEndedEarly():
                kind = EventType.TURN_ENDED_EARLY
            case base.TurnEnded():
                kind, about["reason"] = EventType.TURN_ENDED, output.reason
        if output.probability is not None:
            about["probability"] = round(output.probability, 4)
        about["decided_at"] = seconds(output.decided_samples)
        self._emit(kind, end_samples=output.end_samples, extra=about)

    def _finish(self) -> None:
        if self.gives_way:
            message = "The client of the session was gone, and another client needed its slot; start a new session."
            self.fail(SessionExpiredError(message))
            return
        self._emit(
            EventType.DONE,
            text=joined(self.texts),
            extra={"duration": seconds(self.read_samples)},
        )
        self.ending = SessionState.DONE

    def warn(self, code: str, message: str) -> None:
        self._emit(EventType.WARNING, extra={"code": code, "message": message})

    def fail(self, error: VoxtralError) -> None:
        """End the session with an error, after the events that wait to be written."""
        if self.ending is None:
            self._emit(EventType.ERROR, extra=error.to_wire())
            self._errors.append(error.code)
            self.ending = SessionState.FAILED

    def summary(self) -> dict[str, Any]:
        """The result of the session's task, shown by Flower."""
        outcome = "handed over" if self.was_offered else "taken over"
        return {
            "outcome": outcome if self.ending is None else self.ending.value,
            "audio_s": seconds(self.read_samples),
            "segments": self.segment,
            "events": self.seq,
            "errors": self._errors,
        }

    def _take_partial(self, output: base.Partial, step_started_ms: float, now_ms: float) -> Latency | None:
        kept = self._kept(output.segment)
        written = self._wording.partial(output, is_committed=bool(kept.text))
        if written is None:
            return None
        output, self.committed = with_partial(kept, written)
        words = output.committed_words if self.options.words else None
        latency = self._latency(output.heard_samples, output.model_ms, step_started_ms, now_ms)
        self._emit(
            EventType.PARTIAL,
            segment=output.segment,
            text=output.text,
            start_samples=output.start_samples,
            end_samples=output.heard_samples,
            committed=CommittedText(output.committed_text, words) if output.committed_text else None,
            latency=latency,
        )
        return latency

    def _take_final(self, output: base.Final, step_started_ms: float, now_ms: float) -> Latency:
        kept = self._kept(output.segment)
        output, notices = self._wording.final(output, is_committed=bool(kept.text))
        output = with_final(kept, output)
        latency = self._latency(output.heard_samples, output.model_ms, step_started_ms, now_ms)
        self.segment = output.segment + 1
        self.committed = Commitment(self.segment)
        self.checkpoint_samples = max(self.checkpoint_samples, output.resume_samples)
        self.texts.append(output.text)
        self._emit(
            EventType.FINAL,
            segment=output.segment,
            text=output.text,
            start_samples=output.start_samples,
            end_samples=output.end_samples,
            words=output.words if self.options.words else None,
            language=output.language,
            latency=latency,
            usage=output.usage,
            scores=output.scores,
        )
        for notice in notices:
            self.warn(notice.code, notice.message)
        return latency

    def _kept(self, segment: int) -> Commitment:
        return self.committed if self.committed.segment == segment else Commitment(segment)

    def _latency(self, heard_samples: int, model_ms: float, step_started_ms: float, now_ms: float) -> Latency:
        arrived_ms = self.arrived_ms(heard_samples)
        if arrived_ms is None:  # replayed audio, whose arrival time is not known
            return Latency(0.0, model_ms, now_ms - step_started_ms)
        return Latency(max(0.0, step_started_ms - arrived_ms), model_ms, max(0.0, now_ms - arrived_ms))

    def _emit(self, event_type: EventType, **fields: Any) -> None:
        self.seq += 1
        event = Event(event_type, self.session_id, self.seq, mode=self.options.mode, **fields)
        kind = EventKind.FINAL if event_type is EventType.FINAL else EventKind.OTHER
        self.outbox.append((kind, orjson.dumps(event.to_wire())))
