"""One session in its worker: its text, the events that are still to be written, and how it ends.

Only state: no Redis, no model, no clock. Engine outputs go in, wire events come out.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.audio.pcm import from_s16
from shared.bus.messages import EventKind
from shared.bus.ownership import Settled
from shared.bus.states import SessionState
from shared.errors import SessionExpiredError, VoxtralError
from shared.events import CommittedText, Event, EventType, Latency, seconds
from shared.seams import joined
from shared.session_options import SessionOptions
from worker.claim import Opening
from worker.commitment import Commitment, StoredText, unfinished, with_final, with_partial
from worker.engines import base
from worker.positions import SessionPositions
from worker.second_pass.revisions import Revisions, revise_notices
from worker.second_pass.second_pass import Answer
from worker.speakers.labelling import Labelling
from worker.speakers.outputs import Released
from worker.turns.events import event_of
from worker.wording.session_wording import SessionWording

KINDS: Final = {EventType.FINAL: EventKind.FINAL, EventType.SPEAKERS: EventKind.LABELS}
"""How events are stored that outlive the bounded log."""


@dataclass(slots=True, eq=False)
class WorkerSession(SessionPositions):
    """State of one claimed session. Belongs to the I/O loop; only `finished` is for other threads.

    Only its own methods change it. The loops call them, and keep further state of a session themselves.
    """

    revisions: Revisions | None = None
    """None if the worker has no second model."""
    handles: tuple[str, ...] = field(init=False)
    """Its names in the engine. One, unless its channels are separate (`worker.channels`)."""
    segment: int = field(init=False)
    seq: int = field(init=False)
    """Number of the last event that was created, written or not."""
    outbox: list[tuple[str, bytes]] = field(default_factory=list)
    """Kind and payload of events that Redis has not confirmed yet, oldest first."""
    texts: list[str] = field(init=False)
    committed: Commitment = field(init=False)
    """The committed text of the open segment."""
    stored: Commitment = field(init=False)
    """The part of it that Redis has."""
    finished: threading.Event = field(default_factory=threading.Event)
    """Set when this worker no longer serves the session: it has ended, or another worker owns it."""
    _wording: SessionWording = field(init=False)
    _errors: list[str] = field(default_factory=list)
    spoken_language: str | None = None
    """The language of its last final."""
    _worded_segment: int = -1
    """The last segment of which its client has a text."""
    _configured: deque[tuple[int, bytes]] = field(default_factory=deque)
    """Position and options (as received) of each `configure` after the checkpoint."""

    def __post_init__(self) -> None:
        claim = self.claim
        SessionPositions.__post_init__(self)
        self.handles = (self.handle,)
        self._wording = SessionWording(claim.options)
        self.segment = claim.segment
        self.seq = claim.seq
        self._worded_segment = claim.segment if claim.seq else -1  # a former owner may have written its first text
        self.texts = list(claim.texts)
        self.committed = self.stored = claim.committed or Commitment(claim.segment)
        if claim.seq == 0:
            self._emit(EventType.READY, extra={"model": claim.owner.model})
            self._warn_all(revise_notices(None, claim.options, self.revisions))

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
    def tracks(self) -> "tuple[WorkerSession, ...]":
        """What makes text of the outputs of each handle, in the order of `handles`."""
        return (self,)

    def track(self, handle: str) -> "WorkerSession":
        """The one of these that a handle belongs to."""
        return self.tracks[self.handles.index(handle)]

    @property
    def label_prefix(self) -> str:
        """What the labels of its speakers begin with, so that those of two channels differ."""
        return ""

    @property
    def unwritten_speakers(self) -> bytes | None:
        """What is known of the speakers, if Redis does not have it."""
        return self.speakers.state if self.speakers.state != self.speakers.stored else None

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
        self,
        events: int,
        settled: Settled | None,
        committed: StoredText | None,
        consumed_samples: int | None,
        speakers: bytes | None = None,
    ) -> None:
        """Redis has this many of the oldest events, and the other values unless they are None."""
        del self.outbox[:events]
        if settled is not None:
            self.settle(settled)
        if isinstance(committed, Commitment):
            self.stored = committed
        if consumed_samples is not None:
            self.reported_samples = consumed_samples
        if speakers is not None:
            self.speakers.stored = speakers

    def settle(self, settled: Settled) -> None:
        """Redis has it. Options that were set exactly at the checkpoint may be newer, so they stay."""
        while self._configured and self._configured[0][0] < settled.checkpoint_samples:
            self._configured.popleft()

    def parts(self, end_samples: int, pcm: bytes) -> list[tuple[str, NDArray[np.float32]]]:
        """The audio of each handle in an entry that ends at this position, without what was read before."""
        start_samples = end_samples - len(pcm) // 2
        samples = np.frombuffer(pcm, "<i2")[max(0, self.read_samples - start_samples) :]
        return [(self.handles[0], from_s16(samples))]

    def keep(self, handle: str, samples: NDArray[np.float32]) -> None:
        """Keep audio of a handle, as `parts` has it, while its finals may be decoded again."""
        if self.revisions is not None:
            self.revisions.hear(handle, samples, self.options)

    def commit(self, at_samples: int) -> tuple[str, ...]:  # noqa: ARG002 -- the engine knows the position
        """The client commits the audio so far. Returns the handles that are committed."""
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
        if self.ending is not None:
            return None
        match output:
            case base.Partial():
                return self._take_partial(output, step_started_ms, now_ms)
            case base.Final():
                return self._take_final(output, step_started_ms, now_ms, released)
            case (
                base.SpeechStarted()
                | base.SpeechStopped()
                | base.TurnEnded()
                | base.TurnEndedEarly()
                | base.TurnResumed()
            ):
                event_type, fields = event_of(output)
                self._emit(event_type, **fields)
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

    def revise(self, index: int, answer: Answer | None) -> bool:
        """Take the second model's answer about a final; None: there is none. Returns whether the final has changed."""
        assert self.revisions is not None, "only its own tasks are answered"
        revision = None
        if self.ending is None:
            revision = self.revisions.answer(index, answer, self.session_id, self.seq + 1, words=self.options.words)
            if revision is not None:
                self.seq += 1
                self._replace_text(index, revision.text)
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

    def _replace_text(self, index: int, text: str) -> None:
        """A final has another text; `index` is its place among the session's finals."""
        self.texts[index] = text

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

    def relabel(self, labellings: Mapping[int, Labelling]) -> None:
        """Report who spoke in past finals, if that is news for the client."""
        changed = self.speakers.changed(labellings)
        if changed and self.ending is None:
            segments = [replace(one, segment=self._number_of(one.segment)) for one in changed]
            self._emit(EventType.SPEAKERS, extra={"segments": [one.to_wire() for one in segments]})

    def _number_of(self, segment: int) -> int:
        """The number by which clients know a segment of the engine."""
        return segment

    def _take_final(
        self, output: base.Final, step_started_ms: float, now_ms: float, released: Released | None = None
    ) -> Latency:
        kept = self._kept(output.segment)
        written, notices = self._wording.final(output, is_committed=bool(kept.text))
        heard, output = output, with_final(kept, written)
        latency = self._latency(output.heard_samples, output.model_ms, step_started_ms, now_ms)
        self.segment = output.segment + 1
        self.committed = Commitment(self.segment)
        self.checkpoint_samples = max(self.checkpoint_samples, output.resume_samples)
        self.texts.append(output.text)
        self.spoken_language = output.language or self.spoken_language
        spoken = self.speakers.final(output, released, with_words=self.options.words)
        wire = self._emit(
            EventType.FINAL,
            segment=output.segment,
            text=output.text,
            start_samples=output.start_samples,
            end_samples=output.end_samples,
            words=spoken.words if self.options.words else None,
            language=output.language,
            latency=latency,
            usage=output.usage,
            scores=output.scores,
            speaker=spoken.speaker,
            speaker_unsure=spoken.speaker_unsure,
        )
        self._made(heard, wire)
        self._warn_all(notices)
        return latency

    def _made(self, heard: base.Final, wire: dict[str, Any]) -> None:
        """A final was made: `heard` is as the engine gave it, `wire` as clients get it."""
        if self.revisions is not None:
            index, past = len(self.texts) - 1, self.speakers.past(heard.segment)
            self.revisions.close(
                self.handle, index, heard, wire, options=self.options, wording=self._wording, spoken=past
            )

    def _warn_all(self, notices: list[base.Notice]) -> None:
        for notice in notices:
            self.warn(notice.code, notice.message)

    def _kept(self, segment: int) -> Commitment:
        return self.committed if self.committed.segment == segment else Commitment(segment)

    def _latency(self, heard_samples: int, model_ms: float, step_started_ms: float, now_ms: float) -> Latency:
        return self._arrivals.latency(heard_samples, model_ms, step_started_ms, now_ms)

    def _emit(self, event_type: EventType, **fields: Any) -> dict[str, Any]:
        self.seq += 1
        wire = Event(event_type, self.session_id, self.seq, mode=self.options.mode, **fields).to_wire()
        kind = KINDS.get(event_type, EventKind.OTHER)
        self.outbox.append((kind, orjson.dumps(wire)))
        return wire
