"""One session in its worker: its text, the events that are still to be written, and how it ends.

Only state: no Redis, no model, no clock. Engine outputs go in, wire events come out.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.bus.messages import EventKind
from shared.bus.ownership import Settled
from shared.bus.states import SessionState
from shared.errors import SessionExpiredError, VoxtralError
from shared.events import Event, EventType, Latency, seconds
from shared.seams import joined
from shared.session_options import SessionOptions
from worker.commitment import StoredText, unfinished
from worker.engines import base
from worker.pending import Pending
from worker.positions import SessionPositions
from worker.second_pass.revisions import Revisions, revise_notices
from worker.second_pass.second_pass import Answer
from worker.speakers.labelling import Labelling
from worker.speakers.outputs import Released
from worker.track import Track
from worker.turns.events import event_of

KINDS: Final = {EventType.FINAL: EventKind.FINAL, EventType.SPEAKERS: EventKind.LABELS}
"""How events are stored that outlive the bounded log."""


class Given(NamedTuple):
    """An output that the engine has given. Times are wall clock, in ms."""

    output: base.Output
    step_started_ms: float
    now_ms: float
    released: Released | None = None
    """Its speakers, if the session is diarized."""


@dataclass(slots=True, eq=False)
class WorkerSession(SessionPositions):
    """State of one claimed session. Belongs to the I/O loop; only `finished` is for other threads.

    Only its own methods change it. The loops call them, and keep further state of a session themselves.
    """

    revisions: Revisions | None = None
    """None if the worker has no second model."""
    seq: int = field(init=False)
    """Number of the last event that was created, written or not."""
    outbox: list[tuple[str, bytes]] = field(default_factory=list)
    """Kind and payload of events that Redis has not confirmed yet, oldest first."""
    texts: list[str] = field(init=False)
    _stored: StoredText = field(init=False)
    """The committed text of open segments that Redis has."""
    finished: threading.Event = field(default_factory=threading.Event)
    """Set when this worker no longer serves the session: it has ended, or another worker owns it."""
    _errors: list[str] = field(default_factory=list)
    _stored_voices: bytes = field(init=False)
    """What Redis has of the speakers."""
    _worded_segment: int = -1
    """The last segment of which its client has a text."""
    _configured: deque[tuple[int, bytes]] = field(default_factory=deque)
    """Position and options (as received) of each `configure` after the checkpoint."""

    def __post_init__(self) -> None:
        claim = self.claim
        SessionPositions.__post_init__(self)
        self.seq = claim.seq
        self._worded_segment = claim.segment if claim.seq else -1  # a former owner may have written its first text
        self.texts = list(claim.texts)
        self._stored = self.tracks[0].committed
        self._stored_voices = claim.speakers
        if claim.seq == 0:
            self._emit(EventType.READY, extra={"model": claim.owner.model})
            self._warn_all(revise_notices(None, claim.options, self.revisions))

    @property
    def segment(self) -> int:
        """The next number of its segments, as clients see them."""
        return self.tracks[0].segment

    @property
    def is_due(self) -> bool:
        """Whether something must be written although the engine has no output."""
        return self.progress_due

    @property
    def language(self) -> str | None:
        """The language of its last final, otherwise the one that its client has set."""
        spoken = next((track.spoken_language for track in self.tracks if track.spoken_language), None)
        return spoken or self.options.language

    def cancel(self) -> None:
        """It has been erased: nothing more is written."""
        self.ending = SessionState.CANCELLED
        self.outbox.clear()

    def offered(self) -> None:
        """It has been offered to other workers."""
        self.was_offered = True

    def configure(self, options: SessionOptions, encoded: bytes, at_samples: int) -> None:
        """The client has set options after this much audio."""
        self._warn_all(revise_notices(self.options, options, self.revisions))
        self.options = options
        for track in self.tracks:
            track.configure(options, at_samples)
        if self._configured and self._configured[-1][0] == at_samples:
            self._configured.pop()
        self._configured.append((at_samples, encoded))

    def pending(self) -> Pending:
        """What is to be written now."""
        events, voices = list(self.outbox), self._voices()
        consumed_samples = self.absorbed_samples if self.progress_due else None
        settles = consumed_samples is not None or any(kind == EventKind.FINAL for kind, _ in events)
        return Pending(
            owner=self.claim.owner,
            slots=self.slots,
            first_seq=self.seq - len(events) + 1,
            events=events,
            settled=self._settled() if settles else None,
            committed=self._unwritten_commitment(),
            consumed_samples=consumed_samples,
            ending=self.ending,
            speakers=voices if voices != self._stored_voices else None,
            answered_commit=self.answered_commit,
        )

    def _settled(self) -> Settled:
        passed = [encoded for at_samples, encoded in self._configured if at_samples <= self.checkpoint_samples]
        return Settled(self.checkpoint_samples, self.segment, passed[-1] if passed else None, self.kept_samples)

    def _unwritten_commitment(self) -> StoredText | None:
        committed = self.tracks[0].committed
        return committed if committed is not self._stored and (committed.text or self._stored.encoded()) else None

    def _voices(self) -> bytes:
        """What is known of the speakers."""
        return self.tracks[0].speakers.state

    def confirm(self, written: Pending) -> None:
        """Redis has it. Options that were set exactly at the checkpoint may be newer, so they stay."""
        del self.outbox[: len(written.events)]
        if written.settled is not None:
            while self._configured and self._configured[0][0] < written.settled.checkpoint_samples:
                self._configured.popleft()
        if written.committed is not None:
            self._stored = written.committed
        if written.consumed_samples is not None:
            self.reported_samples = written.consumed_samples
        if written.speakers is not None:
            self._stored_voices = written.speakers

    def keep(self, handle: str, samples: NDArray[np.float32]) -> None:
        """Keep audio of a handle, as `parts` has it, while its finals may be decoded again."""
        if self.revisions is not None:
            self.revisions.hear(handle, samples, self.options)

    def commit(self, entry_id: bytes, at_samples: int) -> tuple[str, ...]:  # noqa: ARG002 -- the engine knows the position
        """The client commits the audio so far. Returns the handles that are committed."""
        self._unanswered.append(entry_id)
        return self.handles

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
        released: Released | None = None,
    ) -> Latency | None:
        """Turn an engine's output into an event. Returns its latency, if it has one. `released` has its speakers."""
        return self._take(self.tracks[0], Given(output, step_started_ms, now_ms, released))

    def _take(self, track: Track, given: Given) -> Latency | None:
        if self.ending is not None:
            return None
        match output := given.output:
            case base.Partial():
                return self._take_partial(track, output, given)
            case base.Final():
                return self._take_final(track, output, given)
            case (
                base.SpeechStarted()
                | base.SpeechStopped()
                | base.TurnEnded()
                | base.TurnEndedEarly()
                | base.TurnResumed()
            ):
                event_type, fields = event_of(output)
                self._emit_text(track, event_type, **fields)
            case base.Committed():
                self._take_committed(track, output.at_samples)
            case base.Notice():
                self.warn(output.code, output.message)
            case base.Finished():
                if track.committed.text:
                    self._take_final(track, unfinished(track.committed), given._replace(released=None))
                self._take_finished(track)
            case base.Failed():
                self.fail(output.error)
        return None

    def advance(self, absorbed_samples: int, checkpoint_samples: int, handle: str = "") -> bool:  # noqa: ARG002 -- of channels
        """Record the engine's position. Returns whether it accepts audio again after it was throttled."""
        was_throttled, track = self.throttled, self.tracks[0]
        track.absorbed_samples = absorbed_samples
        track.checkpoint_samples = max(track.checkpoint_samples, checkpoint_samples)
        return was_throttled and not self.throttled

    def _take_committed(self, track: Track, at_samples: int) -> None:  # noqa: ARG002 -- of channels
        if self.answer_commit(self._unanswered.popleft()) and self.options.turns:
            self._emit(EventType.COMMITTED, end_samples=at_samples)

    def _take_finished(self, track: Track) -> None:  # noqa: ARG002 -- of channels
        self._finish()

    def revise(self, index: int, answer: Answer | None) -> bool:
        """Take the second model's answer about a final; None: there is none. Returns whether the final has changed."""
        assert self.revisions is not None, "only its own tasks are answered"
        revision = None
        if self.ending is None:
            revision = self.revisions.answer(index, answer, self.session_id, self.seq + 1, words=self.options.words)
            if revision is not None:
                self.seq += 1
                self.texts[index] = revision.text
                self.outbox.append((f"{EventKind.REVISED}{index}", revision.payload))
            if self.revisions.are_awaited and not self.revisions.pending:
                self._finish()
        return revision is not None

    def _finish(self) -> None:
        if self.gives_way:
            message = "The client of the session was gone, and another client needed its slot; start a new session."
            self.fail(SessionExpiredError(message))
            return
        if self.revisions is not None and self.revisions.wait(self.options):
            return
        self._emit(EventType.DONE, text=self._whole_text(), extra={"duration": seconds(self.read_samples)})
        self.ending = SessionState.DONE

    def _whole_text(self) -> str:
        return joined(self.texts)

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
            "key_name": self.claim.key_name or None,
            "model": self.claim.owner.model,
            "language": self.language,
            "audio_s": seconds(self.read_samples),
            "segments": self.segment,
            "events": self.seq,
            "errors": self._errors,
        }

    def _take_partial(self, track: Track, output: base.Partial, given: Given) -> Latency | None:
        fields = track.partial(output)
        if fields is None:
            return None
        latency = self._latency(output, given)
        self._emit_text(track, EventType.PARTIAL, **fields, latency=latency)
        return latency

    def _take_final(self, track: Track, output: base.Final, given: Given) -> Latency:
        fields, notices = track.final(output, given.released)
        latency = self._latency(output, given)
        self.texts.append(fields["text"])
        wire = self._emit_text(track, EventType.FINAL, **fields, latency=latency)
        if self.revisions is not None:
            self.revisions.close(
                track.handle,
                len(self.texts) - 1,
                output,
                wire,
                options=self.options,
                wording=track.wording,
                spoken=track.speakers.past(output.segment),
            )
        self._warn_all(notices)
        return latency

    def relabel(self, handle: str, labellings: Mapping[int, Labelling]) -> None:
        """Report who spoke in past finals, if that is news for the client."""
        track = self.track(handle)
        changed = track.speakers.changed(labellings)
        if changed and self.ending is None:
            segments = [replace(one, segment=self._number_of(track, one.segment)).to_wire() for one in changed]
            self._emit_text(track, EventType.SPEAKERS, extra={"segments": segments})

    def _number_of(self, track: Track, segment: int) -> int:  # noqa: ARG002 -- of channels
        """The number by which clients know a segment of the engine."""
        return segment

    def _emit_text(self, track: Track, event_type: EventType, **fields: Any) -> dict[str, Any]:  # noqa: ARG002 -- of channels
        """Add an event of a track. `segment` is the engine's number."""
        return self._emit(event_type, **fields)

    def _warn_all(self, notices: list[base.Notice]) -> None:
        for notice in notices:
            self.warn(notice.code, notice.message)

    def _latency(self, output: base.Partial | base.Final, given: Given) -> Latency:
        return self._arrivals.latency(output.heard_samples, output.model_ms, given.step_started_ms, given.now_ms)

    def _emit(self, event_type: EventType, **fields: Any) -> dict[str, Any]:
        self.seq += 1
        wire = Event(event_type, self.session_id, self.seq, mode=self.options.mode, **fields).to_wire()
        kind = KINDS.get(event_type, EventKind.OTHER)
        self.outbox.append((kind, orjson.dumps(wire)))
        return wire
